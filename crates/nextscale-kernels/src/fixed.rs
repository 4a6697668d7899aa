//! Operations of burn's that sum in an order of the processor's, or call the C library, for the route on which no
//! result may depend on either.

use burn::{
    backend::flex::FlexTensor,
    tensor::{Shape, Tensor, activation},
};
use faer::{MatMut, MatRef};

use crate::{
    elementwise::Elementwise,
    extension::{apply, dims, outside, tensor, values},
    product::{multiply, multiply_alone},
    raw::{Kernel, Level, build},
    reduce,
    route::is_fixed,
    rows::rows_per_task,
};

/// `a·b` of the last two dimensions; of the others, those of size 1 are repeated.
///
/// That of burn, but on the CPU's route `fma` outside autodiff ([`is_fixed`]) products of this crate, which have the
/// same bits on every x86-64 processor.
///
/// # Panics
/// If shapes do not fit together.
pub fn matmul<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    if is_fixed() { products(a, b) } else { a.matmul(b) }
}

fn products<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    let (of_a, of_b) = (a.dims(), b.dims());
    let fit = (0..D.saturating_sub(2)).all(|i| of_a[i] == of_b[i] || of_a[i] == 1 || of_b[i] == 1);
    // Mistakes are left to burn, which reports them.
    if D < 2 || !fit || of_a[D - 1] != of_b[D - 2] || of_a.contains(&0) || of_b.contains(&0) {
        return a.matmul(b);
    }
    let forward = |[a, b]: &[FlexTensor; 2]| {
        let [rows, inner, columns] = [of_a[D - 2], of_a[D - 1], of_b[D - 1]];
        let mut shape = of_a;
        (0..D - 2).for_each(|i| shape[i] = of_a[i].max(of_b[i]));
        shape[D - 1] = columns;
        let matrices: usize = shape[..D - 2].iter().product();
        // Which matrix of a factor the i-th of the result needs.
        let place = |of: &[usize; D], i: usize| {
            let mut rest = i;
            let mut at = [0; D];
            for axis in (0..D - 2).rev() {
                at[axis] = if of[axis] == 1 { 0 } else { rest % shape[axis] };
                rest /= shape[axis];
            }
            (0..D - 2).fold(0, |place, axis| place * of[axis] + at[axis])
        };
        let (a, b) = (values(a), values(b));
        // A single product gets all threads; the result is the same either way.
        let multiply = if matrices == 1 { multiply } else { multiply_alone };
        let out = build(matrices * rows * columns, rows * columns, |i, out| {
            let a = &a[place(&of_a, i) * rows * inner..][..rows * inner];
            let b = &b[place(&of_b, i) * inner * columns..][..inner * columns];
            multiply(
                MatMut::from_row_major_slice_mut(out, rows, columns),
                MatRef::from_row_major_slice(a, rows, inner),
                MatRef::from_row_major_slice(b, inner, columns),
                false,
            );
        });
        tensor(out, Shape::from(shape))
    };
    outside([a.into_dispatch(), b.into_dispatch()], forward)
        .unwrap_or_else(|[a, b]| Tensor::from_dispatch(a).matmul(Tensor::from_dispatch(b)))
}

/// The sum over the last dimension, which stays with size 1; see [`matmul`].
pub fn sum_last<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if is_fixed() { sums(x) } else { x.sum_dim(D - 1) }
}

/// The mean over the last dimension, which stays with size 1; see [`matmul`].
pub fn mean_last<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if !is_fixed() {
        return x.mean_dim(D - 1);
    }
    let count = x.dims()[D - 1];
    sums(x) / count as f64
}

/// eˣ of every number, on the route `fma` by the kernels' polynomial, with gradients too; see [`matmul`].
pub fn exp<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if is_fixed() { exps(x) } else { x.exp() }
}

/// The logarithm of the softmax over the last dimension; see [`matmul`]. The logarithm itself is the C library's.
pub fn log_softmax<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if !is_fixed() {
        return activation::log_softmax(x, D - 1);
    }
    let x = x.clone() - x.max_dim(D - 1);
    x.clone() - sums(exps(x)).log()
}

