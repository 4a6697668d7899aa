//! Sums of whole tensors with factors, in one pass over memory.

use burn::backend::{TensorMetadata, flex::FlexTensor};

use crate::{
    extension::{Operation, tensor, values},
    raw::{Level, zip_map},
};

/// `a·x + b·y`, with inputs x, y. Both products are rounded before they are added, as in an operation each.
#[derive(Clone, Copy, Debug)]
pub struct WeightedSum {
    pub a: f32,
    pub b: f32,
}

/// `x + (y − z)·w`, with inputs x, y, z, rounded after every step.
#[derive(Clone, Copy, Debug)]
pub struct Extrapolate {
    pub w: f32,
}

/// `a·x + b·y`.
pub fn weighted_sum(level: Level, [x, y]: [&[f32]; 2], [a, b]: [f32; 2]) -> Vec<f32> {
    zip_map(
        level,
        [x, y],
        #[inline(always)]
        move |[x, y]| x * a + y * b,
    )
}

/// `x + (y − z)·w`.
pub fn extrapolate(level: Level, inputs: [&[f32]; 3], w: f32) -> Vec<f32> {
    zip_map(
        level,
        inputs,
        #[inline(always)]
        move |[x, y, z]| x + (y - z) * w,
    )
}

/// `x·factor`.
fn scaled(x: &FlexTensor, factor: f32) -> FlexTensor {
    let out = zip_map(
        Level::detected(),
        [values(x)],
        #[inline(always)]
        move |[x]| x * factor,
    );
    tensor(out, x.shape())
}

impl Operation<2> for WeightedSum {
    fn forward(&self, [x, y]: &[FlexTensor; 2]) -> FlexTensor {
        tensor(weighted_sum(Level::detected(), [values(x), values(y)], [self.a, self.b]), x.shape())
    }

    fn saved(&self, _inputs: [FlexTensor; 2], _output: &FlexTensor) -> Vec<FlexTensor> {
        Vec::new()
    }

    fn backward(&self, _: &[FlexTensor], grad: &FlexTensor, needed: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let part = |needed: bool, factor| needed.then(|| scaled(grad, factor));
        [part(needed[0], self.a), part(needed[1], self.b)]
    }
}

impl Operation<3> for Extrapolate {
    fn forward(&self, [x, y, z]: &[FlexTensor; 3]) -> FlexTensor {
        tensor(extrapolate(Level::detected(), [values(x), values(y), values(z)], self.w), x.shape())
    }

    fn saved(&self, _inputs: [FlexTensor; 3], _output: &FlexTensor) -> Vec<FlexTensor> {
        Vec::new()
    }

    fn backward(&self, _: &[FlexTensor], grad: &FlexTensor, needed: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let part = |needed: bool, factor| needed.then(|| scaled(grad, factor));
        [Some(grad.clone()), part(needed[1], self.w), part(needed[2], -self.w)]
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};

    use crate::testing::numbers;
    use crate::{composed, extrapolate, weighted_sum};

    fn tensor(seed: u32, shape: [usize; 3], device: &Device) -> Tensor<3> {
        Tensor::from_data(TensorData::new(numbers(seed, shape.iter().product()), shape), device)
    }

    fn bits(tensor: Tensor<3>) -> Vec<u32> {
        tensor.into_data().iter::<f32>().map(f32::to_bits).collect()
    }

    /// One part, several, and a last one of odd length.
    const SHAPES: [[usize; 3]; 4] = [[1, 1, 1], [2, 3, 7], [2, 5, 4096], [1, 7, 9001]];

    #[test]
    fn they_are_the_bits_of_one_operation_after_the_other() {
        let device = Device::flex();
        for shape in SHAPES {
            let [x, y, z] = [1, 2, 3].map(|seed| tensor(seed, shape, &device));
            for (a, b) in [(2.5, -1.5), (1.0 / 3.0, 2.0 / 3.0), (0.0, 1.0), (1e-3, 7.1)] {
                let found = weighted_sum(x.clone(), a, y.clone(), b);
                assert!(
                    bits(found) == bits(composed::weighted_sum(x.clone(), a, y.clone(), b)),
                    "{shape:?} {a} {b}"
                );
                let found = extrapolate(x.clone(), y.clone(), z.clone(), a);
                let expected = composed::extrapolate(x.clone(), y.clone(), z.clone(), a);
                assert!(bits(found) == bits(expected), "{shape:?} {a}");
            }
        }
    }

    #[test]
    fn views_and_other_shapes_give_the_same() {
        let device = Device::flex();
        let both = tensor(4, [4, 3, 5000], &device);
        let [c, u] = [0..2, 2..4].map(|rows| both.clone().slice_dim(0, rows));
        let expected = composed::weighted_sum(c.clone(), 2.5, u.clone(), -1.5);
        assert!(bits(weighted_sum(c.clone(), 2.5, u, -1.5)) == bits(expected));
        let turned = tensor(5, [2, 5000, 3], &device).swap_dims(1, 2);
        let expected = composed::weighted_sum(c.clone(), 2.5, turned.clone(), -1.5);
        assert!(bits(weighted_sum(c.clone(), 2.5, turned, -1.5)) == bits(expected));
        // One row for all images.
        let row = tensor(6, [1, 1, 5000], &device);
        let expected = composed::extrapolate(c.clone(), c.clone(), row.clone(), 0.5);
        assert!(bits(extrapolate(c.clone(), c, row, 0.5)) == bits(expected));
    }

    #[test]
    fn gradients_are_the_factors() {
        let device = Device::flex().autodiff();
        let shape = [1, 2, 3];
        let [x, y, z] = [1, 2, 3].map(|seed| tensor(seed, shape, &device).require_grad());
        let outside =
            weighted_sum(x.clone(), 2.5, y.clone(), -1.5) + extrapolate(x.clone(), y.clone(), z.clone(), 0.5);
        let grads = outside.sum().backward();
        for (input, expected) in [(x, 3.5), (y, -1.0), (z, -0.5)] {
            let found = input.grad(&grads).unwrap();
            assert!(found.into_data().iter::<f32>().all(|value| value == expected));
        }
    }

    #[test]
    fn the_last_digit_is_rounded_after_every_step() {
        // 1/3·3 + 1·(−1): fused it would be the error of 1/3, not 0.
        let device = Device::flex();
        let of = |value: f32| Tensor::<3>::from_data(TensorData::new(vec![value; 40], [1, 1, 40]), &device);
        let found = weighted_sum(of(1.0 / 3.0), 3.0, of(1.0), -1.0);
        assert!(found.into_data().iter::<f32>().all(|value| value == 0.0));
    }
}
