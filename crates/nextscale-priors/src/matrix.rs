//! Small row-major matrices on the host.

/// The identity of order `n`.
pub(crate) fn identity(n: usize) -> Vec<f64> {
    let mut matrix = vec![0.0; n * n];
    matrix.iter_mut().step_by(n + 1).for_each(|value| *value = 1.0);
    matrix
}

/// Adds `weight · column rowᵀ` to `matrix` `[column.len(), row.len()]`.
pub(crate) fn add_outer(matrix: &mut [f64], weight: f64, column: &[f64], row: &[f64]) {
    for (out, &c) in matrix.chunks_exact_mut(row.len()).zip(column) {
        for (value, &r) in out.iter_mut().zip(row) {
            *value += weight * c * r;
        }
    }
}

/// `row` `[rows]` times `matrix` `[rows, columns]`.
pub(crate) fn row_times(row: &[f64], matrix: &[f64], columns: usize) -> Vec<f64> {
    let mut out = vec![0.0; columns];
    for (&weight, line) in row.iter().zip(matrix.chunks_exact(columns)) {
        for (sum, &value) in out.iter_mut().zip(line) {
            *sum += weight * value;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outer_products_of_unit_vectors_add_up_to_the_identity() {
        let eye = identity(3);
        let mut sum = vec![0.0; 9];
        eye.chunks(3).for_each(|row| add_outer(&mut sum, 1.0, row, row));
        assert_eq!(sum, eye);
    }

    #[test]
    fn a_row_times_a_matrix_by_hand() {
        assert_eq!(row_times(&[1.0, 2.0], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3), [9.0, 12.0, 15.0]);
    }
}
