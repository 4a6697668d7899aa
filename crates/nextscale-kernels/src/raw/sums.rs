//! The inner loop of products: a tile of sums in registers.

// Loops over the registers of a tile use an index so that they are unrolled.
#![allow(clippy::needless_range_loop)]

use faer::MatRef;

use super::Register;

/// `sums[i][j] += Σ over steps k of x[i·across + k·along]·y[k·line + j·LANES..]`, k by k.
///
/// Everything that is read is checked before the loop, and the loop has few enough addresses for the registers
/// of the processor: a check or an address in memory for every row costs more than the row's products.
///
/// # Panics
/// If x or y is too short.
#[inline(always)]
pub fn add_products<V: Register, const ROWS: usize, const VECTORS: usize>(
    sums: [[V; VECTORS]; ROWS],
    x: &[f32],
    [across, along]: [usize; 2],
    y: &[f32],
    line: usize,
    steps: usize,
) -> [[V; VECTORS]; ROWS] {
    add_products_ahead(sums, x, [across, along], y, line, steps, Ahead::NOTHING)
}

/// What is fetched from memory into the core's cache while sums are made: one address a step.
#[derive(Clone, Copy)]
pub struct Ahead<'a> {
    numbers: &'a [f32],
    step: usize,
}

impl<'a> Ahead<'a> {
    /// Nothing.
    pub const NOTHING: Self = Self { numbers: &[], step: 0 };

    /// The i-th of `parts` parts of these numbers, which are as many as `steps` lines of them.
    #[inline(always)]
    pub fn part(numbers: &'a [f32], steps: usize, i: usize, parts: usize) -> Self {
        let step = numbers.len().div_ceil(steps.max(1)).div_ceil(parts.max(1));
        match numbers.get(i * steps * step..) {
            Some(numbers) => Self { numbers, step },
            None => Self::NOTHING,
        }
    }
}

/// As [`add_products`], while what is `ahead` is fetched. Products of few rows wait for their weights: fetched
/// while others are multiplied, they cost no time of their own.
///
/// # Panics
/// As [`add_products`].
#[inline(always)]
pub fn add_products_ahead<V: Register, const ROWS: usize, const VECTORS: usize>(
    sums: [[V; VECTORS]; ROWS],
    x: &[f32],
    [across, along]: [usize; 2],
    y: &[f32],
    line: usize,
    steps: usize,
    ahead: Ahead<'_>,
) -> [[V; VECTORS]; ROWS] {
    let Some(last) = steps.checked_sub(1) else { return sums };
    let end_of_x =
        last.checked_mul(along).zip(across.checked_mul(ROWS - 1)).and_then(|(a, b)| a.checked_add(b));
    let end_of_y = last.checked_mul(line).and_then(|from| from.checked_add(VECTORS * V::LANES));
    assert!(
        end_of_x.is_some_and(|last| last < x.len()) && end_of_y.is_some_and(|end| end <= y.len()),
        "numbers of every step of both factors"
    );
    // SAFETY: the last number of the last step lies in its slice, as was checked, so all before it do. A slice has
    // fewer numbers than `isize::MAX`.
    unsafe {
        let strides = [across.cast_signed(), along.cast_signed()];
        let (x, y, line) = (x.as_ptr(), y.as_ptr(), line.cast_signed());
        match ahead.numbers.is_empty() {
            true => sum_steps::<V, ROWS, VECTORS, false>(sums, x, strides, y, line, steps, ahead),
            false => sum_steps::<V, ROWS, VECTORS, true>(sums, x, strides, y, line, steps, ahead),
        }
    }
}

/// `sums += a·b` for a `[ROWS, inner]` and b `[inner, VECTORS·LANES]`, whose rows lie in one piece each, inner
/// number by inner number.
///
/// # Panics
/// If the matrices are of other sizes.
#[inline(always)]
pub fn add_product_of<V: Register, const ROWS: usize, const VECTORS: usize>(
    sums: [[V; VECTORS]; ROWS],
    a: MatRef<'_, f32>,
    b: MatRef<'_, f32>,
) -> [[V; VECTORS]; ROWS] {
    let inner = a.ncols();
    assert!(
        a.nrows() == ROWS && b.nrows() == inner && b.ncols() == VECTORS * V::LANES && b.col_stride() == 1,
        "a tile's factors"
    );
    // SAFETY: what is read are numbers of the two matrices, whose sizes were checked.
    unsafe {
        let strides = [a.row_stride(), a.col_stride()];
        let (a, b, line) = (a.as_ptr(), b.as_ptr(), b.row_stride());
        sum_steps::<V, ROWS, VECTORS, false>(sums, a, strides, b, line, inner, Ahead::NOTHING)
    }
}

