//! Products on the processor's matrix unit.

use faer::{MatMut, MatRef, reborrow::*};
use rayon::prelude::*;

use super::{Then, WIDTH, panels};
use crate::{
    elementwise::{self, GeluTanh},
    precision::Precision,
    raw::Level,
    raw::matrix_unit::{Line, MatrixUnit, SIDE, Tile, depth, lines},
};

/// Rows handled together: their packed inputs at some inner numbers stay in a core's own cache.
const ROWS: usize = 512;
/// What a core's own cache holds in bytes, besides a panel.
const CACHE: usize = 1 << 20;

/// Packed rows of inputs: for every block of [`depth`] inner numbers, the tiles of 16 rows; for each tile,
/// its steps.
pub struct Rows {
    precision: Precision,
    inner: usize,
    tiles: usize,
    lines: Vec<Line>,
}

impl Rows {
    /// Of x `[rows, inner]`.
    pub fn new(unit: MatrixUnit, precision: Precision, x: &[f32], inner: usize) -> Self {
        let tiles = (x.len() / inner).div_ceil(SIDE);
        let mut packed = vec![Line::ZERO; tiles * lines(precision, inner)];
        let x = MatRef::from_row_major_slice(x, x.len() / inner, inner);
        let block = tiles * lines(precision, depth(precision));
        packed.par_chunks_mut(block).enumerate().for_each(|(i, block)| {
            let from = i * depth(precision);
            let x = x.subcols(from, depth(precision).min(inner - from));
            let tile = block.len() / tiles;
            block.par_chunks_mut(tile).enumerate().for_each(|(i, lines)| {
                let rows = x.subrows(i * SIDE, SIDE.min(x.nrows() - i * SIDE));
                unit.pack_rows(precision, rows, lines);
            });
        });
        Rows { precision, inner, tiles, lines: packed }
    }

    /// The tiles at the i-th block of inner numbers.
    fn block(&self, i: usize) -> &[Line] {
        let block = self.tiles * lines(self.precision, depth(self.precision));
        &self.lines[i * block..self.lines.len().min((i + 1) * block)]
    }
}

/// Panels of a weight.
#[derive(Clone, Copy)]
pub enum Columns<'a> {
    /// `[panels, inner, WIDTH]`, packed again for every product.
    Numbers(&'a [f32]),
    /// Of [`pack_rounded`].
    Rounded(&'a [Line]),
}

/// A weight in panels `[panels, inner, WIDTH]` rounded to bfloat16, in groups of 16 columns, as products read
/// it.
pub fn pack_rounded(unit: MatrixUnit, weight: &[f32], inner: usize) -> Vec<Line> {
    let side = lines(Precision::Rounded, inner);
    let mut packed = vec![Line::ZERO; weight.len() / (inner * SIDE) * side];
    let panels = weight.par_chunks_exact(inner * WIDTH);
    packed.par_chunks_exact_mut(side * WIDTH / SIDE).zip(panels).for_each(|(packed, weight)| {
        let weight = MatRef::from_row_major_slice(weight, inner, WIDTH);
        for (i, lines) in packed.chunks_exact_mut(side).enumerate() {
            unit.pack_columns(Precision::Rounded, weight.subcols(i * SIDE, SIDE), 0, lines);
        }
    });
    packed
}

/// The number at a place in the result of [`pack_rounded`].
pub fn rounded(lines: &[Line], inner: usize, input: usize, output: usize) -> f32 {
    let columns = &lines[output / SIDE * self::lines(Precision::Rounded, inner)..];
    columns[input / 2].number(2 * (output % SIDE) + input % 2)
}

impl Columns<'_> {
    /// `count` panels, starting at `first`.
    pub fn panels(self, inner: usize, first: usize, count: usize) -> Self {
        match self {
            Self::Numbers(weight) => Self::Numbers(&weight[first * inner * WIDTH..][..count * inner * WIDTH]),
            Self::Rounded(packed) => {
                let panel = lines(Precision::Rounded, inner) * WIDTH / SIDE;
                Self::Rounded(&packed[first * panel..][..count * panel])
            }
        }
    }

    /// Sixteen columns at some inner numbers, using `scratch`.
    fn get<'a>(
        &'a self,
        unit: MatrixUnit,
        inner: usize,
        [panel, side]: [usize; 2],
        [from, to]: [usize; 2],
        order: Order,
        scratch: &'a mut [Line],
    ) -> &'a [Line] {
        match self {
            Self::Numbers(weight) => {
                let weight = &weight[panel * inner * WIDTH..][..inner * WIDTH];
                let weight = MatRef::from_row_major_slice(weight, inner, WIDTH);
                let ahead = match order {
                    Order::AllPanels => inner * WIDTH,
                    Order::OnePanel => (to - from) * WIDTH,
                };
                let lines = &mut scratch[..lines(Precision::Whole, to - from)];
                let columns = weight.submatrix(from, side * SIDE, to - from, SIDE);
                unit.pack_columns(Precision::Whole, columns, ahead, lines);
                lines
            }
            Self::Rounded(packed) => {
                let columns = lines(Precision::Rounded, inner);
                let first = (panel * WIDTH / SIDE + side) * columns + lines(Precision::Rounded, from);
                &packed[first..][..lines(Precision::Rounded, to - from)]
            }
        }
    }
}

