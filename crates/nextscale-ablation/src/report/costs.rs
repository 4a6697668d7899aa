//! The cost of cells compared with the baseline.

use super::Report;
use crate::cost::Work;
use crate::numbers::brief;

/// The cost of a cell, in words.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Costs {
    /// Passes through the backbone.
    pub passes: String,
    /// KV caches per image.
    pub caches: String,
    /// Milliseconds per image.
    pub milliseconds: Option<String>,
    /// The ratio to the baseline: the median of the rounds, with the minimum and maximum.
    pub ratio: Option<String>,
}

pub(super) const ABOUT_COSTS: &str = "Passes: tokens through the backbone, relative to one conditional pass. KV caches: their number and size per image, the part of the memory \
     that grows with the number of passes. Times: the median of rounds that alternate between the cells; the ratio to the baseline \
     is taken round by round and shown with its range. Times depend on this machine and its load; everything else in this report is \
     reproducible.";

/// The cost of every cell; empty for a report of an earlier version.
pub(super) fn costs(report: &Report) -> Option<Vec<Costs>> {
    let cells = report.ablation.cells.iter().enumerate();
    let base = report.times.get(report.ablation.baseline).and_then(Option::as_ref);
    cells
        .map(|(i, cell)| {
            let Work { passes, caches } = cell.work?;
            let times = report.times.get(i).and_then(Option::as_ref);
            let ratio =
                times.zip(base).filter(|_| !report.is_baseline(i)).and_then(|(own, base)| own.over(base));
            Some(Costs {
                passes: brief(passes),
                caches: match times.and_then(|times| times.cache_bytes) {
                    Some(bytes) => format!("{caches}, {} MB", brief(bytes as f64 / 1e6)),
                    None => caches.to_string(),
                },
                milliseconds: times.and_then(|times| Some(brief(times.median()?))),
                ratio: ratio.map(|[middle, least, most]| {
                    format!("×{} [{}, {}]", brief(middle), brief(least), brief(most))
                }),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::report;

    #[test]
    fn costs_stand_beside_the_baselines() {
        let mut report = report();
        let costs = costs(&report).unwrap();
        assert_eq!((costs[0].passes.as_str(), costs[0].ratio.as_deref()), ("1.00", None));
        assert_eq!(costs[0].caches, "1, 1.50 MB");
        assert_eq!(costs[1].ratio.as_deref(), Some("×1.73 [1.67, 1.80]"));
        assert_eq!((costs[3].caches.as_str(), costs[3].milliseconds.as_deref()), ("2", None));
        report.ablation.cells[1].work = None;
        assert_eq!(super::costs(&report), None);
    }
}
