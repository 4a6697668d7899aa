use burn::tensor::{DType, Device, Tensor, TensorData};
use nextscale_core::{Error, Grid, Result};
use nextscale_kernels::matmul;

use crate::{PriorFunction, Term, check_grids};

/// An [`Operator`](crate::Operator) whose matrices lie on a device.
///
/// Every image is its own matrix product, of a size that does not depend on the batch: on the CPU device, an
/// image's result is the same in every batch, bit for bit.
#[derive(Clone)]
pub struct DeviceOperator {
    form: Form,
}

#[derive(Clone)]
enum Form {
    Linear { from: Grid, to: Grid, map: Map },
    Function(PriorFunction),
    Refused(Error),
}

#[derive(Clone)]
enum Map {
    Identity,
    Zero,
    /// `[1, H·W, h·w]`.
    Dense(Box<Tensor<3>>),
    /// All terms at once, so that they are summed inside the second product and nothing is transposed: `rows`
    /// `[1, H·T, h]` (term fastest) gives `[batch, H·T, w·channels]`, which read as `[batch·H, T·w,
    /// channels]` is the input of `columns` `[1, W, T·w]`.
    Products(Box<[Tensor<3>; 2]>),
}

impl DeviceOperator {
    pub(crate) fn function(function: PriorFunction) -> Self {
        Self { form: Form::Function(function) }
    }

    pub(crate) fn separable(from: Grid, to: Grid, terms: &[Term], device: &Device) -> Self {
        let checked =
            check_grids(from, to).and_then(|()| terms.iter().try_for_each(|term| term.check(from, to)));
        if let Err(error) = checked {
            return Self { form: Form::Refused(error) };
        }
        let map = match terms {
            [] => Map::Zero,
            [term] if term.is_identity(from, to) => Map::Identity,
            _ if dense_is_cheaper(from, to, terms.len()) => {
                Map::Dense(Box::new(upload(dense(from, to, terms), to.positions(), from.positions(), device)))
            }
            _ => {
                let (rows, columns) = stacked(from, to, terms);
                Map::Products(Box::new([
                    upload(rows, to.height * terms.len(), from.height, device),
                    upload(columns, to.width, terms.len() * from.width, device),
                ]))
            }
        };
        Self { form: Form::Linear { from, to, map } }
    }

    /// Applies it to `x` `[batch, h·w, channels]`. The result is `[batch, H·W, channels]`, with `x`'s dtype.
    ///
    /// # Errors
    /// If `x` does not lie on the operator's coarse grid.
    pub fn apply(&self, x: &Tensor<3>) -> Result<Tensor<3>> {
        match &self.form {
            Form::Function(function) => function(x.clone()),
            Form::Refused(error) => Err(error.clone()),
            Form::Linear { from, to, map } => {
                let [_, positions, _] = x.dims();
                if positions != from.positions() {
                    return Err(Error::shape(
                        format!("the input of a prior from {from} to {to}"),
                        format!("[batch, {}, channels]", from.positions()),
                        &x.dims(),
                    ));
                }
                Ok(map.apply(x, *from, *to))
            }
        }
    }
}

impl Map {
    fn apply(&self, x: &Tensor<3>, from: Grid, to: Grid) -> Tensor<3> {
        let [batch, _, channels] = x.dims();
        // The matrices are f32; half-precision logits are widened for the product and narrowed after it.
        let wide = || x.clone().cast(DType::F32);
        match self {
            Self::Identity => x.clone(),
            Self::Zero => Tensor::zeros([batch, to.positions(), channels], (&x.device(), x.dtype())),
            Self::Dense(matrix) => matmul(Tensor::clone(matrix), wide()).cast(x.dtype()),
            Self::Products(matrices) => {
                let [rows, columns] = &**matrices;
                let [_, width, terms_width] = columns.dims();
                let lines = wide().reshape([batch, from.height, from.width * channels]);
                let mixed = matmul(rows.clone(), lines).reshape([batch * to.height, terms_width, channels]);
                let fine = matmul(columns.clone(), mixed);
                fine.reshape([batch, to.height * width, channels]).cast(x.dtype())
            }
        }
    }
}

/// Compares multiplications per channel. Writing and reading a value of the intermediate costs as much as
/// `MEMORY` multiplications, measured on the CPU device with 4096 channels, where one matrix wins up to about
/// 16 × 16 for DSE.
fn dense_is_cheaper(from: Grid, to: Grid, terms: usize) -> bool {
    const MEMORY: usize = 64;
    let dense = to.positions() * from.positions();
    let intermediate = to.height * terms * from.width;
    dense <= intermediate * (from.height + to.width + MEMORY)
}

