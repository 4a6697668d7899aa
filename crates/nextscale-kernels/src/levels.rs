//! Every kernel gives the same result at every level of vector instructions.

use proptest::prelude::*;

use crate::{
    combine, conv,
    elementwise::{self, GeluTanh, Silu},
    gated,
    group_norm::{self, Extent},
    layer_norm,
    precision::Precision,
    raw::Level,
    softmax,
};

const WHOLE: Precision = Precision::Whole;

/// Every kernel's results on these numbers, all of the same length.
fn everything(level: Level, a: &[f32], b: &[f32], [batch, rows, length]: [usize; 3]) -> Vec<Vec<f32>> {
    let eps = 1e-6;
    let row = |v: &[f32]| v[..batch * length].to_vec();
    let (scale, shift) = (row(b), row(a));
    let extent = Extent { groups: rows, channels: 1, plane: length };
    let (weight, bias) = (&b[..rows], &a[..rows]);
    let (dx, sums) = layer_norm::modulate_backward(level, a, &scale, b, [rows, length], eps);
    let (dy, d_gate) = gated::backward(level, &scale, a, b, [rows, length]);
    let mut all = vec![
        elementwise::forward::<Silu>(level, a),
        elementwise::backward::<Silu>(level, a, b),
        elementwise::forward::<GeluTanh>(level, a),
        elementwise::backward::<GeluTanh>(level, a, b),
        softmax::forward(level, a, length),
        softmax::backward(level, a, b, length),
        layer_norm::forward(level, a, length, eps),
        layer_norm::backward(level, a, b, length, eps),
        layer_norm::modulate(level, a, &scale, &shift, [rows, length], eps),
        dx,
        sums,
        gated::forward(level, a, &scale, b, [rows, length]),
        dy,
        d_gate,
        group_norm::forward::<false>(level, a, weight, bias, extent, eps),
        group_norm::forward::<true>(level, a, weight, bias, extent, eps),
    ];
    let sums =
        [combine::weighted_sum(level, [a, b], [2.5, -1.5]), combine::extrapolate(level, [a, b, a], 0.3)];
    let image = [batch, rows, 2, 1, length];
    let kernel: Vec<f32> = a.iter().chain(b).copied().cycle().take(2 * rows * 9).collect();
    let grad: Vec<f32> = b.iter().copied().cycle().take(batch * 2 * length).collect();
    all.push(conv::forward(WHOLE, level, a, &kernel, &[0.5, -0.5], image));
    all.push(conv::input_gradient(WHOLE, level, &kernel, &grad, image));
    all.extend(group_norm::backward::<false>(level, a, [weight, bias], b, extent, eps));
    all.extend(group_norm::backward::<true>(level, a, [weight, bias], b, extent, eps));
    all.extend(sums);
    all.push(conv::weight_gradient(WHOLE, level, a, &grad, image));
    all
}

/// Where the gradients of group norm's weight and bias are among the kernels, without and with SiLU.
const SUMS_OF_GROUPS: [usize; 4] = [19, 20, 22, 23];

/// An upper bound on the sum of magnitudes in a group's weight gradient, Σ |grad · x̂|, by Cauchy and
/// Schwarz: the squares of the normalised values add up to their number.
fn sum_of_terms(grad: &[f32], group: usize, [batch, rows, length]: [usize; 3]) -> f32 {
    let of_group = (0..batch).flat_map(|image| &grad[(image * rows + group) * length..][..length]);
    let squares: f32 = of_group.map(|value| value * value).sum();
    (squares * (batch * length) as f32).sqrt()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn levels_agree(
        batch in 1usize..4,
        rows in 1usize..9,
        length in 8usize..90,
        numbers in prop::collection::vec((-4.0f32..4.0, -4.0f32..4.0), 4 * 9 * 90),
    ) {
        let count = batch * rows * length;
        let (a, b): (Vec<f32>, Vec<f32>) = numbers.into_iter().take(count).unzip();
        let of = |level| everything(level, &a, &b, [batch, rows, length]);
        let portable = of(Level::Portable);
        let mut fused: Option<Vec<Vec<f32>>> = None;
        for level in Level::available().into_iter().skip(1) {
            let vectorised = of(level);
            for (kernel, (got, expected)) in vectorised.iter().zip(&portable).enumerate() {
                let largest = expected.iter().fold(1.0f32, |m, v| m.max(v.abs()));
                for (at, (got, expected)) in got.iter().zip(expected).enumerate() {
                    // A sum over all positions of a group can cancel, so its rounding error is relative to
                    // its terms.
                    let of_terms = match SUMS_OF_GROUPS.contains(&kernel) {
                        true => 1e-7 * sum_of_terms(&b, at, [batch, rows, length]),
                        false => 0.0,
                    };
                    let bound = of_terms.max(4e-6 * largest);
                    prop_assert!((got - expected).abs() <= bound, "kernel {kernel}: {got}, {expected}");
                }
            }
            // The same operations in the same order, only more at a time.
            if let Some(narrower) = fused.replace(vectorised) {
                prop_assert!(Some(narrower) == fused);
            }
        }
    }
}
