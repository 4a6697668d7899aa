//! VAR's `more_smooth`: a convex mix of codes instead of the drawn one. Improves looks, not benchmark
//! numbers.

/// The temperature of the mix at progress x = k/(K-1): max(0.27·(1 - 0.95·x), 0.005).
pub fn temperature(progress: f64) -> f64 {
    (0.27 * (1.0 - 0.95 * progress)).max(0.005)
}

/// Turns a filtered row into the weights softmax((logits·(1 + x) - ln e)/τ), with e ~ Exp(1).
pub fn mix(row: &mut [f32], noise: &[f32], progress: f64) {
    let (sharpness, tau) = ((1.0 + progress) as f32, temperature(progress) as f32);
    row.iter_mut().zip(noise).for_each(|(value, e)| *value = (*value * sharpness - e.ln()) / tau);
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    row.iter_mut().for_each(|value| *value = (*value - max).exp());
    let total = row.iter().map(|value| f64::from(*value)).sum::<f64>() as f32;
    row.iter_mut().for_each(|value| *value /= total);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_temperature_falls_to_its_floor() {
        assert_eq!(temperature(0.0), 0.27);
        assert!((temperature(1.0) - 0.0135).abs() < 1e-12);
        assert_eq!(temperature(1.05), 0.005);
    }

    #[test]
    fn weights_are_a_convex_mix_without_masked_classes() {
        let mut row = [0.1, f32::NEG_INFINITY, 0.2, 0.0];
        mix(&mut row, &[1.0, 0.5, 0.9, 1.1], 0.5);
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert_eq!(row[1], 0.0);
        assert!(row.iter().all(|w| *w >= 0.0));
    }
}
