//! The learning rate over a run.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Steps of warm-up, then a shape. Follows upstream's `lr_wd_annealing`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// Steps over which the rate grows linearly from `warmup_from` to 1, times the peak.
    pub warmup: u64,
    /// The fraction of the peak at the first step of the warm-up.
    pub warmup_from: f64,
    /// What follows.
    pub shape: Shape,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { warmup: 0, warmup_from: 0.005, shape: Shape::Cosine { end: 0.0 } }
    }
}

/// The rate after the warm-up, relative to the peak.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Shape {
    /// The peak throughout.
    Constant,
    /// Half a cosine from the peak to `end` times the peak.
    Cosine {
        /// The fraction of the peak at the last step.
        end: f64,
    },
    /// Upstream's `lin0`: the peak for a twentieth of the run, then a line to `end` times the peak.
    Lin0 {
        /// The fraction of the peak at the last step.
        end: f64,
    },
    /// The peak, then a line to `end` times the peak. A run that is stopped before the line begins can be
    /// extended, and any of its checkpoints can be cooled down (Hägele and others, 2024, "Scaling Laws and
    /// Compute-Optimal Training Beyond Fixed Training Durations").
    Trapezoid {
        /// The fraction of the run after its warm-up at which the line begins, from 0 to 1.
        from: f64,
        /// The fraction of the peak at the last step.
        end: f64,
    },
}

impl Schedule {
    /// Checks every number's range.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the field and what it may be.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong =
            |field: &str, message: String| Err(Error::setting(format!("training.schedule.{field}"), message));
        let share = |value: f64| (0.0..=1.0).contains(&value);
        if !share(self.warmup_from) {
            let from = self.warmup_from;
            return wrong(
                "warmup_from",
                format!("{from} is not a share of the peak; give a number from 0 to 1"),
            );
        }
        if let Shape::Cosine { end } | Shape::Lin0 { end } | Shape::Trapezoid { end, .. } = self.shape
            && !share(end)
        {
            return wrong(
                "shape.end",
                format!("{end} is not a share of the peak; give a number from 0 to 1"),
            );
        }
        if let Shape::Trapezoid { from, .. } = self.shape
            && !(0.0..1.0).contains(&from)
        {
            let remedy = "give a number from 0 to below 1, like 0.8";
            return wrong("shape.from", format!("{from} is not a share of the run; {remedy}"));
        }
        Ok(())
    }

    /// The fraction of the peak at `step` of a run of `steps`.
    pub fn factor(&self, step: u64, steps: u64) -> f64 {
        let (now, warmup) = (step as f64, self.warmup as f64);
        if step < self.warmup {
            return self.warmup_from + (1.0 - self.warmup_from) * now / warmup;
        }
        let span = steps as f64 - 1.0 - warmup;
        let passed = if span > 0.0 { ((now - warmup) / span).min(1.0) } else { 0.0 };
        match self.shape {
            Shape::Constant => 1.0,
            Shape::Cosine { end } => end + (1.0 - end) * (0.5 + 0.5 * (std::f64::consts::PI * passed).cos()),
            Shape::Lin0 { .. } if passed < 0.05 => 1.0,
            Shape::Trapezoid { from, end } => end + (1.0 - end) * ((1.0 - passed) / (1.0 - from)).min(1.0),
            Shape::Lin0 { end } => end + (1.0 - end) * (1.0 - passed) / 0.95,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_upstreams_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/var/info.json");
        let info: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let mut compared = 0;
        for table in info["lr_wd_schedule"].as_array().unwrap() {
            let number = |field: &str| table[field].as_f64().unwrap();
            let end = number("wpe");
            let shape = match table["sche"].as_str().unwrap() {
                "lin0" => Shape::Lin0 { end },
                "cos" => Shape::Cosine { end },
                _ => continue,
            };
            let schedule = Schedule { warmup: number("wp_it") as u64, warmup_from: number("wp0"), shape };
            for row in table["it_lr_wd"].as_array().unwrap() {
                let step = row[0].as_u64().unwrap();
                let rate = number("peak_lr") * schedule.factor(step, table["max_it"].as_u64().unwrap());
                let expected = row[1].as_f64().unwrap();
                assert!((rate - expected).abs() < 1e-12, "{shape:?} at {step}: {rate} for {expected}");
                compared += 1;
            }
        }
        assert!(compared >= 24, "{compared}");
    }

    #[test]
    fn a_trapezoid_is_flat_and_then_a_line() {
        let shape = Shape::Trapezoid { from: 0.75, end: 0.1 };
        let schedule = Schedule { warmup: 10, shape, ..Schedule::default() };
        // The span after the warm-up is 100 steps: flat up to step 85, where longer runs are the same.
        for step in 10..=85 {
            assert_eq!(schedule.factor(step, 111), 1.0);
            assert_eq!(schedule.factor(step, 1000), 1.0);
        }
        assert!((schedule.factor(95, 111) - 0.64).abs() < 1e-12);
        assert!((schedule.factor(110, 111) - 0.1).abs() < 1e-12);
        assert!(schedule.factor(86, 111) < 1.0);
    }

    #[test]
    fn a_run_of_warm_up_alone_and_of_one_step_have_a_rate() {
        let schedule = Schedule { warmup: 4, ..Schedule::default() };
        assert!(schedule.factor(3, 4) < 1.0);
        assert_eq!(Schedule::default().factor(0, 1), 1.0);
    }
}
