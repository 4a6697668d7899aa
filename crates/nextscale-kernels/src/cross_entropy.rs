//! The cross-entropy of logits with known classes.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;

use crate::{
    extension::{Operation, dims, tensor, values},
    math::exp,
    raw::{Kernel, Level, build},
    reduce,
    rows::rows_per_task,
};

/// `ln Σ exp(x) − x[target]` of every row of logits `[rows, classes]`, one number per row.
#[derive(Clone, Debug)]
pub struct CrossEntropy {
    /// The class of every row, each one of the columns.
    pub targets: Arc<[usize]>,
}

/// The largest number of a row, and the sum of all relative to it.
#[inline(always)]
fn sum<const FMA: bool>(row: &[f32], shares: &mut [f32]) -> (f32, f32) {
    let top = reduce::max(row);
    for (share, &x) in shares.iter_mut().zip(row) {
        *share = exp::<FMA>(x - top);
    }
    (top, reduce::sum(shares))
}

struct Rows<'a> {
    x: &'a [f32],
    targets: &'a [usize],
    out: &'a mut [f32],
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let classes = self.x.len() / self.out.len();
        let mut shares = vec![0.0; classes];
        for ((row, &target), out) in self.x.chunks_exact(classes).zip(self.targets).zip(self.out) {
            let (top, sum) = sum::<FMA>(row, &mut shares);
            *out = sum.ln() + (top - row[target]);
        }
    }
}

/// dx = (softmax(x) − one at the target)·d.
struct BackwardRows<'a> {
    x: &'a [f32],
    targets: &'a [usize],
    grad: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for BackwardRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let classes = self.x.len() / self.grad.len();
        let rows = self.x.chunks_exact(classes).zip(self.out.chunks_exact_mut(classes));
        for ((row, out), (&target, &grad)) in rows.zip(self.targets.iter().zip(self.grad)) {
            let (_, sum) = sum::<FMA>(row, out);
            let scale = grad / sum;
            for out in out.iter_mut() {
                *out *= scale;
            }
            out[target] -= grad;
        }
    }
}

impl Operation<1> for CrossEntropy {
    fn forward(&self, [x]: &[FlexTensor; 1]) -> FlexTensor {
        let [rows, classes] = dims(x);
        let (numbers, part) = (values(x), rows_per_task(classes));
        let out = build(rows, part, |i, out| {
            let x = &numbers[i * part * classes..][..out.len() * classes];
            let targets = &self.targets[i * part..][..out.len()];
            Level::detected().run(Rows { x, targets, out });
        });
        tensor(out, [rows])
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
        let [rows, classes] = dims(&saved[0]);
        let (x, grads, part) = (values(&saved[0]), values(grad), rows_per_task(classes));
        let out = build(rows * classes, part * classes, |i, out| {
            let (first, count) = (i * part, out.len() / classes);
            let (x, grad) = (&x[first * classes..][..out.len()], &grads[first..][..count]);
            Level::detected().run(BackwardRows { x, targets: &self.targets[first..][..count], grad, out });
        });
        [Some(tensor(out, [rows, classes]))]
    }
}