fn exps<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    apply(Elementwise::Exp, [x.into_dispatch()]).unwrap_or_else(|[x]| Tensor::from_dispatch(x).exp())
}

struct Sums<'a> {
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let length = self.x.len() / self.out.len();
        for (out, x) in self.out.iter_mut().zip(self.x.chunks_exact(length)) {
            *out = reduce::sum(x);
        }
    }
}

fn sums<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if x.dims().contains(&0) {
        return x.sum_dim(D - 1);
    }
    let forward = |[x]: &[FlexTensor; 1]| {
        let mut shape = dims::<D>(x);
        let length = std::mem::replace(&mut shape[D - 1], 1);
        let (numbers, part) = (values(x), rows_per_task(length));
        let out = build(numbers.len() / length, part, |i, out| {
            let x = &numbers[i * part * length..][..out.len() * length];
            Level::detected().run(Sums { x, out });
        });
        tensor(out, Shape::from(shape))
    };
    outside([x.into_dispatch()], forward).unwrap_or_else(|[x]| Tensor::from_dispatch(x).sum_dim(D - 1))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::testing::numbers;

    fn made<const D: usize>(seed: u32, shape: [usize; D]) -> Tensor<D> {
        Tensor::from_data(TensorData::new(numbers(seed, shape.iter().product()), shape), &Device::flex())
    }

    fn apart<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f32 {
        assert_eq!(a.dims(), b.dims());
        (a - b).abs().max().into_scalar::<f32>()
    }

    #[test]
    fn products_are_burns_in_every_shape() {
        for [batch, heads, rows, inner, columns] in
            [[1, 1, 1, 1, 1], [1, 1, 70, 640, 33], [2, 3, 5, 7, 40], [3, 1, 1, 600, 1]]
        {
            let a = made::<4>(1, [batch, heads, rows, inner]);
            for shape in [[batch, heads], [1, heads], [batch, 1], [1, 1]] {
                let b = made::<4>(2, [shape[0], shape[1], inner, columns]);
                assert!(apart(products(a.clone(), b.clone()), a.clone().matmul(b.clone())) < 3e-5);
                let [a, b] = [a.clone().swap_dims(2, 3), b.swap_dims(2, 3)];
                assert!(apart(products(b.clone(), a.clone()), b.matmul(a)) < 3e-5);
            }
        }
        let (a, b) = (made::<2>(3, [9, 17]), made::<2>(4, [17, 5]));
        assert!(apart(products(a.clone(), b.clone()), a.matmul(b)) < 1e-5);
    }

    #[test]
    fn sums_are_burns_in_every_shape() {
        for shape in [[1, 1, 1], [2, 3, 40], [1, 5, 9001]] {
            let x = made::<3>(5, shape);
            assert!(apart(sums(x.clone()), x.clone().sum_dim(2)) < 1e-3);
            let turned = x.swap_dims(1, 2);
            assert!(apart(sums(turned.clone()), turned.sum_dim(2)) < 1e-4);
        }
        assert_eq!(sums(made::<2>(1, [3, 0])).dims(), [3, 1]);
    }

    #[test]
    fn exponentials_are_burns() {
        let x = made::<3>(6, [3, 5, 9001]) * 9.0;
        let exact = x.clone().exp();
        assert!(((exps(x) - exact.clone()) / exact).abs().max().into_scalar::<f32>() < 1e-6);
    }

    #[test]
    fn gradients_are_burns() {
        let device = Device::flex().autodiff();
        let x = Tensor::<2>::from_data([[1.0, -2.0], [0.5, 3.0]], &device).require_grad();
        let of = |out: Tensor<2>| x.grad(&out.sum().backward()).unwrap().into_data();
        let sizes = |data: burn::tensor::TensorData| data.iter::<f32>().collect::<Vec<_>>();
        for (got, exact) in sizes(of(exps(x.clone()))).into_iter().zip(sizes(of(x.clone().exp()))) {
            assert!((got / exact - 1.0).abs() < 1e-6, "{got} {exact}");
        }
        assert_eq!(of(products(x.clone(), x.clone())), of(x.clone().matmul(x.clone())));
        assert_eq!(of(sums(x.clone() * x.clone())), of((x.clone() * x.clone()).sum_dim(1)));
    }
}