/// Σ c · R ⊗ C, `[H·W, h·w]`.
fn dense(from: Grid, to: Grid, terms: &[Term]) -> Vec<f64> {
    let mut matrix = vec![0.0; to.positions() * from.positions()];
    for Term { coefficient, rows, columns } in terms {
        for (out, line) in matrix.chunks_exact_mut(from.positions()).enumerate() {
            let row = &rows[out / to.width * from.height..][..from.height];
            let column = &columns[out % to.width * from.width..][..from.width];
            for (part, r) in line.chunks_exact_mut(from.width).zip(row) {
                for (value, c) in part.iter_mut().zip(column) {
                    *value += coefficient * r * c;
                }
            }
        }
    }
    matrix
}

/// R of all terms, `[H, T, h]`, and c · C of all terms, `[W, T, w]`.
fn stacked(from: Grid, to: Grid, terms: &[Term]) -> (Vec<f64>, Vec<f64>) {
    let mut rows = Vec::with_capacity(to.height * terms.len() * from.height);
    for row in 0..to.height {
        for term in terms {
            rows.extend_from_slice(&term.rows[row * from.height..][..from.height]);
        }
    }
    let mut columns = Vec::with_capacity(to.width * terms.len() * from.width);
    for column in 0..to.width {
        for term in terms {
            let line = &term.columns[column * from.width..][..from.width];
            columns.extend(line.iter().map(|value| term.coefficient * value));
        }
    }
    (rows, columns)
}

fn upload(matrix: Vec<f64>, rows: usize, columns: usize, device: &Device) -> Tensor<3> {
    let values: Vec<f32> = matrix.into_iter().map(|value| value as f32).collect();
    Tensor::from_data(TensorData::new(values, [1, rows, columns]), (device, DType::F32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dse, Operator, Prior};

    fn noise(batch: usize, grid: Grid, channels: usize) -> Tensor<3> {
        let values =
            (0..batch * grid.positions() * channels).map(|i| ((i * 7919 % 1009) as f32).sin()).collect();
        Tensor::from_data(TensorData::new(values, [batch, grid.positions(), channels]), &Device::flex())
    }

    #[test]
    fn one_dense_matrix_and_two_small_products_agree() {
        let device = Device::flex();
        for (from, to) in [(Grid::new(2, 3), Grid::new(5, 4)), (Grid::new(1, 6), Grid::new(3, 6))] {
            let Ok(Operator::Separable { terms, .. }) = Dse::default().operator(from, to) else {
                panic!("DSE is separable")
            };
            let matrix = upload(dense(from, to, &terms), to.positions(), from.positions(), &device);
            let (rows, columns) = stacked(from, to, &terms);
            let factors = [
                upload(rows, to.height * terms.len(), from.height, &device),
                upload(columns, to.width, terms.len() * from.width, &device),
            ];
            let x = noise(2, from, 3);
            let whole: Vec<f32> =
                Map::Dense(Box::new(matrix)).apply(&x, from, to).into_data().try_to_vec().unwrap();
            let parts: Vec<f32> =
                Map::Products(Box::new(factors)).apply(&x, from, to).into_data().try_to_vec().unwrap();
            for (whole, parts) in whole.iter().zip(&parts) {
                assert!((whole - parts).abs() < 1e-5, "{whole} and {parts}");
            }
        }
    }

    #[test]
    fn small_grids_take_one_matrix_and_large_ones_two() {
        assert!(dense_is_cheaper(Grid::square(2), Grid::square(3), 3));
        assert!(!dense_is_cheaper(Grid::square(24), Grid::square(32), 3));
    }

    #[test]
    fn a_term_of_the_wrong_size_is_refused_when_applied() {
        let grid = Grid::square(2);
        let term = Term { coefficient: 1.0, rows: vec![1.0; 3], columns: vec![1.0; 4] };
        let operator = Operator::Separable { from: grid, to: grid, terms: vec![term] };
        let error =
            operator.to_device(&Device::flex()).apply(&noise(1, grid, 1)).err().map(|e| e.to_string());
        assert!(error.as_ref().is_some_and(|e| e.contains("rows matrix")), "{error:?}");
    }

    #[test]
    fn half_precision_comes_back_in_half_precision() {
        let (from, to) = (Grid::square(2), Grid::square(4));
        let operator = Dse::default().operator(from, to).map(|o| o.to_device(&Device::flex()));
        let x = noise(1, from, 2);
        let [half, full] = [x.clone().cast(DType::F16), x].map(|x| match &operator {
            Ok(operator) => operator.apply(&x).map(|y| (y.dtype(), y.cast(DType::F32))),
            Err(error) => Err(error.clone()),
        });
        let ((dtype, half), (_, full)) = (half.unwrap(), full.unwrap());
        assert_eq!(dtype, DType::F16);
        let difference: f32 = (half - full).abs().max().into_scalar();
        assert!(difference < 2e-3, "{difference}");
    }
}
