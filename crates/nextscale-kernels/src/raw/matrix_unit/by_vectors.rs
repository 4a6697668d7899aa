//! Products of tiles with vectors that multiply pairs of bfloat16 numbers (AVX512-BF16), for processors
//! without tiles.
//!
//! Operands are packed as for the unit. A row's pair of numbers is multiplied by the same pair of sixteen
//! columns. Sixteen sums, one per row, stay in registers over all steps, more than enough to hide an
//! instruction's latency.

use std::arch::x86_64::{
    __m512, __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_load_ps, _mm512_loadu_si512, _mm512_set1_epi32,
    _mm512_setzero_ps, _mm512_store_ps,
};

use super::{Line, SIDE, STEP, Tile};

/// Sums of a tile, one per row.
type Sums = [__m512; SIDE];

/// Sixteen rows of [`STEP`] numbers, `stride` numbers apart.
#[derive(Clone, Copy)]
pub struct Rows {
    pub first: *const u16,
    pub stride: usize,
}

/// Sixteen rows of sixteen pairs of numbers, `stride` pairs apart.
#[derive(Clone, Copy)]
pub struct Columns {
    pub first: *const u32,
    pub stride: usize,
}

impl Rows {
    /// Packed rows of a step.
    pub fn packed(lines: &[Line; SIDE]) -> Self {
        Rows { first: lines.as_ptr().cast(), stride: STEP }
    }
}

impl Columns {
    /// Packed columns of a step.
    pub fn packed(lines: &[Line; SIDE]) -> Self {
        Columns { first: lines.as_ptr().cast(), stride: STEP / 2 }
    }
}

/// The tile plus the sum over all steps, or only that sum.
///
/// # Safety
/// The processor has the instructions, and every step lies where its pointers say.
#[target_feature(enable = "avx512f,avx512bf16")]
pub unsafe fn sum_over_steps(steps: impl Iterator<Item = (Rows, Columns)>, out: &mut Tile, accumulate: bool) {
    let mut sums: Sums = [_mm512_setzero_ps(); SIDE];
    if accumulate {
        // SAFETY: a tile's row is 64 bytes, and lies on a multiple of them.
        sums = std::array::from_fn(|i| unsafe { _mm512_load_ps(out.0[i].as_ptr()) });
    }
    for (rows, columns) in steps {
        for pair in 0..STEP / 2 {
            // SAFETY: sixteen pairs lie there, as the caller says; no alignment is required.
            let column = unsafe { _mm512_loadu_si512(columns.first.add(pair * columns.stride).cast()) };
            for (row, sum) in sums.iter_mut().enumerate() {
                // SAFETY: as above, for a pair.
                let both =
                    unsafe { rows.first.add(row * rows.stride + 2 * pair).cast::<i32>().read_unaligned() };
                *sum = _mm512_dpbf16_ps(*sum, numbers(_mm512_set1_epi32(both)), numbers(column));
            }
        }
    }
    for (row, sum) in out.0.iter_mut().zip(sums) {
        // SAFETY: as for loading.
        unsafe { _mm512_store_ps(row.as_mut_ptr(), sum) };
    }
}

/// The same bits, as bfloat16 numbers.
#[target_feature(enable = "avx512f")]
fn numbers(bits: __m512i) -> __m512bh {
    // SAFETY: both are 64 bytes of any content.
    unsafe { std::mem::transmute(bits) }
}
