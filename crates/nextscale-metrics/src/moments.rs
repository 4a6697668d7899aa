use faer::MatRef;

use crate::{Error, Result};

/// The mean and covariance of a set's features: what a Fréchet distance compares.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    count: Option<u64>,
    mean: Vec<f64>,
    covariance: Vec<f64>,
}

impl Moments {
    /// A mean `[dims]` and a symmetric covariance `[dims, dims]`, with the number of vectors behind them, if
    /// known.
    ///
    /// # Errors
    /// [`Error::Covariance`] if the covariance does not have the mean's size, is not symmetric, or a value is
    /// not finite.
    pub fn new(count: Option<u64>, mean: Vec<f64>, covariance: Vec<f64>) -> Result<Self> {
        let dims = mean.len();
        if dims == 0 || covariance.len() != dims * dims {
            let found = covariance.len();
            return Err(Error::Covariance(format!("{found} values are not a covariance of {dims} features")));
        }
        if let Some(at) = mean.iter().chain(&covariance).position(|value| !value.is_finite()) {
            let which = if at < dims { "mean" } else { "covariance" };
            return Err(Error::Covariance(format!("the {which} holds values that are not finite")));
        }
        let largest = covariance.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        let skewed = (0..dims).any(|i| {
            (0..i).any(|j| (covariance[i * dims + j] - covariance[j * dims + i]).abs() > 1e-6 * largest)
        });
        if skewed {
            return Err(Error::Covariance("the covariance is not symmetric".into()));
        }
        Ok(Self { count, mean, covariance })
    }

    /// The number of vectors behind them, if known.
    pub fn count(&self) -> Option<u64> {
        self.count
    }

    /// The number of features.
    pub fn dims(&self) -> usize {
        self.mean.len()
    }

    /// The mean, `[dims]`.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The covariance, `[dims, dims]`.
    pub fn covariance(&self) -> &[f64] {
        &self.covariance
    }

    pub(crate) fn matrix(&self) -> MatRef<'_, f64> {
        MatRef::from_column_major_slice(&self.covariance, self.dims(), self.dims())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_covariance_is_refused() {
        let say = |mean: &[f64], covariance: &[f64]| {
            Moments::new(None, mean.into(), covariance.into()).unwrap_err().to_string()
        };
        assert!(say(&[0.0; 2], &[1.0; 3]).contains("3 values"));
        assert!(say(&[0.0; 2], &[1.0, 0.5, 0.4, 1.0]).contains("not symmetric"));
        assert!(say(&[f64::NAN, 0.0], &[1.0, 0.0, 0.0, 1.0]).contains("mean holds"));
        assert!(say(&[0.0; 2], &[1.0, 0.0, 0.0, f64::INFINITY]).contains("covariance holds"));
        assert!(Moments::new(Some(9), vec![0.0; 2], vec![1.0, 0.5, 0.5, 1.0]).is_ok());
    }
}
