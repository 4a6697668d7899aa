//! The linear layer.

use burn::backend::flex::FlexTensor;
use faer::{MatMut, MatRef};

use crate::{
    extension::{Operation, dims, tensor, values},
    precision::Precision,
    product::multiply_in,
    raw::{Kernel, Level, build},
    rows::{rows_per_task, sum_over_first},
};

/// `x·weight + bias` with inputs x `[rows, inner]`, weight `[inner, out]` and bias `[out]`. Products use this
/// precision, forward and backward.
#[derive(Clone, Copy, Debug)]
pub struct Linear(pub Precision);

/// The sum over rows.
struct ColumnSums<'a> {
    rows: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for ColumnSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for row in self.rows.chunks_exact(self.out.len()) {
            for (out, &value) in self.out.iter_mut().zip(row) {
                *out += value;
            }
        }
    }
}

fn column_sums(grad: &[f32], columns: usize) -> Vec<f32> {
    let part = rows_per_task(columns) * columns;
    let sums = build(grad.len().div_ceil(part) * columns, columns, |i, out| {
        let rows = &grad[i * part..grad.len().min((i + 1) * part)];
        Level::detected().run(ColumnSums { rows, out });
    });
    sum_over_first(&sums, columns)
}

impl Operation<3> for Linear {
    fn forward(&self, [x, weight, bias]: &[FlexTensor; 3]) -> FlexTensor {
        let ([rows, inner], [_, columns]) = (dims(x), dims(weight));
        let (bias, part) = (values(bias), rows_per_task(columns) * columns);
        // The bias is written first: one trip to memory less than adding it at the end.
        let mut out = build(rows * columns, part, |_, out| {
            out.chunks_exact_mut(columns).for_each(|row| row.copy_from_slice(bias));
        });
        multiply_in(
            self.0,
            MatMut::from_row_major_slice_mut(&mut out, rows, columns),
            MatRef::from_row_major_slice(values(x), rows, inner),
            MatRef::from_row_major_slice(values(weight), inner, columns),
            true,
        );
        tensor(out, [rows, columns])
    }

    fn saved(&self, [x, weight, _]: [FlexTensor; 3], _output: &FlexTensor) -> Vec<FlexTensor> {
        vec![x, weight]
    }

    fn backward(
        &self,
        saved: &[FlexTensor],
        grad: &FlexTensor,
        [x_needed, weight_needed, bias_needed]: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let [x, weight] = saved else { unreachable!("two tensors were saved") };
        let ([rows, inner], [_, columns]) = (dims(x), dims(weight));
        let numbers = values(grad);
        let grad = MatRef::from_row_major_slice(numbers, rows, columns);
        let of = |a: MatRef<'_, f32>, b: MatRef<'_, f32>| {
            let mut out = vec![0.0; a.nrows() * b.ncols()];
            multiply_in(
                self.0,
                MatMut::from_row_major_slice_mut(&mut out, a.nrows(), b.ncols()),
                a,
                b,
                false,
            );
            tensor(out, [a.nrows(), b.ncols()])
        };
        let matrix_x = MatRef::from_row_major_slice(values(x), rows, inner);
        let matrix_weight = MatRef::from_row_major_slice(values(weight), inner, columns);
        [
            x_needed.then(|| of(grad, matrix_weight.transpose())),
            weight_needed.then(|| of(matrix_x.transpose(), grad)),
            bias_needed.then(|| tensor(column_sums(numbers, columns), [columns])),
        ]
    }
}
