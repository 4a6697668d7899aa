//! Operations on numbers rounded to bfloat16 against the same in f32.

use burn::tensor::{Device, Tensor, TensorData};
use nextscale_kernels as kernels;

mod random;
use random::random;

/// The difference between a result and its gradients under `slopes` and others, relative to those.
fn gaps<const D: usize>(
    inputs: &[Tensor<D>],
    slopes: Tensor<D>,
    rounded: Tensor<D>,
    whole: Tensor<D>,
) -> Vec<f32> {
    let all = |out: Tensor<D>| {
        let gradients = (out.clone() * slopes.clone()).sum().backward();
        let of_inputs = inputs.iter().map(|input| input.grad(&gradients).unwrap());
        std::iter::once(out.inner()).chain(of_inputs).collect::<Vec<_>>()
    };
    let size = |x: Tensor<D>| (x.clone() * x).mean().sqrt().into_scalar::<f32>();
    let pairs = all(rounded).into_iter().zip(all(whole));
    pairs.map(|(rounded, whole)| size(rounded - whole.clone()) / size(whole)).collect()
}

/// Each of this many consecutive factors has a relative error of up to 2⁻⁹, or nothing is rounded
/// on this processor.
fn assert_rounded(gaps: &[f32], products: usize) {
    for &gap in gaps {
        assert_eq!(gap > 1e-4, kernels::rounds(), "{gaps:?}");
        assert!(gap < 4e-3 * products as f32, "{gaps:?}");
    }
}

#[test]
fn a_rounded_linear_layer_has_gradients_of_rounded_products() {
    let device = Device::flex().autodiff();
    let [x, weight] = [random(&[70, 50], 1, 1.0, 0.0), random(&[50, 40], 2, 0.5, 0.0)]
        .map(|data| Tensor::<2>::from_data(data.convert::<f32>(), &device).require_grad());
    let slopes = Tensor::<2>::from_data(random(&[70, 40], 3, 1.0, 0.0).convert::<f32>(), &device);
    let rounded = kernels::linear_rounded(x.clone(), weight.clone(), None);
    let whole = kernels::linear(x.clone(), weight.clone(), None);
    assert_rounded(&gaps(&[x, weight], slopes, rounded, whole), 1);
}

#[test]
fn rounded_attention_has_gradients_of_rounded_products() {
    let device = Device::flex().autodiff();
    // Widths that the matrix unit can handle and one that it cannot; more queries than a block.
    for [queries, keys, heads, width] in [[70, 90, 2, 32], [130, 130, 3, 16], [9, 40, 2, 12]] {
        let inputs = [queries, keys, keys].map(|length| {
            let data = random(&[2, length, heads, width], length as u64, 1.0, 0.0).convert::<f32>();
            Tensor::<4>::from_data(data, &device).require_grad()
        });
        let hidden = |i: usize| if i % keys > i / keys { f32::NEG_INFINITY } else { 0.0 };
        let mask = TensorData::new((0..queries * keys).map(hidden).collect::<Vec<f32>>(), [1, queries, keys]);
        let mask = || Some(Tensor::<3>::from_data(mask.clone(), &device));
        let slopes = random(&[2, queries, heads, width], 3, 1.0, 0.0).convert::<f32>();
        let slopes = Tensor::<4>::from_data(slopes, &device);
        let [q, k, v] = inputs.clone();
        let rounded = kernels::attention_rounded(q.clone(), k.clone(), v.clone(), mask());
        let whole = kernels::attention(q, k, v, mask());
        // Scores, the slopes of the weights, and those of q and k: three products one after another.
        assert_rounded(&gaps(&inputs, slopes, rounded, whole), 3);
    }
}

#[test]
fn a_rounded_convolution_has_gradients_of_rounded_products() {
    let device = Device::flex().autodiff();
    for [batch, channels, outputs, height, width] in
        [[3, 32, 32, 32, 32], [5, 40, 48, 7, 9], [2, 64, 32, 40, 33]]
    {
        let shapes = [[batch, channels, height, width], [outputs, channels, 3, 3]];
        let [x, weight] = shapes.map(|shape| {
            Tensor::<4>::from_data(random(&shape, 1, 1.0, 0.0).convert::<f32>(), &device).require_grad()
        });
        let slopes = random(&[batch, outputs, height, width], 3, 1.0, 0.0).convert::<f32>();
        let slopes = Tensor::<4>::from_data(slopes, &device);
        let rounded = kernels::conv2d_3x3_rounded(x.clone(), weight.clone(), None);
        let whole = kernels::conv2d_3x3(x.clone(), weight.clone(), None);
        assert_rounded(&gaps(&[x, weight], slopes, rounded, whole), 1);
    }
}

#[test]
fn the_odd_polynomial_is_that_of_singular_values() {
    let device = Device::flex();
    let coefficients = [3.0, -4.0, 2.0];
    let odd = |s: f32| 3.0 * s - 4.0 * s.powi(3) + 2.0 * s.powi(5);
    // On a diagonal matrix the singular values are visible; the second matrix comes as a view.
    let values = [0.5f32, -1.0, 0.25];
    let diagonal = |rows: usize, columns: usize| {
        let at = |i: usize| if i / columns == i % columns { values[i / columns] } else { 0.0 };
        TensorData::new((0..rows * columns).map(at).collect::<Vec<_>>(), [rows, columns])
    };
    let wide = Tensor::<2>::from_data(diagonal(3, 5), &device);
    let views = [wide, Tensor::<2>::from_data(diagonal(5, 3), &device).transpose()];
    for x in views {
        let found = kernels::odd_polynomial_rounded(x, coefficients).into_data().try_to_vec::<f32>().unwrap();
        for (i, found) in found.into_iter().enumerate() {
            let expected = if i / 5 == i % 5 { odd(values[i / 5]) } else { 0.0 };
            assert!((found - expected).abs() < 1e-6, "{i}: {found} for {expected}");
        }
    }
    let x = Tensor::<2>::from_data(random(&[40, 90], 5, 0.1, 0.0).convert::<f32>(), &device);
    // With gradients it is composed of burn's own operations, and nothing is rounded.
    let whole = kernels::odd_polynomial_rounded(x.clone().autodiff(), coefficients).inner();
    let size = |x: Tensor<2>| (x.clone() * x).mean().sqrt().into_scalar::<f32>();
    let found = kernels::odd_polynomial_rounded(x, coefficients);
    assert_rounded(&[size(found - whole.clone()) / size(whole)], 3);
}
