//! SiLU, GELU and exp.

use std::marker::PhantomData;

use burn::backend::{TensorMetadata, flex::FlexTensor};

use crate::{
    extension::{Operation, tensor, values},
    fma::fma,
    math::{exp, sigmoid, sigmoid_of},
    raw::{Kernel, Level, Vector, build},
    rows::PART,
};

/// A function of one number and its slope.
pub trait Function: Clone + Copy + Send + Sync + std::fmt::Debug + 'static {
    fn value<const FMA: bool>(x: f32) -> f32;
    fn slope<const FMA: bool>(x: f32) -> f32;
}

/// `x·σ(x)`.
#[derive(Clone, Copy, Debug)]
pub struct Silu;

impl Function for Silu {
    #[inline(always)]
    fn value<const FMA: bool>(x: f32) -> f32 {
        x * sigmoid::<FMA>(x).0
    }

    #[inline(always)]
    fn slope<const FMA: bool>(x: f32) -> f32 {
        let (s, ds) = sigmoid::<FMA>(x);
        fma::<FMA>(x, ds, s)
    }
}

/// `x/2·(1 + tanh u) = x·σ(2u)` with `u = √(2/π)·(x + 0.044715·x³)`: the sigmoid keeps the digits that `1 +
/// tanh` cancels.
#[derive(Clone, Copy, Debug)]
pub struct GeluTanh;

const TWICE_SQRT_2_OVER_PI: f32 = 1.595_769;
const CUBIC: f32 = 0.044_715;

impl Function for GeluTanh {
    #[inline(always)]
    fn value<const FMA: bool>(x: f32) -> f32 {
        let v = TWICE_SQRT_2_OVER_PI * x * fma::<FMA>(CUBIC * x, x, 1.0);
        x * sigmoid::<FMA>(v).0
    }

    #[inline(always)]
    fn slope<const FMA: bool>(x: f32) -> f32 {
        // Beyond ±16 the second term is 0, but its factor x³ would overflow. NaN passes both comparisons.
        let near = if x > 16.0 { 16.0 } else { x };
        let near = if near < -16.0 { -16.0 } else { near };
        let square = near * near;
        let v = TWICE_SQRT_2_OVER_PI * near * fma::<FMA>(CUBIC, square, 1.0);
        let dv = TWICE_SQRT_2_OVER_PI * fma::<FMA>(3.0 * CUBIC, square, 1.0);
        let (s, ds) = sigmoid::<FMA>(v);
        fma::<FMA>(near * dv, ds, s)
    }
}

/// eˣ.
#[derive(Clone, Copy, Debug)]
pub struct Exp;

impl Function for Exp {
    #[inline(always)]
    fn value<const FMA: bool>(x: f32) -> f32 {
        exp::<FMA>(x)
    }

    #[inline(always)]
    fn slope<const FMA: bool>(x: f32) -> f32 {
        exp::<FMA>(x)
    }
}

/// [`GeluTanh`] of a vector, with the same bits.
#[inline(always)]
pub fn gelu_of<V: Vector>(x: V) -> V {
    let square = V::splat(1.0).add_product(V::splat(CUBIC).times(x), x);
    x.times(sigmoid_of(V::splat(TWICE_SQRT_2_OVER_PI).times(x).times(square)))
}

struct Values<'a, F> {
    x: &'a mut [f32],
    function: PhantomData<F>,
}

impl<F: Function> Kernel for Values<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for x in self.x {
            *x = F::value::<FMA>(*x);
        }
    }
}

struct Slopes<'a, F> {
    x: &'a [f32],
    grad: &'a [f32],
    out: &'a mut [f32],
    function: PhantomData<F>,
}

impl<F: Function> Kernel for Slopes<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for ((out, &x), &grad) in self.out.iter_mut().zip(self.x).zip(self.grad) {
            *out = grad * F::slope::<FMA>(x);
        }
    }
}

/// F of every number.
pub fn forward<F: Function>(level: Level, x: &[f32]) -> Vec<f32> {
    build(x.len(), PART, |i, out| {
        out.copy_from_slice(&x[i * PART..][..out.len()]);
        in_place::<F>(level, out);
    })
}

/// F of every number, in place and on this thread.
pub fn in_place<F: Function>(level: Level, x: &mut [f32]) {
    level.run(Values { x, function: PhantomData::<F> });
}