/// The range that a block of inner numbers is multiplied with before the next block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// One panel: the weight is read from beginning to end.
    OnePanel,
    /// All panels.
    AllPanels,
}

impl Columns<'_> {
    fn precision(self) -> Precision {
        match self {
            Columns::Numbers(_) => Precision::Whole,
            Columns::Rounded(_) => Precision::Rounded,
        }
    }
}

/// `then(x · columns + bias)` for x `[rows, inner]` and bias `[outputs]`, to `[rows, outputs]`.
pub fn apply(
    unit: MatrixUnit,
    x: &[f32],
    inner: usize,
    columns: Columns<'_>,
    bias: &[f32],
    then: Then,
) -> Vec<f32> {
    let outputs = bias.len();
    let mut padded = bias.to_vec();
    padded.resize(panels(outputs) * WIDTH, 0.0);
    // Two parts per thread, so that a delayed thread leaves work to the others.
    let share = panels(outputs).div_ceil(2 * rayon::current_num_threads());
    let mut out = vec![0.0; x.len() / inner * outputs];
    out.par_chunks_mut(ROWS * outputs).zip(x.par_chunks(ROWS * inner)).for_each(|(out, x)| {
        let rows = x.len() / inner;
        let left = Rows::new(unit, columns.precision(), x, inner);
        let out = MatMut::from_row_major_slice_mut(out, rows, outputs);
        out.par_col_chunks_mut(share * WIDTH).enumerate().for_each(|(part, mut out)| {
            let (first, count) = (part * share, panels(out.ncols()));
            let mut blocks = vec![0.0; count * rows * WIDTH];
            let bias = &padded[first * WIDTH..][..count * WIDTH];
            multiply(unit, &left, columns.panels(inner, first, count), bias, &mut blocks);
            if then == Then::Gelu {
                elementwise::in_place::<GeluTanh>(Level::detected(), &mut blocks);
            }
            for (panel, block) in blocks.chunks_exact(rows * WIDTH).enumerate() {
                let columns = WIDTH.min(out.ncols() - panel * WIDTH);
                for (row, line) in block.chunks_exact(WIDTH).enumerate() {
                    let out = out.rb_mut().row_mut(row).subcols_mut(panel * WIDTH, columns);
                    let out = out.try_as_row_major_mut().expect("rows of `out` are contiguous");
                    out.as_slice_mut().copy_from_slice(&line[..columns]);
                }
            }
        });
    });
    out
}

/// `rows · columns + bias`, to a block `[rows, WIDTH]` for each panel.
fn multiply(unit: MatrixUnit, rows: &Rows, columns: Columns<'_>, bias: &[f32], blocks: &mut [f32]) {
    let Rows { precision, inner, tiles, .. } = *rows;
    let panels = bias.len() / WIDTH;
    let block = blocks.len() / panels;
    // Few rows fit the cache as a whole, and the weight is read in one go. With many rows, only a block of
    // inner numbers fits. An element is summed in the same order either way.
    let (order, together) = match size_of_val(&rows.lines[..]) <= CACHE {
        true => (Order::OnePanel, 1),
        false => (Order::AllPanels, panels),
    };
    let mut scratch = vec![Line::ZERO; lines(precision, depth(precision).min(inner))];
    let mut tile = Tile::ZERO;
    unit.with(|ready| {
        for first in (0..panels).step_by(together) {
            for (i, from) in (0..inner).step_by(depth(precision)).enumerate() {
                let depth = [from, inner.min(from + depth(precision))];
                let left = rows.block(i);
                for panel in first..panels.min(first + together) {
                    let block = &mut blocks[panel * block..][..block];
                    for (side, bias) in
                        bias[panel * WIDTH..][..WIDTH].as_chunks::<SIDE>().0.iter().enumerate()
                    {
                        let columns = columns.get(unit, inner, [panel, side], depth, order, &mut scratch);
                        for (row, rows) in left.chunks_exact(left.len() / tiles).enumerate() {
                            ready.product(precision, rows, columns, &mut tile);
                            let out = &mut block[row * SIDE * WIDTH..];
                            if i == 0 {
                                unit.store(&tile, bias, &mut out[side * SIDE..], WIDTH);
                            } else {
                                let height = SIDE.min(out.len() / WIDTH);
                                let out = MatMut::from_row_major_slice_mut(
                                    &mut out[..height * WIDTH],
                                    height,
                                    WIDTH,
                                );
                                unit.put(&tile, out.subcols_mut(side * SIDE, SIDE), true);
                            }
                        }
                    }
                }
            }
        }
    });
}
