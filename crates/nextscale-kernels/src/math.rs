//! exp and the sigmoid without branches or calls, so that loops over them vectorise.

use crate::{fma::fma, raw::Vector};

/// The bits of the nearest bfloat16 number (ties to even).
#[inline(always)]
pub fn narrowed(x: f32) -> u32 {
    let bits = x.to_bits();
    if x.is_nan() { 0x7fc0 } else { (bits + 0x7fff + (bits >> 16 & 1)) >> 16 }
}

/// Adding 1.5·2²³ rounds to an integer and leaves it in the low bits.
const ROUND: f32 = 12_582_912.0;
/// ln 2 in two parts; the first has few digits, so that n times it is exact.
const LN2_HIGH: f32 = 355.0 / 512.0;
const LN2_LOW: f32 = -2.121_944_4e-4;
/// The polynomial of eʳ, the highest power first.
const TERMS: [f32; 7] = [1.392_625_1e-3, 8.363_233e-3, 4.166_655_4e-2, 1.666_657_7e-1, 0.5, 1.0, 1.0];
/// Below, eˣ is 0.
const LOWEST: f32 = -86.5;
/// Above, it is infinite.
const HIGHEST: f32 = 88.73;

/// eˣ to about one unit in the last place; 0 below e^-86.5 = 3e-38, where numbers lose digits. NaN stays NaN.
///
/// `x = n·ln 2 + r` with |r| ≤ ln 2 / 2, and eˣ = 2ⁿ·eʳ with a polynomial for eʳ (fitted at Chebyshev nodes,
/// error 8e-9).
#[inline(always)]
pub fn exp<const FMA: bool>(x: f32) -> f32 {
    let rounded = fma::<FMA>(x, core::f32::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = fma::<FMA>(n, -LN2_LOW, fma::<FMA>(n, -LN2_HIGH, x));
    let mut p = TERMS[0];
    for &term in &TERMS[1..] {
        p = fma::<FMA>(p, r, term);
    }
    // 2ⁿ⁻¹, then doubled: at the top of the range 2ⁿ itself is not an f32.
    let half = f32::from_bits(rounded.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(126) << 23);
    let y = p * half * 2.0;
    let y = if x < LOWEST { 0.0 } else { y };
    if x > HIGHEST { f32::INFINITY } else { y }
}

/// [`exp`] of a vector, with the same bits.
#[inline(always)]
pub fn exp_of<V: Vector>(x: V) -> V {
    let round = V::splat(ROUND);
    let rounded = round.add_product(x, V::splat(core::f32::consts::LOG2_E));
    let n = rounded.minus(round);
    let r = x.add_product(n, V::splat(-LN2_HIGH)).add_product(n, V::splat(-LN2_LOW));
    let mut p = V::splat(TERMS[0]);
    for term in &TERMS[1..] {
        p = V::splat(*term).add_product(p, r);
    }
    let half = rounded.into_exponent(126i32.wrapping_sub_unsigned(ROUND.to_bits()));
    let y = p.times(half).times(V::splat(2.0));
    let y = x.where_less(V::splat(LOWEST), V::splat(0.0), y);
    V::splat(HIGHEST).where_less(x, V::splat(f32::INFINITY), y)
}

/// The σ of [`sigmoid`] for a vector, with the same bits.
#[inline(always)]
pub fn sigmoid_of<V: Vector>(x: V) -> V {
    let zero = V::splat(0.0);
    let t = exp_of(zero.minus(x.magnitude()));
    let above = V::splat(1.0).over(V::splat(1.0).plus(t));
    x.where_less(zero, t.times(above), above)
}

/// `(σ, σ·(1 - σ))` at x: the sigmoid and its slope, both to a few units in the last place.
#[inline(always)]
pub fn sigmoid<const FMA: bool>(x: f32) -> (f32, f32) {
    let t = exp::<FMA>(-x.abs());
    let above = 1.0 / (1.0 + t);
    let below = t * above;
    (if x < 0.0 { below } else { above }, above * below)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> impl Iterator<Item = f32> {
        (-86_000..88_000).map(|i| i as f32 * 1e-3 + 1.7e-5)
    }

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        for x in grid() {
            let exact = (x as f64).exp();
            for got in [exp::<true>(x), exp::<false>(x)] {
                let error = (got as f64 - exact).abs() / exact;
                assert!(error < 2.4e-7, "exp({x}) = {got}, off by {error:e}");
            }
        }
    }

    #[test]
    fn exp_at_its_ends() {
        assert_eq!(exp::<true>(0.0), 1.0);
        assert_eq!(exp::<true>(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp::<false>(-1e30), 0.0);
        assert_eq!(exp::<true>(f32::INFINITY), f32::INFINITY);
        assert_eq!(exp::<false>(89.0), f32::INFINITY);
        assert!(exp::<true>(88.7).is_finite());
        assert!(exp::<true>(f32::NAN).is_nan() && exp::<false>(f32::NAN).is_nan());
    }

    #[test]
    fn vectors_have_the_bits_of_single_numbers() {
        use crate::raw::{Level, VectorKernel};
        struct Both<'a>(&'a [f32]);
        impl VectorKernel for Both<'_> {
            type Output = Vec<[f32; 2]>;

            #[inline(always)]
            fn run<V: Vector>(self) -> Self::Output {
                let mut all = Vec::new();
                for x in self.0.chunks_exact(V::LANES) {
                    let (mut exps, mut sigmoids) = ([0.0; 16], [0.0; 16]);
                    exp_of(V::load(x, 0)).store(&mut exps);
                    sigmoid_of(V::load(x, 0)).store(&mut sigmoids);
                    all.extend(exps.into_iter().zip(sigmoids).take(V::LANES).map(|(e, s)| [e, s]));
                }
                all
            }
        }
        let odd = [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 89.0, -87.0, 88.72];
        let x: Vec<f32> = grid().take(174_000 / 16 * 16 - 8).chain(odd).collect();
        for level in Level::available() {
            for (x, got) in x.iter().zip(level.run_vectors(Both(&x))) {
                let expected = match level {
                    Level::Portable => [exp::<false>(*x), sigmoid::<false>(*x).0],
                    _ => [exp::<true>(*x), sigmoid::<true>(*x).0],
                };
                let same = got.map(f32::to_bits) == expected.map(f32::to_bits);
                assert!(same || x.is_nan() && got.iter().all(|x| x.is_nan()), "{x}: {got:?} {expected:?}");
            }
        }
    }

    #[test]
    fn sigmoid_and_slope_keep_their_relative_accuracy() {
        for x in grid().filter(|x| x.abs() < 80.0) {
            let exact = 1.0 / (1.0 + (-x as f64).exp());
            let slope = exact * (1.0 / (1.0 + (x as f64).exp()));
            let (got, got_slope) = sigmoid::<true>(x);
            assert!((got as f64 - exact).abs() / exact < 4e-7, "sigmoid({x}) = {got}");
            assert!((got_slope as f64 - slope).abs() / slope < 8e-7, "slope({x}) = {got_slope}");
        }
        assert!(sigmoid::<true>(f32::NAN).0.is_nan() && sigmoid::<true>(f32::NAN).1.is_nan());
    }
}
