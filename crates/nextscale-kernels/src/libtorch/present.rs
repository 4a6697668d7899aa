//! The operations. Each takes floats of one type outside autodiff, and gives a tensor whose memory is its own.

#![allow(deprecated)] // burn means to drop LibTorch.

use burn::backend::{
    BackendTensor, DispatchKindConversion, DispatchTensor, DispatchTensorKind, TensorMetadata,
    libtorch::{LibTorch, TchTensor},
};
use burn::tensor::Tensor;

use crate::{device::Keep, heads::LEAST_SQUARE};

type Taken<const N: usize, const D: usize> = Result<Tensor<D>, [DispatchTensor; N]>;

/// The tensors as LibTorch has them.
fn taken<const N: usize>(inputs: [DispatchTensor; N]) -> Result<[tch::Tensor; N], [DispatchTensor; N]> {
    let is_taken = |x: &DispatchTensor| {
        matches!(x.kind, DispatchTensorKind::LibTorch(BackendTensor::Float(_)))
            && x.dtype() == inputs[0].dtype()
    };
    if !inputs.iter().all(is_taken) {
        return Err(inputs);
    }
    Ok(inputs.map(|input| match input.kind {
        DispatchTensorKind::LibTorch(tensor) => tensor.float().tensor,
        _ => unreachable!("the tensor was found to be LibTorch's"),
    }))
}

/// A result, which shares its memory with no other tensor.
fn given<const D: usize>(tensor: tch::Tensor) -> Tensor<D> {
    let tensor = BackendTensor::Float(TchTensor::new(tensor));
    Tensor::from_dispatch(<DispatchTensor as DispatchKindConversion<LibTorch>>::from_backend(tensor))
}

/// [`crate::silu()`].
///
/// # Errors
/// Returns the inputs, as every function here, if they are not LibTorch's.
pub fn silu<const D: usize>(inputs: [DispatchTensor; 1]) -> Taken<1, D> {
    let [x] = taken(inputs)?;
    Ok(given(x.silu()))
}

/// [`crate::gelu_tanh()`].
pub fn gelu_tanh<const D: usize>(inputs: [DispatchTensor; 1]) -> Taken<1, D> {
    let [x] = taken(inputs)?;
    Ok(given(x.gelu("tanh")))
}

/// [`crate::unit()`].
pub fn unit<const D: usize>(inputs: [DispatchTensor; 1]) -> Taken<1, D> {
    let [x] = taken(inputs)?;
    let length = x.norm_scalaropt_dim(2, [-1i64].as_slice(), true);
    Ok(given(x / length.clamp_min(f64::from(LEAST_SQUARE).sqrt())))
}

/// [`crate::layer_norm()`].
pub fn layer_norm(inputs: [DispatchTensor; 1], eps: f64) -> Taken<1, 3> {
    let [x] = taken(inputs)?;
    Ok(given(normal(&x, eps)))
}

fn normal(x: &tch::Tensor, eps: f64) -> tch::Tensor {
    let channels = x.size()[2];
    x.layer_norm([channels], None::<tch::Tensor>, None::<tch::Tensor>, eps, true)
}

/// [`crate::layer_norm_modulate()`] of x, scale and shift.
pub fn norm(inputs: [DispatchTensor; 3], eps: f64) -> Taken<3, 3> {
    let [x, scale, shift] = taken(inputs)?;
    Ok(given(shift.addcmul(&normal(&x, eps), &(scale + 1.0))))
}

/// [`crate::gated_residual()`] of x, gate and y.
pub fn gated_residual(inputs: [DispatchTensor; 3]) -> Taken<3, 3> {
    let [x, gate, y] = taken(inputs)?;
    Ok(given(x.addcmul(&gate, &y)))
}

