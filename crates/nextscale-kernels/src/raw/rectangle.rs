//! Results written in rectangles, by any thread, into memory that nothing was written to before.

use std::{
    marker::PhantomData,
    sync::atomic::{AtomicUsize, Ordering},
};

use rayon::prelude::*;

/// A part of a matrix, of which every number is written once: strip by strip of its columns from the left,
/// and in a strip row by row from the top.
pub struct Rectangle<'a> {
    first: *mut f32,
    /// The distance between rows.
    stride: usize,
    rows: usize,
    columns: usize,
    /// Where the strip begins, and how wide it is once it has a row.
    from: usize,
    width: usize,
    /// The rows that the strip has.
    row: usize,
    /// Counts the numbers of full rectangles.
    written: &'a AtomicUsize,
    memory: PhantomData<&'a mut [f32]>,
}

// SAFETY: a rectangle is the only way to its part of the memory, as a mutable slice is.
unsafe impl Send for Rectangle<'_> {}

impl Rectangle<'_> {
    /// The number of rows.
    #[inline(always)]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns.
    #[inline(always)]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Takes the first `rows` rows away. What is left may have none.
    ///
    /// # Panics
    /// If there are fewer, or something was written.
    pub fn split_off(&mut self, rows: usize) -> Self {
        assert!(rows <= self.rows && self.from == 0 && self.row == 0, "nothing was written");
        let first = Rectangle { rows, memory: PhantomData, ..*self };
        // Just behind the last row if none is left: a rectangle without rows writes nothing.
        self.first = self.first.wrapping_add(rows * self.stride);
        self.rows -= rows;
        first
    }

    /// The next row of the strip: the first `count` numbers of `line`. A strip is as wide as its first row.
    ///
    /// # Panics
    /// If the rectangle or the line has no such place.
    #[inline(always)]
    pub fn push<const N: usize>(&mut self, line: &[f32; N], count: usize) {
        if self.row == 0 {
            self.width = count;
        }
        let inside = self.row < self.rows && count <= self.columns - self.from;
        assert!(inside && 0 < count && count == self.width && count <= N, "the next row of a strip");
        // SAFETY: row `row` and columns `from..from + count` are inside the rectangle, and the line has `count`
        // numbers; a line cannot lie in memory that is reached through the rectangle alone. The count of a
        // whole line is a constant, so that it is moved in registers.
        unsafe {
            let to = self.first.add(self.row * self.stride + self.from);
            if count == N {
                to.copy_from_nonoverlapping(line.as_ptr(), N);
            } else {
                to.copy_from_nonoverlapping(line.as_ptr(), count);
            }
        }
        self.row += 1;
        if self.row == self.rows {
            (self.row, self.from) = (0, self.from + count);
            if self.from == self.columns {
                self.written.fetch_add(self.rows * self.columns, Ordering::Relaxed);
            }
        }
    }
}

/// A matrix of `[rows, columns]` numbers, written by `work([first row, first column], rectangle)` in
/// rectangles of at most `[of_rows, of_columns]`, in any order and on all threads. Nothing is zeroed before.
///
/// # Panics
/// If `work` leaves a number out.
pub fn build_rectangles(
    [rows, columns]: [usize; 2],
    [of_rows, of_columns]: [usize; 2],
    work: impl Fn([usize; 2], Rectangle<'_>) + Sync,
) -> Vec<f32> {
    /// A pointer that threads may share.
    struct Shared(*mut f32);
    // SAFETY: only rectangles, which do not overlap, are made from it.
    unsafe impl Sync for Shared {}
    impl Shared {
        fn get(&self) -> *mut f32 {
            self.0
        }
    }

    let mut out: Vec<f32> = Vec::with_capacity(rows * columns);
    if rows * columns == 0 {
        return out;
    }
    let (of_rows, of_columns) = (of_rows.max(1), of_columns.max(1));
    let (down, across) = (rows.div_ceil(of_rows), columns.div_ceil(of_columns));
    let (first, written) = (Shared(out.as_mut_ptr()), AtomicUsize::new(0));
    let part = |i: usize| {
        let [row, column] = [i / across * of_rows, i % across * of_columns];
        let rectangle = Rectangle {
            // SAFETY: `row` and `column` are below `rows` and `columns`, for which there is room.
            first: unsafe { first.get().add(row * columns + column) },
            stride: columns,
            rows: of_rows.min(rows - row),
            columns: of_columns.min(columns - column),
            from: 0,
            width: 0,
            row: 0,
            written: &written,
            memory: PhantomData,
        };
        work([row, column], rectangle);
    };
    if down * across == 1 {
        // Not worth waking the other threads.
        part(0);
    } else {
        (0..down * across).into_par_iter().for_each(part);
    }
    assert_eq!(written.into_inner(), rows * columns, "every number is written");
    // SAFETY: there is room for as many numbers. Rectangles and what they are split into do not overlap, and
    // each is counted once, when its last number is written: all numbers are.
    unsafe { out.set_len(rows * columns) };
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes row·100 + column in strips of at most `N` columns.
    fn number<const N: usize>([row, column]: [usize; 2], mut out: Rectangle<'_>) {
        for from in (0..out.columns()).step_by(N) {
            for i in 0..out.rows() {
                let line = std::array::from_fn(|j| ((row + i) * 100 + column + from + j) as f32);
                out.push::<N>(&line, N.min(out.columns() - from));
            }
        }
    }

    #[test]
    fn rectangles_and_their_parts_make_the_whole() {
        for [rows, columns] in [[1, 1], [3, 7], [17, 33], [40, 64], [0, 5]] {
            let expected: Vec<f32> =
                (0..rows * columns).map(|i| (i / columns * 100 + i % columns) as f32).collect();
            for part in [[1, 1], [5, 8], [16, 100], [100, 3], [100, 100]] {
                assert_eq!(build_rectangles([rows, columns], part, number::<8>), expected);
                let halves = build_rectangles([rows, columns], part, |[row, column], mut out| {
                    let half = out.rows() / 2;
                    let top = out.split_off(half);
                    if half > 0 {
                        number::<3>([row, column], top);
                    }
                    number::<5>([row + half, column], out);
                });
                assert_eq!(halves, expected);
            }
        }
    }

    #[test]
    fn what_is_left_out_or_does_not_fit_is_refused() {
        let refused = |work: fn(Rectangle<'_>)| {
            std::panic::catch_unwind(|| build_rectangles([2, 3], [2, 3], |_, out| work(out))).is_err()
        };
        assert!(!refused(|out| number::<8>([0, 0], out)));
        assert!(refused(|_| ()));
        assert!(refused(|mut out| out.push(&[0.0; 3], 3)));
        assert!(refused(|mut out| (0..3).for_each(|_| out.push(&[0.0; 3], 3))));
        assert!(refused(|mut out| (0..2).for_each(|i| out.push(&[0.0; 3], 3 - i))));
        assert!(refused(|mut out| out.push(&[0.0; 8], 4)));
        assert!(refused(|mut out| out.push(&[0.0; 2], 3)));
        assert!(refused(|mut out| out.push(&[0.0; 2], 0)));
        assert!(refused(|mut out| number::<8>([0, 0], out.split_off(1))));
        assert!(refused(|mut out| out.split_off(0).push(&[0.0; 3], 3)));
    }
}
