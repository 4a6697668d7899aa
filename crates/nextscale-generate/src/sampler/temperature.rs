//! The divisor of a choice's logits.

use burn::tensor::Tensor;

/// A temperature for each row of logits, one row per choice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Temperature {
    /// The same for all.
    Constant(f64),
    /// base·exp(−H/decay) + floor, H the entropy of the row's distribution in nats.
    Entropy { base: f64, decay: f64, floor: f64 },
    /// At least `least`, and enough to reduce the difference of a row's two logits to `gap`.
    Gap { least: f64, gap: f64 },
}

impl Temperature {
    /// That of a row.
    pub fn of(self, logits: &[f32]) -> f32 {
        match self {
            Self::Constant(temperature) => temperature as f32,
            Self::Entropy { base, decay, floor } => (base * (-entropy(logits) / decay).exp() + floor) as f32,
            Self::Gap { least, gap } => {
                let (low, high) = logits
                    .iter()
                    .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)));
                let needed = f64::from(high - low) / gap;
                // A masked logit stays masked at any temperature.
                if needed.is_finite() { least.max(needed) as f32 } else { least as f32 }
            }
        }
    }

    /// `x` `[rows, classes]` divided by the temperatures of its rows.
    pub fn divide(self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Constant(1.0) => x,
            Self::Constant(temperature) => x / temperature,
            Self::Entropy { base, decay, floor } => {
                let shifted = x.clone() - x.clone().max_dim(1);
                let weights = shifted.clone().exp();
                let total = weights.clone().sum_dim(1);
                // A masked class has weight 0 and contributes nothing.
                let mean = (weights * shifted.clamp_min(f64::from(f32::MIN))).sum_dim(1) / total.clone();
                let entropy = total.log() - mean;
                x / ((entropy * (-1.0 / decay)).exp() * base + floor)
            }
            Self::Gap { least, gap } => {
                let needed = (x.clone().max_dim(1) - x.clone().min_dim(1)) / gap;
                let masked = needed.clone().greater_elem(f32::MAX);
                x / needed.mask_fill(masked, least).clamp_min(least)
            }
        }
    }
}

/// The entropy of a row's distribution, in nats.
fn entropy(logits: &[f32]) -> f64 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (mut total, mut moment) = (0.0, 0.0);
    for &logit in logits {
        let shifted = logit - max;
        let weight = f64::from(shifted.exp());
        if weight > 0.0 {
            total += weight;
            moment += weight * f64::from(shifted);
        }
    }
    total.ln() - moment / total
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    #[test]
    fn entropy_is_that_of_the_distribution() {
        assert!((entropy(&[1.5; 8]) - 8.0_f64.ln()).abs() < 1e-12);
        assert!(entropy(&[0.0, -200.0, f32::NEG_INFINITY]).abs() < 1e-12);
        let p = [0.5_f64, 0.25, 0.25];
        let expected = -p.iter().map(|p| p * p.ln()).sum::<f64>();
        let logits = p.map(|p| (p.ln() + 3.0) as f32);
        assert!((entropy(&logits) - expected).abs() < 1e-6);
    }

    #[test]
    fn both_routes_divide_alike() {
        let rows = [[0.0, 1.0, -2.0, 0.5], [9.0, -9.0, -9.0, -9.0], [0.3, 0.3, 0.3, f32::NEG_INFINITY]];
        for temperature in [
            Temperature::Constant(1.0),
            Temperature::Constant(0.5),
            Temperature::Entropy { base: 2.0, decay: 1.5, floor: 0.3 },
            Temperature::Gap { least: 0.5, gap: 2.0 },
        ] {
            let x = Tensor::<2>::from_data(TensorData::new(rows.concat(), [3, 4]), &Device::flex());
            let divided: Vec<f32> = temperature.divide(x).into_data().try_to_vec().unwrap();
            for (row, divided) in rows.iter().zip(divided.chunks(4)) {
                let by = temperature.of(row);
                for (value, found) in row.iter().zip(divided) {
                    assert!((value / by - found).abs() < 1e-5 || value / by == *found, "{temperature:?}");
                }
            }
        }
    }
}