/// The gradient of F's input.
pub fn backward<F: Function>(level: Level, x: &[f32], grad: &[f32]) -> Vec<f32> {
    build(x.len(), PART, |i, out| {
        let x = &x[i * PART..][..out.len()];
        let grad = &grad[i * PART..][..out.len()];
        level.run(Slopes { x, grad, out, function: PhantomData::<F> });
    })
}

struct SiluGate<'a> {
    gate: &'a [f32],
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for SiluGate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for ((out, &gate), &x) in self.out.iter_mut().zip(self.gate).zip(self.x) {
            *out = Silu::value::<FMA>(gate) * x;
        }
    }
}

/// `silu(gate) ⊙ x` of tensors of one shape.
pub fn silu_gate([gate, x]: &[FlexTensor; 2]) -> FlexTensor {
    let (shape, level) = (x.shape(), Level::detected());
    let (gate, x) = (values(gate), values(x));
    let out = build(x.len(), PART, |i, out| {
        let here = i * PART..i * PART + out.len();
        level.run(SiluGate { gate: &gate[here.clone()], x: &x[here], out });
    });
    tensor(out, shape)
}

/// A function applied to every number of a tensor. Not generic over the function: the loops of a generic
/// operation would be compiled in the calling crates, which development builds hardly optimise.
#[derive(Clone, Copy, Debug)]
pub enum Elementwise {
    Silu,
    GeluTanh,
    Exp,
}

impl Operation<1> for Elementwise {
    fn forward(&self, [x]: &[FlexTensor; 1]) -> FlexTensor {
        let forward = match self {
            Self::Silu => forward::<Silu>,
            Self::GeluTanh => forward::<GeluTanh>,
            Self::Exp => forward::<Exp>,
        };
        tensor(forward(Level::detected(), values(x)), x.shape())
    }

    fn saved(&self, inputs: [FlexTensor; 1], _output: &FlexTensor) -> Vec<FlexTensor> {
        inputs.into()
    }

    fn backward(
        &self,
        saved: &[FlexTensor],
        grad: &FlexTensor,
        _needed: [bool; 1],
    ) -> [Option<FlexTensor>; 1] {
        let backward = match self {
            Self::Silu => backward::<Silu>,
            Self::GeluTanh => backward::<GeluTanh>,
            Self::Exp => backward::<Exp>,
        };
        let x = &saved[0];
        [Some(tensor(backward(Level::detected(), values(x), values(grad)), x.shape()))]
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};

    use crate::testing::numbers;
    use crate::{silu, silu_gate};

    #[test]
    fn a_gate_has_the_bits_of_silu_and_a_product() {
        let device = Device::flex();
        let bits = |x: Tensor<3>| x.into_data().iter::<f32>().map(f32::to_bits).collect::<Vec<u32>>();
        // One part, several, and a last one of odd length.
        for shape in [[1, 1, 1], [2, 3, 7], [2, 5, 4096], [1, 7, 9001]] {
            let of = |seed| -> Tensor<3> {
                let values = numbers(seed, shape.iter().product()).into_iter().map(|x| x * 9.0).collect();
                Tensor::from_data(TensorData::new::<f32, _>(values, shape), &device)
            };
            let (gate, x) = (of(1), of(2));
            assert!(bits(silu_gate(gate.clone(), x.clone())) == bits(silu(gate.clone()) * x), "{shape:?}");
            // One row for all.
            let row = of(3).slice_dim(2, 0..1);
            assert!(bits(silu_gate(gate.clone(), row.clone())) == bits(silu(gate) * row), "{shape:?}");
        }
        let tracked = Tensor::<3>::full([1, 2, 3], 2.0, &device.autodiff()).require_grad();
        let out = silu_gate(tracked.clone(), tracked.clone()).sum();
        let slope = tracked.grad(&out.backward()).unwrap().into_data().iter::<f32>().next().unwrap();
        // d/dx x²·σ(x) = 2x·σ + x²·σ·(1 − σ).
        let sigmoid = 1.0 / (1.0 + (-2.0_f64).exp());
        assert!((f64::from(slope) - 4.0 * sigmoid - 4.0 * sigmoid * (1.0 - sigmoid)).abs() < 1e-6);
    }
}
