//! Choosing one class from a row of logits in host memory: top-k, top-p and the draw.
//!
//! No row is sorted. A threshold is found bit by bit among the numbers' keys (integers in the same order),
//! with one counting or weighing pass per bit.

use crate::{
    math::exp,
    raw::{Kernel, Level},
    reduce,
};

/// The draw first finds the block of this many classes, then the class.
const STRETCH: usize = 64;

/// Whether a class can be drawn from the logits: no NaN, no +inf, not all -inf.
pub fn is_drawable(logits: &[f32]) -> bool {
    Level::detected().run(Drawable(logits))
}

/// The first class of the largest logit.
pub fn argmax(logits: &[f32]) -> usize {
    let top = Level::detected().run(Largest(logits));
    logits.iter().position(|&value| value == top).unwrap_or(0)
}

/// A row of logits and its working space. One per thread serves any number of rows.
#[derive(Clone, Debug, Default)]
pub struct Row {
    logits: Vec<f32>,
    keys: Vec<u32>,
    weights: Vec<f32>,
    classes: Vec<u32>,
}

impl Row {
    /// Loads new logits, divided by a temperature above 0.
    pub fn set(&mut self, logits: &[f32], temperature: f32) {
        Level::detected().run(Set { row: self, logits, temperature });
    }

    /// The current logits.
    pub fn logits(&mut self) -> &mut [f32] {
        &mut self.logits
    }

    /// Sets all but the k largest logits to -inf, keeping ties with the k-th. Keeps everything if `k` is 0 or
    /// the number of classes.
    pub fn keep_top_k(&mut self, k: usize) {
        if k > 0 && k < self.logits.len() {
            Level::detected().run(TopK { row: self, k });
        }
    }

    /// Sets the least likely classes to -inf: those whose cumulative probability, in the ascending order of a
    /// stable sort, is at most `1 - p`. The largest logit (the last among equals) stays. Keeps everything if
    /// `p` is 0.
    pub fn keep_top_p(&mut self, p: f64) {
        if p > 0.0 {
            Level::detected().run(TopP { row: self, limit: (1.0 - p) as f32 });
        }
    }

    /// The class that `uniform` in [0, 1) falls on: the first whose cumulative probability, in class order,
    /// is above it. A class of probability 0 is never drawn.
    pub fn inverse_cdf(&mut self, uniform: f32) -> usize {
        Level::detected().run(InverseCdf { row: self, uniform })
    }
}

struct Set<'a> {
    row: &'a mut Row,
    logits: &'a [f32],
    temperature: f32,
}

impl Kernel for Set<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        self.row.logits.clear();
        self.row.logits.extend(self.logits.iter().map(|&value| value / self.temperature));
    }
}

struct Drawable<'a>(&'a [f32]);

impl Kernel for Drawable<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<const FMA: bool>(self) -> bool {
        let faults: u32 = self.0.iter().map(|&v| u32::from(v.is_nan() | (v == f32::INFINITY))).sum();
        faults == 0 && reduce::max(self.0) > f32::NEG_INFINITY
    }
}

struct Largest<'a>(&'a [f32]);

impl Kernel for Largest<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<const FMA: bool>(self) -> f32 {
        reduce::max(self.0)
    }
}

/// An integer in the order of the numbers; -0 and 0 share a key. The key of NaN is meaningless.
#[inline(always)]
fn key(value: f32) -> u32 {
    let bits = (value + 0.0).to_bits();
    bits ^ ((bits as i32 >> 31) as u32 | 0x8000_0000)
}

/// The largest key for which `few` holds, where `few` holds for all smaller keys too. `few(0)` is assumed to
/// hold.
#[inline(always)]
fn last_key(few: impl Fn(u32) -> bool) -> u32 {
    (0..32).rev().fold(0, |found, bit| {
        let tried = found | 1 << bit;
        if few(tried) { tried } else { found }
    })
}

struct TopK<'a> {
    row: &'a mut Row,
    k: usize,
}

impl Kernel for TopK<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Row { logits, keys, .. } = self.row;
        keys.clear();
        keys.extend(logits.iter().map(|&value| key(value)));
        let k = self.k as u32;
        // The k-th largest is the largest key that at least k keys reach.
        let kth = last_key(|tried| keys.iter().map(|&key| u32::from(key >= tried)).sum::<u32>() >= k);
        for (value, &key) in logits.iter_mut().zip(keys.iter()) {
            *value = if key < kth { f32::NEG_INFINITY } else { *value };
        }
    }
}

