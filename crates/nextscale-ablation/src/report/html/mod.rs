//! The report as one page: no scripts, no requests, light and dark, from a phone's width up.

mod bands;
mod cells;
mod cite;
mod completions;
mod measures;
mod pictures;
mod scales;
mod style;
mod summary;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::Report;
use super::words::scope;
use crate::Result;
use crate::chart::{COLOURS, Line, STROKES};
use crate::store::Store;

/// A part of the page: its entry in the contents, its anchor, and its body.
struct Section {
    title: &'static str,
    id: &'static str,
    body: Markup,
}

/// The page.
pub(super) fn write(report: &Report, store: &Store) -> Result<String> {
    let ablation = &report.ablation;
    let pictures = pictures::Pictures::of(report, store)?;
    let sections: Vec<Section> = [
        Some(summary::section(report)),
        Some(measures::section(report)),
        measures::scatters(report),
        cells::costs(report),
        Some(pictures.images(report)),
        pictures.forming(report),
        pictures.completions(report),
        scales::section(report),
        bands::section(report),
        cells::chosen(report),
        measures::descriptive(report),
        Some(cells::configs(report)),
        Some(cite::protocol(report)),
        Some(cite::section(report)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (ablation.name) " · ablation" }
                style { (PreEscaped(COLOURS)) (PreEscaped(STROKES)) (PreEscaped(style::CSS)) }
            }
            body {
                header {
                    h1 { (ablation.name) }
                    p.scope { (scope(report)) }
                    nav aria-label="Contents" {
                        @for section in &sections { a href={ "#" (section.id) } { (section.title) } }
                    }
                }
                main {
                    @for section in &sections {
                        section id=(section.id) { h2 { (section.title) } (section.body) }
                    }
                }
                footer { "Made by nextscale " (ablation.version) "." }
            }
        }
    };
    Ok(page.into_string())
}

/// The anchor of a cell's images on the n-th shown seed.
fn images_of(cell: usize, seed: usize) -> String {
    format!("images-{cell}-{seed}")
}

/// The anchor of a cell's config.
fn config_of(cell: usize) -> String {
    format!("config-{cell}")
}

/// The line of a cell; the baseline's has the colour of text.
fn line_of(report: &Report, cell: usize, points: Vec<(f64, f64)>) -> Line {
    let style = if cell > report.ablation.baseline { cell - 1 } else { cell };
    Line::new(&report.ablation.cells[cell].name, (!report.is_baseline(cell)).then_some(style), points)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::Images;
    use crate::report::testing::report;

    /// A page of the small report, with its own images.
    pub(super) fn page(report: &Report) -> String {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(&root.path().join("out")).unwrap();
        for (i, cell) in report.ablation.cells.iter().enumerate() {
            for &seed in &report.ablation.seeds {
                let images = Images::new(2, 2, vec![i as u8 * 40; 20 * 12]).unwrap();
                store.shelf(&cell.id, seed).write_images(0, &images).unwrap();
            }
        }
        write(report, &store).unwrap()
    }

    #[test]
    fn every_link_leads_somewhere_and_nothing_is_fetched() {
        let page = page(&report());
        let links: Vec<&str> =
            page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(links.len() > 20, "{}", links.len());
        for link in links {
            assert_eq!(page.matches(&format!("id=\"{link}\"")).count(), 1, "{link}");
        }
        assert!(!page.contains("http") && !page.contains("<script") && !page.contains("url("));
    }

    #[test]
    fn what_answers_comes_first_and_pixels_come_late() {
        let page = page(&report());
        let at = |part: &str| page.find(part).unwrap_or_else(|| panic!("no {part}"));
        let order = [
            "2 of 3 cells beat “none”",
            "<table class=\"overview\"",
            "id=\"measures\"",
            "id=\"images\"",
            "id=\"descriptive\"",
            ">pixel mean<",
            "id=\"configs\"",
            "nextscale ablate guidance.ron --quick",
        ];
        let places: Vec<usize> = order.iter().map(|part| at(part)).collect();
        assert!(places.is_sorted(), "{order:?} {places:?}");
        // Each protocol is stated once.
        for part in ["protocol 0", "protocol 1", "protocol 2", "rank-deficient covariance"] {
            assert_eq!(page.matches(part).count(), 1, "{part}");
        }
        for part in [
            "class=\"better\"",
            "class=\"worse\"",
            "class=\"open\"",
            "↓",
            "↑",
            ">cat<",
            "prefers-color-scheme: dark",
        ] {
            assert!(page.contains(part), "{part}");
        }
    }
}
