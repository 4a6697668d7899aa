//! Choosing one class of a filtered row.

/// The class of largest logit, the first among equals.
pub fn argmax(row: &[f32]) -> usize {
    let mut best = 0;
    for (class, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = class;
        }
    }
    best
}

/// The class that `uniform` in [0, 1) falls on: the first whose cumulative probability, in class order, is above it. A
/// class of probability 0 is never drawn.
pub fn inverse_cdf(row: &[f32], uniform: f32) -> usize {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |value: &f32| f64::from((value - max).exp());
    let total: f64 = row.iter().map(weight).sum();
    let target = f64::from(uniform) * total;
    let (mut sum, mut last) = (0.0, 0);
    for (class, value) in row.iter().enumerate() {
        let weight = weight(value);
        if weight > 0.0 {
            sum += weight;
            last = class;
            if sum > target {
                break;
            }
        }
    }
    last
}

/// The winner of an exponential race, argmax p/e: how torch's multinomial draws one sample a row.
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
    use crate::random::uniform;

    #[test]
    fn argmax_takes_the_first_of_equals() {
        assert_eq!(argmax(&[0.0, 2.0, 2.0, 1.0]), 1);
    }

    #[test]
    fn the_ends_of_the_unit_interval_hit_the_first_and_last_possible_class() {
        let row = [f32::NEG_INFINITY, 0.0, 0.0, f32::NEG_INFINITY];
        assert_eq!(inverse_cdf(&row, 0.0), 1);
        assert_eq!(inverse_cdf(&row, 0.5), 2);
        assert_eq!(inverse_cdf(&row, uniform(u32::MAX)), 2);
    }

    #[test]
    fn frequencies_are_the_probabilities() {
        let row = [0.1f32.ln(), 0.6f32.ln(), 0.3f32.ln()];
        let mut counts = [0; 3];
        (0..1000).for_each(|i| counts[inverse_cdf(&row, (i as f32 + 0.5) / 1000.0)] += 1);
        assert_eq!(counts, [100, 600, 300]);
    }

    #[test]
    fn a_masked_class_never_wins_the_race() {
        assert_eq!(race(&[f32::NEG_INFINITY, 0.0, 1.0], &[1e-30, 1.0, 1.0]), 2);
    }
}
