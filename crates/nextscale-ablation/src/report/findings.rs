//! Sentences about the results, computed from the numbers.

use super::{Measured, Report};
use crate::judge::Better;
use crate::numbers::brief;
use crate::stats::Difference;

/// How many cells a sentence names.
const NAMED: usize = 3;

/// How a cell compares with the baseline by one measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Better, and the interval excludes zero.
    Better,
    /// Worse, and the interval excludes zero.
    Worse,
    /// The interval includes zero, or there is none.
    Open,
}

impl Measured {
    /// How a cell compares with the baseline; `None` for the baseline itself and for descriptive measures.
    pub(super) fn verdict(&self, cell: usize) -> Option<Verdict> {
        let difference = self.values.get(cell)?.difference.as_ref()?;
        Some(match (self.improves(difference)?, difference.excludes_zero()) {
            (true, Some(true)) => Verdict::Better,
            (false, Some(true)) => Verdict::Worse,
            _ => Verdict::Open,
        })
    }

    /// Whether a difference goes in the better direction; `None` for descriptive measures.
    pub(super) fn improves(&self, difference: &Difference) -> Option<bool> {
        match self.measure.better {
            Better::Lower => Some(difference.value < 0.0),
            Better::Higher => Some(difference.value > 0.0),
            Better::Neither => None,
        }
    }

    fn has_intervals(&self) -> bool {
        self.values.iter().filter_map(|value| value.difference).any(|difference| difference.low.is_some())
    }
}

/// The measures that sentences are about: the first of every leading judge.
pub(super) fn leading(report: &Report) -> Vec<&Measured> {
    let mut found: Vec<&Measured> = Vec::new();
    let ways = |measured: &&Measured| measured.measure.better != Better::Neither;
    for leads in [true, false] {
        for measured in report.measures.iter().filter(ways).filter(|measured| measured.leads == leads) {
            if !found.iter().any(|known| known.of == measured.of) {
                found.push(measured);
            }
        }
        if !found.is_empty() {
            break;
        }
    }
    found
}

/// The findings: some sentences for every leading measure, and how certain they are.
pub(super) fn sentences(report: &Report) -> Vec<String> {
    let ablation = &report.ablation;
    let others = ablation.cells.len() - 1;
    if others == 0 {
        return vec!["Only the baseline was run: there is nothing to compare.".into()];
    }
    let leading = leading(report);
    let mut sentences: Vec<String> = leading.iter().map(|measured| finding(report, measured)).collect();
    sentences.extend(price(report, &leading));
    let ways = report.measures.iter().filter(|measured| measured.measure.better != Better::Neither);
    let comparisons = others * ways.filter(|measured| measured.has_intervals()).count();
    if comparisons > 0 {
        let chance = format!("{:.1}", 0.05 * comparisons as f64);
        sentences.push(format!(
            "Parentheses give the difference relative to the baseline, and its 95 % interval. If no cell differed from “{}”, about \
             {chance} of the {comparisons} intervals in the table would still exclude zero by chance.",
            ablation.cells[ablation.baseline].name
        ));
    }
    sentences
}

fn finding(report: &Report, measured: &Measured) -> String {
    let ablation = &report.ablation;
    let others = ablation.cells.len() - 1;
    let baseline = &ablation.cells[ablation.baseline].name;
    let value = brief(measured.values[ablation.baseline].value);
    let of = |verdict: Verdict| -> Vec<usize> {
        let mut cells: Vec<usize> =
            (0..ablation.cells.len()).filter(|&cell| measured.verdict(cell) == Some(verdict)).collect();
        let size = |cell: &usize| measured.values[*cell].difference.map_or(0.0, |d| d.value.abs());
        cells.sort_by(|a, b| size(b).total_cmp(&size(a)));
        cells
    };
    let (better, worse, open) = (of(Verdict::Better), of(Verdict::Worse), of(Verdict::Open));
    let named = |cells: &[usize]| {
        let each = cells.iter().take(NAMED).map(|&cell| said(report, measured, cell));
        let more = cells.len().saturating_sub(NAMED);
        let more = (more > 0).then(|| format!("and {more} more"));
        each.chain(more).collect::<Vec<_>>().join("; ")
    };
    let way = super::words::better(measured.measure.better);
    let mut text = format!("{} ({way}): ", measured.measure.name);
    if !measured.has_intervals() {
        let most = named(&open);
        text += &format!(
            "“{baseline}” has {value}. There are no intervals, so differences may be noise. The largest: {most}."
        );
        return text;
    }
    text += &match better.len() {
        0 => format!("no cell of {others} beats “{baseline}” ({value})."),
        1 => format!("1 of {others} cells beats “{baseline}” ({value}): {}.", named(&better)),
        count => format!("{count} of {others} cells beat “{baseline}” ({value}): {}.", named(&better)),
    };
    text += &match worse.len() {
        0 => String::new(),
        1 => format!(" 1 is worse: {}.", named(&worse)),
        count => format!(" {count} are worse: {}.", named(&worse)),
    };
    text += &match open.len() {
        0 => String::new(),
        1 => {
            format!(
                " “{}” is not clearly different: its interval includes zero.",
                ablation.cells[open[0]].name
            )
        }
        count => format!(" {count} are not clearly different: their intervals include zero."),
    };
    text
}

