//! Writes tiles of a product to the result.

use std::arch::x86_64::{
    _mm512_add_ps, _mm512_loadu_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_set1_ps,
    _mm512_storeu_ps,
};

use faer::MatMut;

use super::{MatrixUnit, SIDE, Tile, first};

impl MatrixUnit {
    /// `out = tile + base`, for as many rows as `out` has. Rows are `stride` apart, and the first begins at
    /// the start of `out`.
    pub fn store(self, tile: &Tile, base: &[f32; SIDE], out: &mut [f32], stride: usize) {
        // SAFETY: as above.
        unsafe { store(tile, base, out, stride) }
    }

    /// `out += tile`, or `out = tile`, for as many rows and columns as `out` has.
    ///
    /// # Panics
    /// If rows of `out` are not contiguous, or it is larger than a tile.
    pub fn put(self, tile: &Tile, out: MatMut<'_, f32>, accumulate: bool) {
        assert!(out.nrows() <= SIDE && out.ncols() <= SIDE && (out.col_stride() == 1 || out.ncols() == 1));
        // SAFETY: the processor has AVX-512. Sizes and strides were checked.
        unsafe { put(tile, out, accumulate) }
    }

    /// `out = tile + bias`, one bias per row, for as many rows and columns as `out` has.
    ///
    /// # Panics
    /// As [`put`](Self::put), or if there are fewer numbers than rows.
    pub fn put_biased(self, tile: &Tile, bias: &[f32], out: MatMut<'_, f32>) {
        assert!(out.nrows() <= SIDE && out.ncols() <= SIDE && (out.col_stride() == 1 || out.ncols() == 1));
        assert!(out.nrows() <= bias.len());
        // SAFETY: the processor has AVX-512. Sizes and strides were checked.
        unsafe { put_biased(tile, bias, out) }
    }
}

#[target_feature(enable = "avx512f")]
fn store(tile: &Tile, base: &[f32; SIDE], out: &mut [f32], stride: usize) {
    // SAFETY: 16 numbers; no alignment is required.
    let base = unsafe { _mm512_loadu_ps(base.as_ptr()) };
    for (row, out) in tile.0.iter().zip(out.chunks_mut(stride)) {
        let out = &mut out[..SIDE];
        // SAFETY: as above.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), _mm512_add_ps(base, _mm512_loadu_ps(row.as_ptr()))) };
    }
}

/// Writes a tile, or adds it.
///
/// # Safety
/// The processor has these instructions, the rows of `out` are contiguous, and it is no larger than a tile.
#[target_feature(enable = "avx512f")]
unsafe fn put(tile: &Tile, out: MatMut<'_, f32>, accumulate: bool) {
    let (rows, stride, mask) = (out.nrows(), out.row_stride(), first(out.ncols()));
    let begin = out.as_ptr_mut();
    for (i, row) in tile.0.iter().enumerate().take(rows) {
        let to = begin.wrapping_offset(i as isize * stride);
        // SAFETY: the mask holds back what lies beyond the row; no alignment is required.
        unsafe {
            let mut sum = _mm512_loadu_ps(row.as_ptr());
            if accumulate {
                sum = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, to), sum);
            }
            _mm512_mask_storeu_ps(to, mask, sum);
        }
    }
}

/// As [`put`], plus one number per row.
///
/// # Safety
/// As [`put`].
#[target_feature(enable = "avx512f")]
unsafe fn put_biased(tile: &Tile, bias: &[f32], out: MatMut<'_, f32>) {
    let (rows, stride, mask) = (out.nrows(), out.row_stride(), first(out.ncols()));
    let begin = out.as_ptr_mut();
    for (i, (row, &bias)) in tile.0.iter().zip(bias).enumerate().take(rows) {
        let to = begin.wrapping_offset(i as isize * stride);
        // SAFETY: the mask holds back what lies beyond the row; no alignment is required.
        unsafe {
            let sum = _mm512_add_ps(_mm512_loadu_ps(row.as_ptr()), _mm512_set1_ps(bias));
            _mm512_mask_storeu_ps(to, mask, sum);
        }
    }
}
