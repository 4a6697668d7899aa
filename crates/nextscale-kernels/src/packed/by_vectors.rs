//! Products on the processor's vectors.

// Loops over the registers of a tile use an index so that they are unrolled.
#![allow(clippy::needless_range_loop)]

use std::cell::Cell;

use super::{Then, WIDTH, panels};
#[cfg(target_arch = "x86_64")]
use crate::raw::matrix_unit::MatrixUnit;
use crate::{
    elementwise::gelu_of,
    raw::{Ahead, Level, ProductKernel, Rectangle, Register, add_products_ahead, build_rectangles},
    tiles::begin,
};

/// About how many rows are handled together, whose inputs stay in a core's own cache: a multiple of the tallest
/// tile.
const ROWS: usize = 504;
/// The rows of the tallest tile, where there are registers for it.
const TALLEST: usize = 12;

/// What multiplies.
#[derive(Clone, Copy)]
pub enum Factors {
    /// Vectors of f32 numbers.
    Numbers(Level),
    /// Vectors of pairs of bfloat16 numbers, of which every "number" of x and of the weight is one.
    #[cfg(target_arch = "x86_64")]
    Pairs(MatrixUnit),
}

impl Factors {
    fn run(self, panels: Panels<'_>) {
        match self {
            Self::Numbers(level) => level.run_vectors(panels),
            #[cfg(target_arch = "x86_64")]
            Self::Pairs(unit) => unit.run_pairs(panels),
        }
    }
}

/// Panels `[panels, inner, WIDTH]`.
#[derive(Clone, Copy)]
pub enum Weight<'a> {
    Numbers(&'a [f32]),
    /// The upper halves of f32 numbers. Widened, a panel at a time, they cost no more arithmetic than the
    /// others, and half of the memory.
    Halves(&'a [u16]),
}

impl<'a> Weight<'a> {
    /// From the panel on that begins with this column.
    fn from(self, column: usize, inner: usize) -> Self {
        match self {
            Self::Numbers(weight) => Self::Numbers(&weight[column * inner..]),
            Self::Halves(weight) => Self::Halves(&weight[column * inner..]),
        }
    }

    /// The i-th panel if there is one that is read where it lies.
    #[inline(always)]
    fn in_place(self, i: usize, inner: usize) -> &'a [f32] {
        match self {
            Self::Numbers(weight) => weight.get(i * inner * WIDTH..(i + 1) * inner * WIDTH).unwrap_or(&[]),
            Self::Halves(_) => &[],
        }
    }

    /// The i-th panel, using `room` for it.
    #[inline(always)]
    fn panel<'b>(self, i: usize, inner: usize, room: &'b mut [f32]) -> &'b [f32]
    where
        'a: 'b,
    {
        let size = inner * WIDTH;
        match self {
            Self::Numbers(weight) => &weight[i * size..][..size],
            Self::Halves(weight) => {
                for (wide, &half) in room.iter_mut().zip(&weight[i * size..][..size]) {
                    *wide = f32::from_bits(u32::from(half) << 16);
                }
                &room[..size]
            }
        }
    }
}

thread_local! {
    /// Room for a panel, reused between products.
    static ROOM: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// `then(x · weight + bias)` for x `[rows, inner]`, panels `[panels, inner, WIDTH]` and bias `[outputs]`, to
/// `[rows, outputs]`.
pub fn apply(
    factors: Factors,
    x: &[f32],
    inner: usize,
    weight: Weight<'_>,
    bias: &[f32],
    then: Then,
) -> Vec<f32> {
    let (rows, outputs) = (x.len() / inner, bias.len());
    let mut padded = bias.to_vec();
    padded.resize(panels(outputs) * WIDTH, 0.0);
    let part = parts([rows, outputs], rayon::current_num_threads());
    build_rectangles([rows, outputs], part, |[row, column], out| {
        let mut room = ROOM.take();
        if let Weight::Halves(_) = weight {
            room.resize(room.len().max(inner * WIDTH), 0.0);
        }
        factors.run(Panels {
            room: &mut room,
            x: &x[row * inner..][..out.rows() * inner],
            inner,
            weight: weight.from(column, inner),
            bias: &padded[column..],
            then,
            out,
        });
        ROOM.set(room);
    })
}

/// The largest part of a result of these rows and columns. There are two for every thread, so that a delayed
/// thread leaves work to the others: parts of the larger operand, which is then read once.
fn parts([rows, outputs]: [usize; 2], threads: usize) -> [usize; 2] {
    // All of one height: a few rows left over would read the whole weight again.
    let down = ((rows + ROWS / 2) / ROWS).max(1);
    let of_rows = rows.div_ceil(down).next_multiple_of(TALLEST);
    if threads == 1 {
        return [of_rows, outputs];
    }
    if rows >= outputs {
        return [rows.div_ceil(2 * threads).next_multiple_of(TALLEST).min(ROWS), outputs];
    }
    [of_rows, panels(outputs).div_ceil(2 * threads) * WIDTH]
}

/// A part of the result, from all rows of x and the panels that begin at its first column.
struct Panels<'a> {
    x: &'a [f32],
    inner: usize,
    weight: Weight<'a>,
    bias: &'a [f32],
    then: Then,
    out: Rectangle<'a>,
    /// For a widened panel.
    room: &'a mut [f32],
}