struct TopP<'a> {
    row: &'a mut Row,
    limit: f32,
}

impl Kernel for TopP<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Row { logits, keys, weights, classes } = self.row;
        let top = reduce::max(logits);
        if top == f32::NEG_INFINITY {
            return;
        }
        // After top-k only few classes are left: search only those.
        let left = |class: &u32| logits[*class as usize] > f32::NEG_INFINITY;
        classes.clear();
        classes.extend((0..logits.len() as u32).filter(left));
        keys.clear();
        keys.extend(classes.iter().map(|&class| key(logits[class as usize])));
        weights.clear();
        weights.extend(classes.iter().map(|&class| logits[class as usize]));
        weights.iter_mut().for_each(|weight| *weight = exp::<FMA>(*weight - top));
        let total = sum(weights);
        let within = |mass: f64| (mass / total) as f32 <= self.limit;
        // All classes below this level are removed: together they weigh no more than the limit.
        let level = last_key(|tried| within(sum_below(weights, keys, tried)));
        let mut mass = sum_below(weights, keys, level);
        let largest = keys.iter().rposition(|&other| other == key(top));
        for (i, &class) in classes.iter().enumerate() {
            let at_level = keys[i] == level && Some(i) != largest;
            if at_level {
                mass += f64::from(weights[i]);
            }
            if keys[i] < level && Some(i) != largest || at_level && within(mass) {
                logits[class as usize] = f32::NEG_INFINITY;
            }
        }
    }
}

const LANES: usize = 16;

#[inline(always)]
fn sum(weights: &[f32]) -> f64 {
    let mut lanes = [0.0f64; LANES];
    let mut pieces = weights.chunks_exact(LANES);
    for weights in &mut pieces {
        for i in 0..LANES {
            lanes[i] += f64::from(weights[i]);
        }
    }
    lanes.iter().sum::<f64>() + pieces.remainder().iter().map(|&weight| f64::from(weight)).sum::<f64>()
}

/// The sum of the weights whose key is below `bound`.
#[inline(always)]
fn sum_below(weights: &[f32], keys: &[u32], bound: u32) -> f64 {
    let term = |weight: f32, key: u32| f64::from(if key < bound { weight } else { 0.0 });
    let mut lanes = [0.0f64; LANES];
    let (mut weights, mut keys) = (weights.chunks_exact(LANES), keys.chunks_exact(LANES));
    for (weights, keys) in (&mut weights).zip(&mut keys) {
        for i in 0..LANES {
            lanes[i] += term(weights[i], keys[i]);
        }
    }
    let rest = weights.remainder().iter().zip(keys.remainder());
    lanes.iter().sum::<f64>() + rest.map(|(&weight, &key)| term(weight, key)).sum::<f64>()
}

struct InverseCdf<'a> {
    row: &'a mut Row,
    uniform: f32,
}