/// [`crate::group_norm()`] of x, weight and bias, then [`crate::silu()`] if asked for.
pub fn group_norm(inputs: [DispatchTensor; 3], groups: usize, eps: f64, silu: bool) -> Taken<3, 4> {
    let [x, weight, bias] = taken(inputs)?;
    let mut normal = x.group_norm(groups as i64, Some(weight), Some(bias), eps, true);
    Ok(given(if silu { normal.silu_() } else { normal }))
}

/// [`crate::attention()`] of queries, keys and values.
#[allow(clippy::type_complexity)]
pub fn attention(
    inputs: [DispatchTensor; 3],
    mask: Option<Tensor<3>>,
) -> Result<Tensor<4>, ([DispatchTensor; 3], Option<Tensor<3>>)> {
    let [q, k, v] = match taken(inputs) {
        Ok(tensors) => tensors.map(|x| x.transpose(1, 2)),
        Err(inputs) => return Err((inputs, mask)),
    };
    let mask = mask.map(|mask| {
        let [mask] = taken([mask.into_dispatch()]).expect("a mask is on the device of the queries");
        // LibTorch wants one type of both.
        mask.unsqueeze(1).to_kind(q.kind())
    });
    let out = tch::Tensor::scaled_dot_product_attention(&q, &k, &v, mask, 0.0, false, 1.0, false);
    Ok(given(out.transpose(1, 2)))
}