impl ProductKernel for Panels<'_> {
    type Output = ();

    #[inline(always)]
    fn run_products<V: Register>(mut self) {
        let all = self.out.columns();
        let room = std::mem::take(&mut self.room);
        for (i, bias) in self.bias.chunks_exact(WIDTH).take(panels(all)).enumerate() {
            let weight = self.weight.panel(i, self.inner, &mut *room);
            // A tile alone reads its panel as it comes; of several the first waits for it, and the rest need not.
            let next = match self.out.rows() > TALLEST && i + 1 < panels(all) {
                true => self.weight.in_place(i + 1, self.inner),
                false => &[],
            };
            let columns = WIDTH.min(all - i * WIDTH);
            if !V::MANY {
                for offset in (0..columns).step_by(2 * V::LANES) {
                    self.strip::<V, 2>([weight, next], bias, offset, columns);
                }
            } else if columns > V::LANES {
                self.strip::<V, 2>([weight, next], bias, 0, columns);
            } else {
                self.strip::<V, 1>([weight, next], bias, 0, columns);
            }
        }
    }
}

impl Panels<'_> {
    /// `VECTORS` vectors of a panel that has `columns` columns, starting at `offset`, while the next panel is
    /// fetched.
    #[inline(always)]
    fn strip<V: Register, const VECTORS: usize>(
        &mut self,
        [weight, next]: [&[f32]; 2],
        bias: &[f32],
        offset: usize,
        columns: usize,
    ) {
        let (rows, mut row) = (self.out.rows(), 0);
        // Of all tiles of the panel, strip after strip.
        let height = if V::MANY { TALLEST } else { TALLEST / 2 };
        let (strips, tiles) = (columns.div_ceil(VECTORS * V::LANES), rows.div_ceil(height));
        let mut done = offset / (VECTORS * V::LANES) * tiles;
        while row < rows {
            let ahead = Ahead::part(next, self.inner, done, strips * tiles);
            done += 1;
            row += match rows - row {
                12.. if V::MANY => self.tile::<V, 12, VECTORS>(row, weight, ahead, bias, offset, columns),
                6 | 9.. => self.tile::<V, 6, VECTORS>(row, weight, ahead, bias, offset, columns),
                4 | 7 | 8 => self.tile::<V, 4, VECTORS>(row, weight, ahead, bias, offset, columns),
                3 | 5 => self.tile::<V, 3, VECTORS>(row, weight, ahead, bias, offset, columns),
                2 => self.tile::<V, 2, VECTORS>(row, weight, ahead, bias, offset, columns),
                _ => self.tile::<V, 1, VECTORS>(row, weight, ahead, bias, offset, columns),
            };
        }
    }

    /// The same of `ROWS` rows. Returns `ROWS`.
    #[inline(always)]
    fn tile<V: Register, const ROWS: usize, const VECTORS: usize>(
        &mut self,
        row: usize,
        weight: &[f32],
        ahead: Ahead<'_>,
        bias: &[f32],
        offset: usize,
        columns: usize,
    ) -> usize {
        let begin = begin::<V, ROWS, VECTORS>(&bias[offset..]);
        let x = &self.x[row * self.inner..];
        let weight = &weight[offset..];
        let sums = add_products_ahead(begin, x, [self.inner, 1], weight, WIDTH, self.inner, ahead);
        // All sums leave their registers at once: a longer loop over them would not be unrolled, and the
        // compiler would keep them in memory all the time.
        let mut tile = [[0.0; WIDTH]; ROWS];
        for i in 0..ROWS {
            for j in 0..VECTORS {
                sums[i][j].store(&mut tile[i][j * V::LANES..]);
            }
        }
        let width = VECTORS * V::LANES;
        for line in &mut tile {
            if self.then == Then::Gelu {
                for j in 0..VECTORS {
                    gelu_of(V::Plain::load(line, j * V::LANES)).store(&mut line[j * V::LANES..]);
                }
            }
            match columns - offset >= width {
                true if width == WIDTH => self.out.push::<WIDTH>(line, WIDTH),
                true => self.out.push::<16>(line.first_chunk().expect("a line is longer"), width),
                false => self.out.push(line, columns - offset),
            }
        }
        ROWS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_a_result_without_short_tiles_between() {
        for threads in [1, 2, 5] {
            for shape @ [rows, outputs] in [[1, 32], [512, 4096], [8192, 192], [700, 700], [13, 5]] {
                let [of_rows, of_columns] = parts(shape, threads);
                assert!(of_rows >= rows || of_rows.is_multiple_of(12), "{shape:?}: {of_rows}");
                assert!(of_columns >= outputs || of_columns.is_multiple_of(WIDTH), "{shape:?}: {of_columns}");
            }
        }
    }
}
