use serde::{Deserialize, Serialize};

use super::t_95;

/// A difference from the baseline with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The difference, cell minus baseline.
    pub value: f64,
    /// The lower end of the interval, if there is one.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
}

impl Difference {
    /// Without an interval.
    pub fn bare(value: f64) -> Self {
        Self { value, low: None, high: None }
    }

    /// Whether the interval excludes zero; `None` without an interval.
    pub fn excludes_zero(&self) -> Option<bool> {
        Some(self.low? > 0.0 || self.high? < 0.0)
    }
}

/// From one paired difference per seed: their mean, and Student's t interval for it.
pub fn over_seeds(differences: &[f64]) -> Difference {
    let n = differences.len() as f64;
    let mean = differences.iter().sum::<f64>() / n;
    if differences.len() < 2 {
        return Difference::bare(mean);
    }
    let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let half = t_95(differences.len() - 1) * (variance / n).sqrt();
    Difference { value: mean, low: Some(mean - half), high: Some(mean + half) }
}

/// A difference with the 2.5 and 97.5 % points of its resampled values.
pub fn percentiles(value: f64, mut resampled: Vec<f64>) -> Difference {
    if resampled.len() < 40 {
        // Fewer than one value in each tail are not enough.
        return Difference::bare(value);
    }
    resampled.sort_by(f64::total_cmp);
    let at = |p: f64| {
        let place = p * (resampled.len() - 1) as f64;
        let (low, part) = (place.floor() as usize, place.fract());
        let next = resampled[(low + 1).min(resampled.len() - 1)];
        resampled[low] + part * (next - resampled[low])
    };
    Difference { value, low: Some(at(0.025)), high: Some(at(0.975)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_over_seeds_is_students() {
        // Mean 3, standard deviation sqrt(2.5), five values: half width 2.7764·sqrt(0.5).
        let difference = over_seeds(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        let half = 2.7764 * 0.5f64.sqrt();
        assert_eq!(difference.value, 3.0);
        assert!((difference.low.unwrap() - (3.0 - half)).abs() < 1e-12);
        assert!((difference.high.unwrap() - (3.0 + half)).abs() < 1e-12);
        assert_eq!(difference.excludes_zero(), Some(true));
        assert_eq!(over_seeds(&[-1.0, 1.0, 0.5, -0.5, 0.1]).excludes_zero(), Some(false));
        assert_eq!(over_seeds(&[2.0]).excludes_zero(), None);
    }

    #[test]
    fn percentiles_interpolate() {
        let difference = percentiles(7.0, (0..=1000).rev().map(f64::from).collect());
        assert_eq!((difference.value, difference.low, difference.high), (7.0, Some(25.0), Some(975.0)));
        assert_eq!(percentiles(1.0, vec![1.0; 10]).low, None);
    }

    #[test]
    fn equal_values_touch_zero_and_do_not_exclude_it() {
        assert_eq!(over_seeds(&[0.0; 5]).excludes_zero(), Some(false));
        assert_eq!(percentiles(0.0, vec![0.0; 100]).excludes_zero(), Some(false));
    }
}
