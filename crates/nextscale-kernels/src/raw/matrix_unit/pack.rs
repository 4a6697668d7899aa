//! Operands in the layout that the unit reads.

use std::arch::x86_64::{
    __m512i, _MM_HINT_T0, _mm_prefetch, _mm512_add_epi32, _mm512_and_si512, _mm512_castps_si512,
    _mm512_castsi256_si512, _mm512_castsi512_ps, _mm512_cvtepi32_epi16, _mm512_cvtne2ps_pbh,
    _mm512_inserti64x4, _mm512_load_si512, _mm512_loadu_si512, _mm512_maskz_loadu_epi32, _mm512_or_si512,
    _mm512_permutexvar_epi16, _mm512_set1_epi32, _mm512_shuffle_i32x4, _mm512_srli_epi32, _mm512_store_si512,
    _mm512_sub_ps, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32,
    _mm512_unpacklo_epi64,
};

use faer::MatRef;

use super::{Line, MatrixUnit, PARTS, SIDE, STEP, first};
use crate::precision::Precision;

impl MatrixUnit {
    /// The left operand: x with at most [`SIDE`] rows, in `lines` for every step over its columns. Missing
    /// rows and numbers are zero.
    ///
    /// # Panics
    /// If neither rows nor columns of `x` are contiguous, it has more rows, or `lines` are not those of its
    /// columns.
    pub fn pack_rows(self, precision: Precision, x: MatRef<'_, f32>, lines: &mut [Line]) {
        check(x.nrows(), x.ncols(), precision, lines);
        // SAFETY: the processor has these instructions, as the unit's constructor saw. Sizes and strides were
        // checked.
        unsafe {
            match (x.col_stride() == 1 || x.ncols() == 1, precision) {
                (true, Precision::Whole) => pack_rows::<PARTS>(x, lines),
                (true, Precision::Rounded) => pack_rows::<1>(x, lines),
                (false, Precision::Whole) => {
                    turn_all(lines, |lines| pack_columns::<PARTS>(x.transpose(), 0, lines))
                }
                (false, Precision::Rounded) => {
                    turn_all(lines, |lines| pack_columns::<1>(x.transpose(), 0, lines))
                }
            }
        }
    }

    /// The right operand: y with at most [`SIDE`] columns, in `lines` for every step over its rows. Missing
    /// columns and numbers are zero. Meanwhile prefetches what lies `ahead` numbers further, if rows are
    /// contiguous.
    ///
    /// # Panics
    /// As [`pack_rows`](Self::pack_rows), with rows for columns.
    pub fn pack_columns(self, precision: Precision, y: MatRef<'_, f32>, ahead: usize, lines: &mut [Line]) {
        check(y.ncols(), y.nrows(), precision, lines);
        // SAFETY: as above.
        unsafe {
            match (y.col_stride() == 1 || y.ncols() == 1, precision) {
                (true, Precision::Whole) => pack_columns::<PARTS>(y, ahead, lines),
                (true, Precision::Rounded) => pack_columns::<1>(y, ahead, lines),
                (false, Precision::Whole) => {
                    turn_all(lines, |lines| pack_rows::<PARTS>(y.transpose(), lines))
                }
                (false, Precision::Rounded) => turn_all(lines, |lines| pack_rows::<1>(y.transpose(), lines)),
            }
        }
    }
}

/// Three vectors whose upper halves are the parts of `x`, rounded to nearest. The lower halves of all but the
/// last are zero; the last has only an upper half, except for numbers near the smallest.
#[target_feature(enable = "avx512f,avx512bw")]
fn split(x: __m512i) -> [__m512i; PARTS] {
    let (half, upper) = (_mm512_set1_epi32(0x8000), _mm512_set1_epi32(0xffff_0000_u32 as i32));
    let first = _mm512_and_si512(_mm512_add_epi32(x, half), upper);
    let rest = _mm512_sub_ps(_mm512_castsi512_ps(x), _mm512_castsi512_ps(first));
    let second = _mm512_and_si512(_mm512_add_epi32(_mm512_castps_si512(rest), half), upper);
    let third = _mm512_castps_si512(_mm512_sub_ps(rest, _mm512_castsi512_ps(second)));
    [first, second, third]
}

/// The bfloat16 numbers nearest to those of `low`, then to those of `high`, ties to even. NaN stays NaN;
/// numbers below the smallest normal one become zero, as they would in a product.
#[target_feature(enable = "avx512f,avx512bf16")]
fn rounded(low: __m512i, high: __m512i) -> __m512i {
    let numbers = _mm512_cvtne2ps_pbh(_mm512_castsi512_ps(high), _mm512_castsi512_ps(low));
    // SAFETY: both are 64 bytes of any content.
    unsafe { std::mem::transmute(numbers) }
}

/// Panics if an operand does not fit its lines.
fn check(side: usize, inner: usize, precision: Precision, lines: &[Line]) {
    assert!(side <= SIDE && lines.len() == super::lines(precision, inner), "lines of an operand");
}