/// A cell with the size of its difference, its share of the baseline's value and its interval: “dse” by 0.012
/// (12 %; 0.009 to 0.015).
fn said(report: &Report, measured: &Measured, cell: usize) -> String {
    let name = &report.ablation.cells[cell].name;
    let Some(difference) = &measured.values[cell].difference else { return format!("“{name}”") };
    let (size, lower) = (difference.value.abs(), difference.value < 0.0);
    let base = measured.values[report.ablation.baseline].value;
    let share = 100.0 * size / base.abs();
    // For a value near zero, as an unbiased distance can have, a percentage is meaningless.
    let share = (share < 1000.0).then(|| format!("{share:.0} %"));
    let ends = difference.low.zip(difference.high);
    let ends = ends.map(|(low, high)| if lower { (-high, -low) } else { (low, high) });
    let ends = ends.map(|(low, high)| format!("{} to {}", brief(low), brief(high)));
    let by = match (ends.is_some(), lower) {
        (true, _) => "by",
        (false, true) => "lower by",
        (false, false) => "higher by",
    };
    let details: Vec<String> = share.into_iter().chain(ends).collect();
    let details = if details.is_empty() { String::new() } else { format!(" ({})", details.join("; ")) };
    format!("“{name}” {by} {}{details}", brief(size))
}

/// Where cells that win by a leading measure lose by another.
fn price(report: &Report, leading: &[&Measured]) -> Option<String> {
    let wins = |cell: &usize| leading.iter().any(|measured| measured.verdict(*cell) == Some(Verdict::Better));
    let winners: Vec<usize> = (0..report.ablation.cells.len()).filter(wins).collect();
    let loss = |measured: &Measured| {
        let lost = winners.iter().filter(|&&cell| measured.verdict(cell) == Some(Verdict::Worse));
        let lost: Vec<(&str, f64)> = lost
            .filter_map(|&cell| {
                Some((
                    report.ablation.cells[cell].name.as_str(),
                    measured.values[cell].difference?.value.abs(),
                ))
            })
            .collect();
        let (name, size) = lost.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1))?;
        let most = format!("“{name}” by {}", brief(size));
        let of = &measured.measure.name;
        Some(if lost.len() == 1 {
            format!("{of} ({most})")
        } else {
            format!("{of} ({} cells, most of all {most})", lost.len())
        })
    };
    let losses: Vec<String> = report.measures.iter().filter_map(loss).collect();
    (!losses.is_empty()).then(|| format!("But winners are worse elsewhere: {}.", losses.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::report;

    #[test]
    fn sentences_name_who_wins_by_how_much_and_how_sure_that_is() {
        insta::assert_snapshot!(sentences(&report()).join("\n"));
    }

    #[test]
    fn without_intervals_nothing_is_said_to_win() {
        let mut bare = report();
        for measured in &mut bare.measures {
            for value in &mut measured.values {
                value.difference = value.difference.map(|difference| Difference::bare(difference.value));
            }
        }
        let told = sentences(&bare).join("\n");
        assert!(told.contains("There are no intervals"), "{told}");
        assert!(!told.contains("beat") && !told.contains("But winners"), "{told}");
    }

    #[test]
    fn one_cell_is_no_comparison() {
        let mut one = report();
        one.ablation.cells.truncate(1);
        one.measures.iter_mut().for_each(|measured| measured.values.truncate(1));
        assert_eq!(sentences(&one), ["Only the baseline was run: there is nothing to compare."]);
    }
}
