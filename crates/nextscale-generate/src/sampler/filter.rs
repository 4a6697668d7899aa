use nextscale_core::{Error, Result};
use nextscale_kernels::categorical::Row;

/// Which classes of a row can be drawn: VAR's top-k followed by top-p (upstream's
/// `sample_with_top_k_top_p_`), then min-p.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Filter {
    /// Keeps the k largest logits and all ties with the k-th; 0 is off.
    pub top_k: usize,
    /// Removes the least likely classes whose cumulative probability, summed from the least likely, is at
    /// most 1 - p. The largest always stays; 0 is off.
    pub top_p: f64,
    /// Removes classes whose probability is below this fraction of the largest, from 0 to 1; 0 is off.
    pub min_p: f64,
}

impl Filter {
    /// Checks the settings for `classes` alternatives.
    ///
    /// # Errors
    /// A setting error naming the field.
    pub fn check(&self, classes: usize) -> Result<()> {
        if self.top_k > classes {
            return Err(Error::setting(
                "top_k",
                format!(
                    "{} is more than the {classes} classes to choose from; 0 switches it off",
                    self.top_k
                ),
            ));
        }
        for (field, value) in [("top_p", self.top_p), ("min_p", self.min_p)] {
            if !(0.0..=1.0).contains(&value) {
                let message = format!("{value} is not a probability; give 0 (off) to 1");
                return Err(Error::setting(field, message));
            }
        }
        Ok(())
    }

    /// Whether top-k removes anything among `classes`.
    pub(super) fn cuts(&self, classes: usize) -> bool {
        self.top_k > 0 && self.top_k < classes
    }

    /// How far below the largest a logit may be under min-p; `None` if that is off.
    pub(super) fn margin(&self) -> Option<f32> {
        (self.min_p > 0.0).then(|| -self.min_p.ln() as f32)
    }

    /// Replaces removed classes by -inf.
    pub fn apply(&self, row: &mut Row) {
        row.keep_top_k(self.top_k);
        row.keep_top_p(self.top_p);
        if let Some(margin) = self.margin() {
            let logits = row.logits();
            let least = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max) - margin;
            logits.iter_mut().filter(|logit| **logit < least).for_each(|logit| *logit = f32::NEG_INFINITY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filtered(logits: Vec<f32>, top_k: usize, top_p: f64) -> Vec<f32> {
        let mut row = Row::default();
        row.set(&logits, 1.0);
        Filter { top_k, top_p, ..Filter::default() }.apply(&mut row);
        row.logits().to_vec()
    }

    fn kept(row: &[f32]) -> Vec<usize> {
        (0..row.len()).filter(|&i| row[i] > f32::NEG_INFINITY).collect()
    }

    #[test]
    fn every_tie_with_the_kth_survives() {
        assert_eq!(kept(&filtered(vec![1.0, 3.0, 2.0, 2.0, 0.0, 2.0], 2, 0.0)), [1, 2, 3, 5]);
        assert_eq!(kept(&filtered(vec![-0.0, 0.0, -1.0], 1, 0.0)), [0, 1]);
    }

    #[test]
    fn a_cumulative_sum_of_exactly_one_minus_p_is_removed() {
        // Four equal classes: cumulative sums 0.25, 0.5, 0.75, 1 in class order.
        assert_eq!(kept(&filtered(vec![1.0; 4], 0, 0.5)), [2, 3]);
        assert_eq!(kept(&filtered(vec![1.0; 4], 0, 0.6)), [1, 2, 3]);
    }

    #[test]
    fn the_largest_always_stays() {
        assert_eq!(kept(&filtered(vec![0.0, 5.0, 5.0, 1.0], 0, 1e-12)), [2]);
    }

    #[test]
    fn off_means_off() {
        let row = vec![0.5, -3.0, 1.0];
        assert_eq!(filtered(row.clone(), 0, 0.0), row);
        assert_eq!(filtered(row.clone(), 3, 0.0), row);
        assert_eq!(filtered(row.clone(), 0, 1.0), row);
    }

    #[test]
    fn p_of_one_removes_only_what_underflows() {
        assert_eq!(kept(&filtered(vec![0.0, -200.0, -50.0], 0, 1.0)), [0, 2]);
    }

    #[test]
    fn an_empty_row_stays_empty() {
        assert_eq!(kept(&filtered(vec![f32::NEG_INFINITY; 4], 2, 0.5)), [0; 0]);
    }

    #[test]
    fn min_p_keeps_what_is_at_least_so_likely_beside_the_likeliest() {
        let probabilities = [0.4_f32, 0.2, 0.04, 0.3, 0.06];
        let kept_at = |min_p: f64| {
            let mut row = Row::default();
            row.set(&probabilities.map(|p| p.ln() + 2.0), 1.0);
            Filter { min_p, ..Filter::default() }.apply(&mut row);
            kept(row.logits())
        };
        for (min_p, expected) in
            [(0.0, &[0, 1, 2, 3, 4][..]), (0.12, &[0, 1, 3, 4]), (0.49, &[0, 1, 3]), (1.0, &[0])]
        {
            let least = |i: &usize| f64::from(probabilities[*i]) >= min_p * 0.4;
            assert_eq!((0..5).filter(least).collect::<Vec<_>>(), expected);
            assert_eq!(kept_at(min_p), expected, "{min_p}");
        }
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let error = Filter { top_k: 65, ..Filter::default() }.check(64).unwrap_err().to_string();
        assert!(error.contains("top_k: 65 is more than the 64"), "{error}");
        assert!(Filter { top_p: 1.5, ..Filter::default() }.check(64).is_err());
        assert!(Filter { top_p: f64::NAN, ..Filter::default() }.check(64).is_err());
        let error = Filter { min_p: -0.5, ..Filter::default() }.check(64).unwrap_err().to_string();
        assert!(error.starts_with("min_p: "), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// The threshold search removes the same classes as the definition by a stable sort.
        #[test]
        fn top_p_is_the_sorted_definition(levels in prop::collection::vec(-8i32..8, 1..200), p in 0.01f64..1.0) {
            let row: Vec<f32> = levels.iter().map(|&level| level as f32 * 0.37).collect();
            let mut order: Vec<usize> = (0..row.len()).collect();
            order.sort_by(|&a, &b| row[a].total_cmp(&row[b]));
            let max = row[order[row.len() - 1]];
            let weights: Vec<f64> = order.iter().map(|&i| f64::from((row[i] - max).exp())).collect();
            let total: f64 = weights.iter().sum();
            let (mut expected, mut sum) = (row.clone(), 0.0);
            for (&i, weight) in order.iter().zip(&weights).take(row.len() - 1) {
                sum += weight;
                if (sum / total) as f32 <= (1.0 - p) as f32 {
                    expected[i] = f32::NEG_INFINITY;
                }
            }
            prop_assert_eq!(filtered(row, 0, p), expected);
        }
    }
}
