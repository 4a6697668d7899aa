/// What the page looks like, but for the colours and the charts.
pub(super) const CSS: &str = "
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1200px; padding: 1rem; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .4rem; }
h3 { font-size: 1rem; margin: 0; }
p, small, dt, footer { color: var(--soft); }
p { margin: .2rem 0 .8rem; max-width: 75ch; }
code { font-size: .85em; }
footer { margin: 3rem 0 1rem; font-size: .85em; }
dl { margin: .4rem 0; }
dd { margin: 0 0 .3rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(260px, 1fr)); gap: .3rem 1.5rem; }
.facts dt { font-size: .8em; }
.card, figure { background: var(--card); border-radius: 8px; padding: .8rem; margin: .8rem 0; }
.several { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(300px, 100%), 1fr)); gap: .8rem; align-items: start; }
.several > * { margin: 0; }
.measure .about { font-size: .85em; margin-bottom: .5rem; }
.row { display: grid; grid-template-columns: minmax(6rem, 15rem) 5rem 1fr minmax(11rem, 16rem); gap: 0 .8rem; align-items: center; }
.row + .row { border-top: 1px solid var(--rule); }
.row .number, td.number { font-variant-numeric: tabular-nums; text-align: right; }
.row .said { font-size: .85em; font-variant-numeric: tabular-nums; color: var(--soft); }
.row .sure { color: var(--ink); font-weight: 600; }
.row svg { width: 100%; height: 22px; display: block; overflow: visible; }
.base { font-weight: 600; }
svg .mark { stroke: var(--c0); fill: var(--c0); }
svg .mark.unsure { stroke: var(--soft); fill: var(--ground); }
.chart { width: 100%; max-width: 640px; height: auto; display: block; margin: 0 auto; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: .85em; justify-content: center; margin-top: .4rem; }
.legend span { display: inline-flex; align-items: center; gap: .4rem; }
.legend svg { width: 26px; height: 8px; flex: none; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9em; }
td, th { padding: .25rem .7rem .25rem 0; text-align: left; vertical-align: top; }
tr + tr { border-top: 1px solid var(--rule); }
th { color: var(--soft); font-weight: 500; }
tr.best { font-weight: 600; }
small { white-space: nowrap; }
details { border-top: 1px solid var(--rule); padding: .35rem 0; }
summary { cursor: pointer; }
.strips { display: grid; grid-template-columns: minmax(5rem, 13rem) 1fr; gap: .35rem .8rem; align-items: center; }
.strips img { width: 100%; height: auto; display: block; image-rendering: pixelated; border-radius: 3px; }
.strips .name { font-size: .85em; }
@media (max-width: 700px) {
  .row { grid-template-columns: minmax(0, 1fr) 12rem; padding: .3rem 0; }
  .row .said { text-align: right; }
  .row .plot { grid-column: 1; } .row .said { grid-column: 2; }
  .row .plot:empty { display: none; }
  .strips { grid-template-columns: 1fr; }
}
";
