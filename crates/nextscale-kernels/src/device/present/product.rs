//! Products of halves whose sums stay f32: burn's round their results to the type of the factors, which for the scores
//! of attention would be the largest error of a half-precision run.

use burn::tensor::DType;
use burn_cubecl::kernel::matmul::{MatmulStrategy, matmul};

use super::cube::CubeTensor;

/// a `[.., rows, inner]` by b `[.., inner, columns]`, f32.
pub fn run(a: CubeTensor, b: CubeTensor) -> CubeTensor {
    let strategy = MatmulStrategy::default();
    // burn's own operation panics likewise: some kernel takes every size.
    matmul(a, b, None, strategy, DType::F32).expect("some kernel multiplies these matrices")
}