/// Packs rows, as [`MatrixUnit::pack_rows`] does.
///
/// # Safety
/// The processor has these instructions, the rows of `x` are contiguous, and `lines` are as many as [`check`] wants.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn pack_rows<const PARTS: usize>(x: MatRef<'_, f32>, lines: &mut [Line]) {
    let (rows, inner, stride) = (x.nrows(), x.ncols(), x.row_stride());
    for (step, lines) in lines.chunks_exact_mut(PARTS * SIDE).enumerate() {
        for row in 0..SIDE {
            let halves: [__m512i; 2] = std::array::from_fn(|half| {
                let at = step * STEP + half * SIDE;
                let count = if row < rows { inner.saturating_sub(at) } else { 0 };
                let from = x.as_ptr().wrapping_offset(row as isize * stride).wrapping_add(at);
                // SAFETY: the mask holds back what lies beyond the row or is not a row; no alignment is
                // required.
                unsafe { _mm512_maskz_loadu_epi32(first(count), from.cast()) }
            });
            if PARTS == 1 {
                put(&mut lines[row], rounded(halves[0], halves[1]));
                continue;
            }
            let [low, high] = [split(halves[0]), split(halves[1])];
            for part in 0..PARTS {
                let narrow = |numbers| _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(numbers));
                let low = _mm512_castsi256_si512(narrow(low[part]));
                put(&mut lines[part * SIDE + row], _mm512_inserti64x4::<1>(low, narrow(high[part])));
            }
        }
    }
}

/// Packs columns, as [`MatrixUnit::pack_columns`] does.
///
/// # Safety
/// The processor has these instructions, the rows of `y` are contiguous, and `lines` are as many as [`check`] wants.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn pack_columns<const PARTS: usize>(y: MatRef<'_, f32>, ahead: usize, lines: &mut [Line]) {
    let (inner, columns, stride) = (y.nrows(), y.ncols(), y.row_stride());
    let upper = _mm512_set1_epi32(0xffff_0000_u32 as i32);
    // The i-th of the lower half beside the i-th of the upper.
    let places: [u16; STEP] = std::array::from_fn(|i| (i / 2 + i % 2 * SIDE) as u16);
    // SAFETY: 32 numbers of two bytes; no alignment is required.
    let places = unsafe { _mm512_loadu_si512(places.as_ptr().cast()) };
    for (step, lines) in lines.chunks_exact_mut(PARTS * SIDE).enumerate() {
        for pair in 0..SIDE {
            let number = |k: usize| {
                let count = if k < inner { columns } else { 0 };
                let from = y.as_ptr().wrapping_offset(k as isize * stride);
                // Reads nothing: any address will do.
                _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(ahead).cast());
                // SAFETY: the mask holds back what lies beyond the row or is not a row; no alignment is
                // required.
                unsafe { _mm512_maskz_loadu_epi32(first(count), from.cast()) }
            };
            let at = step * STEP + 2 * pair;
            let (low, high) = (number(at), number(at + 1));
            if PARTS == 1 {
                put(&mut lines[pair], _mm512_permutexvar_epi16(places, rounded(low, high)));
                continue;
            }
            let (lows, highs) = (split(low), split(high));
            for part in 0..PARTS {
                let both = _mm512_or_si512(
                    _mm512_srli_epi32::<16>(lows[part]),
                    _mm512_and_si512(highs[part], upper),
                );
                put(&mut lines[part * SIDE + pair], both);
            }
        }
    }
}

#[target_feature(enable = "avx512f")]
fn put(line: &mut Line, numbers: __m512i) {
    // SAFETY: a line is 64 bytes, and lies on a multiple of them.
    unsafe { _mm512_store_si512(line.0.as_mut_ptr().cast(), numbers) };
}

/// Packs by `pack` and converts the rows' layout to the columns' or back: as pairs of numbers, one is the
/// transpose of the other.
///
/// # Safety
/// The processor has these instructions.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn turn_all(lines: &mut [Line], pack: impl FnOnce(&mut [Line])) {
    pack(lines);
    lines.as_chunks_mut::<SIDE>().0.iter_mut().for_each(|block| turn(block));
}

/// Transposes 16 lines of 16 pairs.
#[target_feature(enable = "avx512f,avx512bw")]
fn turn(lines: &mut [Line; SIDE]) {
    // SAFETY: a line is 64 bytes, and lies on a multiple of them.
    let mut x: [__m512i; SIDE] =
        std::array::from_fn(|i| unsafe { _mm512_load_si512(lines[i].0.as_ptr().cast()) });
    // Pairs within groups of four of a quarter of every line, then the quarters.
    for i in (0..SIDE).step_by(4) {
        let [a, b, c, d] = [x[i], x[i + 1], x[i + 2], x[i + 3]];
        let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
        let (ab_high, cd_high) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
        x[i] = _mm512_unpacklo_epi64(ab, cd);
        x[i + 1] = _mm512_unpackhi_epi64(ab, cd);
        x[i + 2] = _mm512_unpacklo_epi64(ab_high, cd_high);
        x[i + 3] = _mm512_unpackhi_epi64(ab_high, cd_high);
    }
    for i in 0..4 {
        let [a, b, c, d] = [x[i], x[4 + i], x[8 + i], x[12 + i]];
        let (ab, cd) = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0x88>(c, d));
        let (ab_odd, cd_odd) = (_mm512_shuffle_i32x4::<0xdd>(a, b), _mm512_shuffle_i32x4::<0xdd>(c, d));
        x[i] = _mm512_shuffle_i32x4::<0x88>(ab, cd);
        x[4 + i] = _mm512_shuffle_i32x4::<0x88>(ab_odd, cd_odd);
        x[8 + i] = _mm512_shuffle_i32x4::<0xdd>(ab, cd);
        x[12 + i] = _mm512_shuffle_i32x4::<0xdd>(ab_odd, cd_odd);
    }
    for (line, x) in lines.iter_mut().zip(x) {
        put(line, x);
    }
}
