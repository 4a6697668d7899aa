//! The orthonormal DCT-II as a matrix.

use rustdct::DctPlanner;

/// D_n, row-major `[n frequencies, n samples]`: the orthonormal DCT-II of the unit vectors, column by column.
///
/// It is orthogonal, so its transpose is its inverse. Frequency 0 is the constant.
pub fn matrix(n: usize) -> Vec<f64> {
    if n == 0 {
        return Vec::new();
    }
    let transform = DctPlanner::<f64>::new().plan_dct2(n);
    let mut matrix = vec![0.0; n * n];
    let mut column = vec![0.0; n];
    for sample in 0..n {
        column.fill(0.0);
        column[sample] = 1.0;
        transform.process_dct2(&mut column);
        for (frequency, &value) in column.iter().enumerate() {
            let norm = if frequency == 0 { 1.0 } else { 2.0 };
            matrix[frequency * n + sample] = value * (norm / n as f64).sqrt();
        }
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_cosine_formula() {
        for n in 1..20 {
            for (at, value) in matrix(n).into_iter().enumerate() {
                let (k, i) = ((at / n) as f64, (at % n) as f64);
                let norm = if at < n { 1.0 } else { 2.0_f64 } / n as f64;
                let expected = norm.sqrt() * (std::f64::consts::PI * k * (i + 0.5) / n as f64).cos();
                assert!((value - expected).abs() < 1e-13, "order {n}, frequency {k}, sample {i}");
            }
        }
    }

    #[test]
    fn it_is_orthogonal() {
        for n in [1, 2, 3, 8, 13, 32] {
            let d = matrix(n);
            for (i, a) in d.chunks(n).enumerate() {
                for (j, b) in d.chunks(n).enumerate() {
                    let dot: f64 = a.iter().zip(b).map(|(x, y)| x * y).sum();
                    assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-13);
                }
            }
        }
    }
}
