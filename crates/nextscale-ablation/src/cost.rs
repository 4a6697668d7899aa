//! The cost of a cell's images: the work that follows from the rule, and measured times.

use nextscale_core::PassPlan;
use nextscale_generate::Generator;
use serde::{Deserialize, Serialize};

use crate::plan::Cell;
use crate::{Error, Result};

/// How much a rule makes the backbone do for an image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// Tokens that pass through a backbone, divided by those of one conditional pass: 1 without guidance, 2
    /// for classifier-free guidance at every scale. A pass that ends early counts up to its end.
    pub passes: f64,
    /// The most passes that run at one scale; with a KV cache, the number of caches per image.
    pub caches: usize,
}

impl Work {
    /// The work of a cell's rule on its model's scales.
    ///
    /// # Errors
    /// If the rule needs no pass at some scale.
    pub fn of(cell: &Cell) -> Result<Self> {
        let schedule = cell.prepared.model.schedule();
        let method = cell.prepared.config.methods.first();
        let rule = &method.ok_or_else(|| Error::Usage(format!("the cell {} has no rule", cell.name)))?.rule;
        let wanted = (0..schedule.len()).map(|k| rule.passes(k, schedule)).collect();
        let plan = PassPlan::new(wanted, schedule)?;
        let running = |k: usize| plan.run(k).iter().count();
        let tokens = schedule.grids().iter().map(|grid| grid.positions());
        let run: usize = tokens.clone().enumerate().map(|(k, tokens)| tokens * running(k)).sum();
        Ok(Self {
            passes: run as f64 / tokens.sum::<usize>().max(1) as f64,
            caches: (0..schedule.len()).map(running).max().unwrap_or(0),
        })
    }
}

/// Measured times: milliseconds per image, in every round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// One number per round; rounds alternate over all cells.
    pub milliseconds: Vec<f64>,
    /// The number of threads.
    pub threads: usize,
    /// Bytes of KV cache per image before the last scale; `None` where the backbone does not know.
    #[serde(default)]
    pub cache_bytes: Option<u64>,
}

impl Times {
    /// Bytes of KV cache per image of a generator: for every pass, the tokens before the last scale at which
    /// it runs.
    pub fn cache_bytes(generator: &Generator) -> Option<u64> {
        let (plan, model) = (generator.plan(), generator.model());
        let grids = model.schedule().grids();
        let mut bytes = 0;
        for pass in &plan.all() {
            let (backbone, _) = model.of_pass(&pass.model).ok()?;
            let each = backbone.cache_bytes_per_token()?;
            let last = (0..plan.len()).rfind(|&k| plan.run(k).iter().any(|running| running == pass))?;
            let tokens: usize = grids[..last].iter().map(|grid| grid.positions()).sum();
            bytes += (tokens * each) as u64;
        }
        Some(bytes)
    }

    /// The median; for an even number, the lower of the middle two.
    pub fn median(&self) -> Option<f64> {
        let mut sorted = self.milliseconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len().checked_sub(1)? / 2).copied()
    }

    /// The ratio to other times, round by round: the median, the minimum and the maximum.
    pub fn over(&self, others: &Self) -> Option<[f64; 3]> {
        let ratios = self.milliseconds.iter().zip(&others.milliseconds).map(|(own, other)| own / other);
        let mut ratios: Vec<f64> = ratios.collect();
        ratios.sort_by(f64::total_cmp);
        let (least, greatest) = (*ratios.first()?, *ratios.last()?);
        Some([ratios[(ratios.len() - 1) / 2], least, greatest])
    }
}

/// The key under which times for this many images at once are stored.
pub fn times_key(images: u64) -> String {
    format!("{images} images at once")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::read;

    #[test]
    fn guidance_runs_the_passes_that_it_reads() {
        let text = r#"variants: [
                (name: "none", set: {"guidance": Conditional}),
                (name: "cfg"),
                (name: "early", set: {"guidance": Cfg(scale: During(0, 1, 1.5))}),
                (name: "ssg", set: {"guidance": Ssg(base: Conditional, prior: Dse(), beta: 0.5)}),
            ],
            baseline: "none", seeds: [1], samples: 9"#;
        let ablation = read(text).unwrap();
        let works: Vec<Work> = ablation.cells.iter().map(|cell| Work::of(cell).unwrap()).collect();
        assert_eq!((works[0].passes, works[0].caches), (1.0, 1));
        assert_eq!((works[1].passes, works[1].caches), (2.0, 2));
        // The unconditional pass ends after two scales.
        let grids = ablation.cells[0].prepared.model.schedule().grids().to_vec();
        let tokens =
            |grids: &[nextscale_core::Grid]| grids.iter().map(|grid| grid.positions()).sum::<usize>() as f64;
        assert_eq!(works[2].passes, 1.0 + tokens(&grids[..2]) / tokens(&grids));
        assert_eq!((works[3].passes, works[3].caches), (1.0, 1));
    }

    #[test]
    fn times_are_compared_round_by_round() {
        let times = |milliseconds: &[f64]| Times {
            milliseconds: milliseconds.to_vec(),
            threads: 2,
            cache_bytes: None,
        };
        let (own, base) = (times(&[20.0, 30.0, 44.0]), times(&[10.0, 20.0, 20.0]));
        assert_eq!((own.median(), base.median()), (Some(30.0), Some(20.0)));
        assert_eq!(own.over(&base), Some([2.0, 1.5, 2.2]));
        assert_eq!((times(&[]).median(), times(&[]).over(&base)), (None, None));
    }
}
