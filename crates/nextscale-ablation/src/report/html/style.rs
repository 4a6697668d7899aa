/// The style of the page, except for the colours and the charts.
pub(super) const CSS: &str = "
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0 auto; max-width: 1240px; padding: 1rem 1.2rem; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0 .2rem; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 .5rem; }
p, small, dt, footer, figcaption, caption { color: var(--soft); }
p { margin: .2rem 0 .8rem; max-width: 80ch; }
.scope { max-width: none; }
a { color: inherit; text-decoration-color: var(--rule); text-underline-offset: 2px; }
a:hover { text-decoration-color: currentColor; }
code, pre { font-family: ui-monospace, monospace; font-size: .85rem; }
pre { background: var(--card); border-radius: 8px; padding: .8rem; margin: .5rem 0; white-space: pre-wrap; user-select: all; }
footer { margin: 3rem 0 1rem; font-size: .85em; }
dl { margin: .4rem 0; }
dt { font-size: .8rem; }
dd { margin: 0 0 .3rem; }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin: .6rem 0 0; padding: .5rem 0; border-block: 1px solid var(--rule); font-size: .9em; }
.findings p { color: var(--ink); max-width: 100ch; }
.findings p:last-child { color: var(--soft); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(260px, 1fr)); gap: .3rem 1.5rem; margin-bottom: 1rem; }
.card, figure { background: var(--card); border-radius: 8px; padding: .8rem; margin: .8rem 0; }
.card figure { padding: 0; margin: .5rem 0; }
figcaption { font-size: .85rem; margin-top: .5rem; max-width: 85ch; }
.several { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(300px, 100%), 1fr)); gap: .8rem; align-items: start; }
.several > * { margin: 0; }
.better { color: var(--good); font-weight: 650; }
.worse { color: var(--bad); font-weight: 650; }
.open { color: var(--soft); }
.row { display: grid; grid-template-columns: minmax(6rem, 15rem) 5rem 1fr minmax(11rem, 16rem); gap: 0 .8rem; align-items: center; }
.row + .row { border-top: 1px solid var(--rule); }
.number { font-variant-numeric: tabular-nums; text-align: right; }
.row .said { font-size: .85em; font-variant-numeric: tabular-nums; }
.ticks .said { color: var(--soft); }
.row svg { width: 100%; height: 22px; display: block; overflow: visible; }
.base { font-weight: 600; }
svg .mark { stroke: currentColor; fill: currentColor; }
svg.open .mark { fill: var(--card); }
.chart { width: 100%; max-width: 560px; height: auto; display: block; margin: 0 auto; }
.scatter { max-width: 760px; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: .85em; justify-content: center; margin-top: .4rem; }
.legend span { display: inline-flex; align-items: center; gap: .4rem; }
.legend svg { width: 26px; height: 8px; flex: none; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9em; }
caption { caption-side: bottom; text-align: left; font-size: .85rem; padding-top: .5rem; }
td, th { padding: .25rem .7rem .25rem 0; text-align: left; vertical-align: top; }
td.number, th.number { text-align: right; overflow-wrap: normal; }
td.number { white-space: nowrap; }
tr + tr, tbody tr { border-top: 1px solid var(--rule); }
th { color: var(--soft); font-weight: 500; }
tr.best { font-weight: 600; }
.overview { width: 100%; font-variant-numeric: tabular-nums; }
.overview caption { position: sticky; left: 0; max-width: min(85ch, 90vw); }
.overview td { white-space: nowrap; }
.overview th { overflow-wrap: normal; }
.overview th:first-child { position: sticky; left: 0; background: var(--ground); min-width: 7rem; max-width: 15rem; overflow-wrap: anywhere; }
.overview thead th { vertical-align: bottom; min-width: 4.6rem; }
.overview td:last-child, .overview th:last-child { padding-right: 0; }
.overview tbody th { color: var(--ink); }
.overview .base > * { background: var(--card); font-weight: 600; }
small { white-space: nowrap; }
details { border-top: 1px solid var(--rule); padding: .35rem 0; }
details.card { border: 0; padding: .6rem .8rem; }
summary { cursor: pointer; }
.strip { display: grid; grid-template-columns: minmax(5rem, 12rem) 1fr; gap: 0 .8rem; align-items: center; padding: .18rem 0; background: var(--card); }
.strip img { width: 100%; height: auto; display: block; image-rendering: pixelated; border-radius: 3px; }
.strip .name { font-size: .85em; }
.strip:target .name { font-weight: 700; color: var(--c0); }
.strip:target { outline: 2px solid var(--c0); outline-offset: 1px; border-radius: 4px; }
.top { background: var(--card); border-bottom: 1px solid var(--rule); margin-bottom: .2rem; }
.heads { display: grid; font-size: .72rem; color: var(--soft); text-align: center; }
.heads span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.strip { scroll-margin-top: 9rem; }
@media (min-width: 701px) {
  .scroll:has(> .strips) { overflow-x: visible; }
  .strips { min-width: 0 !important; }
  .top { position: sticky; top: 0; z-index: 1; }
}
@media (max-width: 700px) {
  body { padding: .8rem; }
  .row { grid-template-columns: minmax(0, 1fr) auto; padding: .3rem 0; }
  .row .plot { grid-column: 1 / -1; } .row .said { grid-column: 1 / -1; }
  .row .plot:empty { display: none; }
  .ticks > span:empty { display: none; }
  .strip { grid-template-columns: 1fr; }
  .strip .name { position: sticky; left: 0; justify-self: start; }
  .strip .name:empty { display: none; }
  .overview th:first-child { max-width: 8rem; }
  .scatter { min-width: 500px; }
  .chart:not(.scatter) text { font-size: 14px; }
  .several .chart text { font-size: 11px; }
}
@media print {
  .top { position: static; }
  nav { display: none; }
}
";