/// `sums[i][j] += Σ over steps k of x[i·across + k·along]·y[k·line + j·LANES..]`, k by k.
///
/// # Safety
/// All these numbers can be read.
#[inline(always)]
unsafe fn sum_steps<V: Register, const ROWS: usize, const VECTORS: usize, const AHEAD: bool>(
    mut sums: [[V; VECTORS]; ROWS],
    x: *const f32,
    [across, along]: [isize; 2],
    y: *const f32,
    line: isize,
    steps: usize,
    ahead: Ahead<'_>,
) -> [[V; VECTORS]; ROWS] {
    /// Rows whose addresses are made from one pointer.
    const GROUP: usize = 3;
    const {
        assert!(ROWS <= 4 * GROUP, "four pointers");
    }
    let mut rows = [x; 4];
    for (i, row) in rows.iter_mut().enumerate() {
        *row = row.wrapping_offset((GROUP * i).cast_signed() * across);
    }
    let (mut columns, mut fetched) = (y, ahead.numbers.as_ptr());
    for _ in 0..steps {
        if AHEAD {
            fetch(fetched);
            fetched = fetched.wrapping_add(ahead.step);
        }
        // SAFETY: as the caller says. Pointers of rows that do not exist are not read.
        unsafe {
            // Not `array::from_fn`: it would not always be inlined.
            let mut factors = [V::splat(0.0); VECTORS];
            for j in 0..VECTORS {
                factors[j] = V::load_at(columns.add(j * V::LANES));
            }
            for i in 0..ROWS {
                let value = V::splat(*rows[i / GROUP].offset((i % GROUP).cast_signed() * across));
                for j in 0..VECTORS {
                    sums[i][j] = sums[i][j].add_product(value, factors[j]);
                }
            }
        }
        for row in &mut rows {
            *row = in_register(row.wrapping_offset(along));
        }
        columns = columns.wrapping_offset(line);
    }
    sums
}

/// Begins to fetch what is there into the core's second cache, if it is anything: an address that cannot be read
/// is ignored.
#[inline(always)]
fn fetch(pointer: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: nothing is read, and every x86-64 processor has the instruction.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T1>(pointer.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = pointer;
}

/// The same pointer, of which the compiler does not know where it comes from: else it would replace four
/// pointers that move by twelve that stay, for which there are no registers.
#[inline(always)]
fn in_register(mut pointer: *const f32) -> *const f32 {
    // SAFETY: there are no instructions.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!("/* {0} */", inout(reg) pointer, options(pure, readonly, nostack, preserves_flags));
    }
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        raw::{Level, ProductKernel},
        testing::numbers,
    };

    struct Sums<'a> {
        x: &'a [f32],
        strides: [usize; 2],
        y: &'a [f32],
        line: usize,
        steps: usize,
    }

    impl ProductKernel for Sums<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn run_products<V: Register>(self) -> Vec<f32> {
            let Sums { x, strides, y, line, steps } = self;
            let sums = [[V::splat(1.0); 2]; 5];
            let mut out = vec![0.0; 10 * V::LANES];
            let all = add_products(sums, x, strides, y, line, steps);
            all.iter().flatten().zip(out.chunks_exact_mut(V::LANES)).for_each(|(sum, out)| sum.store(out));
            out
        }
    }

    #[test]
    fn sums_are_those_of_the_definition_and_what_is_too_short_is_refused() {
        for level in Level::available() {
            for (strides @ [across, along], line, steps) in [([7, 1], 40, 7), ([1, 5], 33, 4), ([2, 3], 1, 9)]
            {
                let x = numbers(1, 4 * across + (steps - 1) * along + 1);
                let all = |y: &[f32]| level.run_vectors(Sums { x: &x, strides, y, line, steps });
                let columns = level.run_vectors(Sums { x: &[], strides, y: &[], line, steps: 0 }).len() / 5;
                let y = numbers(2, (steps - 1) * line + columns);
                for (i, got) in all(&y).into_iter().enumerate() {
                    let (row, column) = (i / columns, i % columns);
                    let terms = (0..steps).map(|k| x[row * across + k * along] * y[k * line + column]);
                    assert!((got - 1.0 - terms.sum::<f32>()).abs() < 2e-6, "{row} {column}");
                }
                let refused = |x: &[f32], y: &[f32]| {
                    let sums = Sums { x, strides, y, line, steps };
                    std::panic::catch_unwind(|| level.run_vectors(sums)).is_err()
                };
                assert!(refused(&x[1..], &y) && refused(&x, &y[1..]));
                assert!(refused(&[], &y) && refused(&x, &[]));
            }
        }
    }
}
