//! Choosing one class of a filtered row with given noise.

/// The winner of an exponential race, argmax p/e, which is how torch's multinomial draws one sample per row.
pub fn race(row: &[f32], noise: &[f32]) -> usize {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = row.iter().map(|value| f64::from((value - max).exp())).sum();
    let (mut best, mut winner) = (f32::NEG_INFINITY, 0);
    for (class, (value, e)) in row.iter().zip(noise).enumerate() {
        let speed = (f64::from((value - max).exp()) / total) as f32 / e;
        if speed > best {
            (best, winner) = (speed, class);
        }
    }
    winner
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_class_never_wins_the_race() {
        assert_eq!(race(&[f32::NEG_INFINITY, 0.0, 1.0], &[1e-30, 1.0, 1.0]), 2);
    }
}
