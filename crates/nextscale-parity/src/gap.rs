use burn::tensor::{Int, Tensor};
use nextscale_core::Error as CoreError;
use nextscale_pipeline::Result;

use crate::Fixture;
use crate::host::{floats, integers};

/// The difference between tensors and recorded ones, over all that were added.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Gap {
    /// The number of tensors compared.
    pub tensors: usize,
    /// Values in them.
    pub values: usize,
    /// The largest difference of a value; infinite if ours is NaN.
    pub largest: f64,
    /// The largest difference of a tensor's values relative to the largest of its recorded values, for the
    /// worst tensor.
    pub relative: f64,
    /// The number of values that differ.
    pub differing: usize,
    /// How many of the values are integers, which are equal or wrong: tokens, masks.
    pub tokens: usize,
    /// The number of those that differ.
    pub wrong: usize,
}

impl Gap {
    /// Merges another's comparisons.
    pub fn join(&mut self, other: &Self) {
        self.tensors += other.tensors;
        self.values += other.values;
        self.largest = self.largest.max(other.largest);
        self.relative = self.relative.max(other.relative);
        self.differing += other.differing;
        self.tokens += other.tokens;
        self.wrong += other.wrong;
    }

    /// Compares with the recorded tensor `name`.
    ///
    /// # Errors
    /// If it does not exist, or its shape differs.
    pub fn add<const D: usize>(&mut self, found: &Tensor<D>, file: &Fixture, name: &str) -> Result<()> {
        let (expected, shape) = file.values(name)?;
        if found.dims()[..] != shape[..] {
            return Err(CoreError::shape(name, format!("{shape:?}"), &found.dims()).into());
        }
        self.add_floats(&floats(found)?, &expected, name)
    }

    /// Compares with the recorded tokens `name`.
    ///
    /// # Errors
    /// If they do not exist, or their number differs.
    pub fn add_tokens<const D: usize>(
        &mut self,
        found: &Tensor<D, Int>,
        file: &Fixture,
        name: &str,
    ) -> Result<()> {
        self.add_integers(&integers(found.clone())?, &file.integers::<2>(name)?, name)
    }

    /// Compares values in the same order.
    ///
    /// # Errors
    /// If their number differs.
    pub fn add_floats(&mut self, found: &[f32], expected: &[f32], name: &str) -> Result<()> {
        self.count(found.len(), expected.len(), name)?;
        let (mut largest, mut reach) = (0.0_f64, 0.0_f64);
        for (&found, &expected) in found.iter().zip(expected) {
            if found == expected {
                reach = reach.max(f64::from(expected).abs());
                continue;
            }
            self.differing += 1;
            let difference = (f64::from(found) - f64::from(expected)).abs();
            largest = largest.max(if difference.is_nan() { f64::INFINITY } else { difference });
            reach = reach.max(f64::from(expected).abs());
        }
        self.largest = self.largest.max(largest);
        if largest > 0.0 {
            // A recorded 0 that is missed is infinitely far, and so is NaN.
            self.relative = self.relative.max(largest / reach.max(f64::MIN_POSITIVE));
        }
        Ok(())
    }

    /// Compares integers in the same order, for equality.
    ///
    /// # Errors
    /// If their number differs.
    pub fn add_integers(&mut self, found: &[i64], expected: &[i64], name: &str) -> Result<()> {
        self.count(found.len(), expected.len(), name)?;
        let wrong = found.iter().zip(expected).filter(|(found, expected)| found != expected).count();
        self.add_wrong(found.len(), wrong);
        Ok(())
    }

    /// Counts integers and how many of them are wrong, of a tensor that has been counted.
    fn add_wrong(&mut self, tokens: usize, wrong: usize) {
        self.tokens += tokens;
        self.differing += wrong;
        self.wrong += wrong;
    }

    /// Counts one more tensor of `tokens` integers, of which so many are wrong.
    pub(crate) fn add_counted(&mut self, tokens: usize, wrong: usize) {
        self.tensors += 1;
        self.values += tokens;
        self.add_wrong(tokens, wrong);
    }

    fn count(&mut self, found: usize, expected: usize, name: &str) -> Result<()> {
        if found != expected {
            return Err(CoreError::shape(name, format!("{expected} values"), &[found]).into());
        }
        self.tensors += 1;
        self.values += found;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_value_and_the_worst_tensor_count() {
        let mut gap = Gap::default();
        gap.add_floats(&[1.0, 2.5], &[1.0, 2.0], "a").unwrap();
        gap.add_floats(&[100.0, 101.0], &[100.0, 100.0], "b").unwrap();
        assert_eq!((gap.tensors, gap.values, gap.differing), (2, 4, 2));
        assert_eq!((gap.largest, gap.relative), (1.0, 0.25));
        gap.add_integers(&[1, 2, 4], &[1, 2, 3], "c").unwrap();
        assert_eq!((gap.tensors, gap.values, gap.differing, gap.tokens, gap.wrong), (3, 7, 3, 3, 1));
    }

    #[test]
    fn what_is_no_number_is_infinitely_far_and_equal_infinities_are_not() {
        let mut gap = Gap::default();
        gap.add_floats(&[f32::NEG_INFINITY], &[f32::NEG_INFINITY], "masked").unwrap();
        assert_eq!(gap.largest, 0.0);
        for found in [f32::NAN, f32::INFINITY] {
            let mut gap = Gap::default();
            gap.add_floats(&[found, 1.0], &[0.5, 1.0], "broken").unwrap();
            assert_eq!((gap.largest, gap.relative), (f64::INFINITY, f64::INFINITY));
        }
    }

    #[test]
    fn another_number_of_values_is_refused_by_name() {
        let error = Gap::default().add_integers(&[1], &[1, 2], "idx").unwrap_err().to_string();
        assert!(error.contains("idx") && error.contains("2 values"), "{error}");
    }
}