impl Kernel for InverseCdf<'_> {
    type Output = usize;

    #[inline(always)]
    fn run<const FMA: bool>(self) -> usize {
        let Row { logits, weights, .. } = self.row;
        let top = reduce::max(logits);
        weights.clear();
        weights.extend(logits.iter().map(|&value| exp::<FMA>(value - top)));
        let total: f64 = weights.chunks(STRETCH).map(sum).sum();
        let target = f64::from(self.uniform) * total;
        let (mut before, mut last) = (0.0, 0);
        for (i, weights) in weights.chunks(STRETCH).enumerate() {
            let after = before + sum(weights);
            if after > target {
                let mut sum = before;
                for (j, &weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
                    sum += f64::from(weight);
                    last = i * STRETCH + j;
                    if sum > target {
                        break;
                    }
                }
                return last;
            }
            if let Some(j) = weights.iter().rposition(|&weight| weight > 0.0) {
                last = i * STRETCH + j;
            }
            before = after;
        }
        // Only rounding leads here: take the last class that can be drawn.
        last
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(logits: &[f32]) -> Row {
        let mut row = Row::default();
        row.set(logits, 1.0);
        row
    }

    #[test]
    fn keys_are_in_the_numbers_order() {
        let numbers = [f32::NEG_INFINITY, -3.0, -1e-40, 0.0, 1e-40, 2.0, f32::INFINITY];
        assert!(numbers.is_sorted_by_key(|&number| key(number)));
        assert_eq!(key(-0.0), key(0.0));
    }

    #[test]
    fn a_row_is_drawable_where_it_has_a_largest_finite_logit() {
        let (inf, nan) = (f32::INFINITY, f32::NAN);
        for (place, fault) in [(0, nan), (37, nan), (12, inf), (40, nan)] {
            let mut logits = vec![0.5; 41];
            assert!(is_drawable(&logits));
            logits[3] = -inf;
            assert!(is_drawable(&logits));
            logits[place] = fault;
            assert!(!is_drawable(&logits));
        }
        assert!(!is_drawable(&[-inf; 40]) && !is_drawable(&[nan; 2]));
    }

    #[test]
    fn the_first_of_equals_is_the_largest() {
        assert_eq!(argmax(&[0.0, 2.0, 2.0, 1.0]), 1);
        assert_eq!(argmax(&[f32::NEG_INFINITY; 3]), 0);
    }

    #[test]
    fn the_ends_of_the_unit_interval_hit_the_first_and_last_possible_class() {
        let inf = f32::INFINITY;
        for zeros in [0, 64, 100] {
            let logits = [vec![-inf; zeros], vec![0.0, 0.0], vec![-inf; zeros]].concat();
            assert_eq!(row(&logits).inverse_cdf(0.0), zeros);
            assert_eq!(row(&logits).inverse_cdf(0.5), zeros + 1);
            assert_eq!(row(&logits).inverse_cdf(1.0 - f32::EPSILON / 2.0), zeros + 1);
        }
    }

    #[test]
    fn frequencies_are_the_probabilities() {
        let mut row = row(&[0.1f32.ln(), 0.6f32.ln(), 0.3f32.ln()]);
        let mut counts = [0; 3];
        (0..1000).for_each(|i| counts[row.inverse_cdf((i as f32 + 0.5) / 1000.0)] += 1);
        assert_eq!(counts, [100, 600, 300]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        #[test]
        fn top_k_is_the_sorted_definition(logits in prop::collection::vec(-4.0f32..4.0, 2..300), k in 1usize..300, ties: bool) {
            let logits: Vec<f32> = logits.iter().map(|&v| if ties { v.round() } else { v }).collect();
            let k = k.min(logits.len());
            let mut sorted = logits.clone();
            sorted.sort_by(|a, b| b.total_cmp(a));
            let expected: Vec<f32> =
                logits.iter().map(|&v| if v < sorted[k - 1] { f32::NEG_INFINITY } else { v }).collect();
            let mut row = row(&logits);
            row.keep_top_k(k);
            prop_assert_eq!(row.logits(), expected);
        }

        #[test]
        fn draws_are_the_summed_definition(logits in prop::collection::vec(-9.0f32..9.0, 1..400), uniform in 0.0f32..1.0) {
            let weights: Vec<f64> = logits.iter().map(|&v| f64::from(v).exp()).collect();
            let total: f64 = weights.iter().sum();
            let drawn = row(&logits).inverse_cdf(uniform);
            let below: f64 = weights[..drawn].iter().sum::<f64>() / total;
            let above = below + weights[drawn] / total;
            prop_assert!(below - 1e-6 <= f64::from(uniform) && f64::from(uniform) <= above + 1e-6);
        }

        #[test]
        fn levels_agree(logits in prop::collection::vec(-9.0f32..9.0, 1..400), uniform in 0.0f32..1.0, p in 0.1f64..1.0) {
            let outcomes: Vec<(usize, Vec<f32>)> = Level::available()
                .into_iter()
                .map(|level| {
                    let mut row = row(&logits);
                    level.run(TopK { row: &mut row, k: logits.len() / 2 });
                    level.run(TopP { row: &mut row, limit: (1.0 - p) as f32 });
                    (level.run(InverseCdf { row: &mut row, uniform }), row.logits().to_vec())
                })
                .collect();
            // Without fused multiplication the last digit of exp differs, which can move a threshold; the
            // fused variants agree.
            for pair in outcomes[1.min(outcomes.len() - 1)..].windows(2) {
                prop_assert_eq!(&pair[0], &pair[1]);
            }
        }
    }
}