/// [`crate::device::filter()`]. A stable sort leaves equal logits in the order of classes.
pub fn filter(x: &Tensor<2>, keep: Keep) -> Option<Tensor<2>> {
    let [mut x] = taken([x.clone().into_dispatch()]).ok()?;
    let remove = |x: &tch::Tensor, which: &tch::Tensor| x.masked_fill(which, f64::NEG_INFINITY);
    if let Some(k) = keep.top_k.filter(|&k| (k as i64) < x.size()[1]) {
        let (largest, _) = x.topk(k as i64, 1, true, false);
        x = remove(&x, &x.lt_tensor(&largest.amin([1i64].as_slice(), true)));
    }
    if let Some(tail) = keep.tail {
        let (sorted, order) = x.sort_stable(true, 1, false);
        let mass = sorted.softmax(1, None).cumsum(1, None);
        let unlikely = mass.le(f64::from(tail));
        let _ = unlikely.narrow(1, unlikely.size()[1] - 1, 1).fill_(0);
        x = remove(&x, &unlikely.scatter(1, &order, &unlikely));
    }
    if let Some(margin) = keep.margin {
        let least = x.amax([1i64].as_slice(), true) - f64::from(margin);
        x = remove(&x, &x.lt_tensor(&least));
    }
    Some(given(x))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, Distribution};

    use super::*;
    use crate::composed;

    fn device() -> Device {
        Device::libtorch()
    }

    fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Normal(0.0, 2.0), &device())
    }

    fn assert_close<const D: usize>(found: Tensor<D>, expected: Tensor<D>) {
        assert_eq!(found.dims(), expected.dims());
        let [found, expected] = [found, expected].map(|x| x.into_data().try_to_vec::<f32>().unwrap());
        for (found, expected) in found.into_iter().zip(expected) {
            assert!((found - expected).abs() <= 2e-6 * (1.0 + expected.abs()), "{found}, not {expected}");
        }
    }

    #[test]
    fn libtorchs_operations_give_what_is_composed() {
        let x: Tensor<3> = random([2, 5, 24]);
        let [scale, shift]: [Tensor<3>; 2] = [random([2, 1, 24]), random([2, 1, 24])];
        let one = |x: &Tensor<3>| [x.clone().into_dispatch()];
        let three = || [x.clone(), scale.clone(), shift.clone()].map(Tensor::into_dispatch);
        assert_close(silu(one(&x)).unwrap(), composed::silu(x.clone()));
        assert_close(gelu_tanh(one(&x)).unwrap(), composed::gelu_tanh(x.clone()));
        let nothing = Tensor::cat(vec![x.clone(), x.zeros_like()], 1);
        assert_close(unit(one(&nothing)).unwrap(), composed::unit(nothing.clone()));
        assert_close(layer_norm(one(&x), 1e-6).unwrap(), composed::layer_norm(x.clone(), 1e-6));
        let modulated = composed::layer_norm_modulate(x.clone(), scale.clone(), shift.clone(), 1e-6);
        assert_close(norm(three(), 1e-6).unwrap(), modulated);
        let gated = [x.clone(), scale.clone(), x.clone()].map(Tensor::into_dispatch);
        assert_close(
            gated_residual(gated).unwrap(),
            composed::gated_residual(x.clone(), scale.clone(), x.clone()),
        );
        let (map, weight, bias): (Tensor<4>, Tensor<1>, Tensor<1>) =
            (random([2, 8, 3, 5]), random([8]), random([8]));
        for (silu, expected) in
            [(false, composed::group_norm as fn(_, _, _, _, _) -> _), (true, composed::group_norm_silu)]
        {
            let inputs =
                [map.clone().into_dispatch(), weight.clone().into_dispatch(), bias.clone().into_dispatch()];
            assert_close(
                group_norm(inputs, 4, 1e-6, silu).unwrap(),
                expected(map.clone(), weight.clone(), bias.clone(), 4, 1e-6),
            );
        }
    }

    #[test]
    fn attention_gives_what_is_composed_with_and_without_a_mask() {
        let parts: [Tensor<4>; 3] = [random([2, 5, 3, 8]), random([2, 7, 3, 8]), random([2, 7, 3, 8])];
        let [q, k, v] = parts.clone();
        let mask: Tensor<3> = random([2, 1, 7]);
        let hidden = mask.clone().greater_elem(1.0);
        let hiding = mask.clone().mask_fill(hidden, f32::NEG_INFINITY);
        for mask in [None, Some(mask), Some(hiding)] {
            let found = attention(parts.clone().map(Tensor::into_dispatch), mask.clone()).unwrap();
            assert_close(found, composed::attention(q.clone(), k.clone(), v.clone(), mask));
        }
        // A mask of another type than the rest.
        let halves = parts.map(|x| x.cast(DType::BF16).into_dispatch());
        let found = attention(halves, Some(random([2, 1, 7]))).unwrap();
        assert_eq!(found.dtype(), DType::BF16);
    }

    /// What is kept of a row of logits.
    fn kept(row: &[f32], keep: Keep) -> Vec<usize> {
        let x = Tensor::<1>::from_floats(row, &device()).unsqueeze::<2>();
        let found = filter(&x, keep).unwrap().into_data().try_to_vec::<f32>().unwrap();
        for (found, given) in found.iter().zip(row) {
            assert!(found == given || *found == f32::NEG_INFINITY);
        }
        (0..row.len()).filter(|&i| found[i] > f32::NEG_INFINITY).collect()
    }

    #[test]
    fn filters_keep_ties_with_the_last_of_top_k_and_the_last_of_the_largest() {
        let row = [1.0, 3.0, 2.0, 3.0, 2.0, f32::NEG_INFINITY];
        let top = |k| Keep { top_k: Some(k), ..Keep::default() };
        assert_eq!(kept(&row, top(1)), [1, 3]);
        assert_eq!(kept(&row, top(3)), [1, 2, 3, 4]);
        assert_eq!(kept(&row, Keep { margin: Some(1.0), ..Keep::default() }), [1, 2, 3, 4]);
        let tail = |tail| Keep { tail: Some(tail), ..Keep::default() };
        assert_eq!(kept(&row, tail(1.0)), [3]);
        // Of four equal classes the first is removed when a quarter may be, and no more than that.
        assert_eq!(kept(&[0.0; 4], tail(0.25)), [1, 2, 3]);
        assert_eq!(kept(&[0.0; 4], tail(0.2)), [0, 1, 2, 3]);
    }
}
