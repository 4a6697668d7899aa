//! The odd polynomial of a matrix.

use faer::{MatMut, MatRef};

use crate::{
    precision::Precision,
    product::multiply_in,
    raw::{Kernel, Level},
};

/// `into = scale·into + other_scale·other`.
struct Blend<'a> {
    into: &'a mut [f32],
    other: &'a [f32],
    scale: f32,
    other_scale: f32,
}

impl Kernel for Blend<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for (into, &other) in self.into.iter_mut().zip(self.other) {
            *into = self.scale * *into + self.other_scale * other;
        }
    }
}

/// `a·x + (b·x·xᵀ + c·(x·xᵀ)²)·x` of x `[rows, columns]`; factors of products are of this precision.
pub fn forward(
    precision: Precision,
    x: &[f32],
    [rows, columns]: [usize; 2],
    [a, b, c]: [f32; 3],
) -> Vec<f32> {
    let matrix = MatRef::from_row_major_slice(x, rows, columns);
    let mut square = vec![0.0; rows * rows];
    let out = MatMut::from_row_major_slice_mut(&mut square, rows, rows);
    multiply_in(precision, out, matrix, matrix.transpose(), false);
    let mut even = vec![0.0; rows * rows];
    let (factor, out) = (
        MatRef::from_row_major_slice(&square, rows, rows),
        MatMut::from_row_major_slice_mut(&mut even, rows, rows),
    );
    multiply_in(precision, out, factor, factor, false);
    Level::detected().run(Blend { into: &mut even, other: &square, scale: c, other_scale: b });
    let mut odd: Vec<f32> = x.iter().map(|&x| a * x).collect();
    let even = MatRef::from_row_major_slice(&even, rows, rows);
    multiply_in(precision, MatMut::from_row_major_slice_mut(&mut odd, rows, columns), even, matrix, true);
    odd
}
