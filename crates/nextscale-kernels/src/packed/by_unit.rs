//! Products on the processor's matrix unit.

use rayon::prelude::*;

use super::WIDTH;
use crate::raw::matrix_unit::{Line, MatrixUnit, Precision, SIDE, STEP, Tile};

/// What a core's own cache holds, in bytes, beside a panel.
const CACHE: usize = 1 << 20;

/// Inner numbers that are worked on together: 16 packed columns of them stay in a core's first cache.
const fn depth(precision: Precision) -> usize {
    match precision {
        Precision::Whole => 256,
        Precision::Rounded => 768,
    }
}

/// How many lines so many inner numbers of 16 rows or columns have.
fn lines(precision: Precision, inner: usize) -> usize {
    inner.div_ceil(STEP) * precision.lines()
}

/// Rows of inputs, packed: for every block of [`depth`] inner numbers the tiles of 16 rows, and for each tile its steps.
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
        let block = tiles * lines(precision, depth(precision));
        packed.par_chunks_mut(block).enumerate().for_each(|(i, block)| {
            let from = i * depth(precision);
            let depth = [from, inner.min(from + depth(precision))];
            let tile = block.len() / tiles;
            block.par_chunks_mut(tile).enumerate().for_each(|(i, lines)| {
                unit.pack_rows(precision, &x[i * SIDE * inner..], inner, depth, lines);
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
    /// `[panels, inner, WIDTH]`, packed for every product anew.
    Numbers(&'a [f32]),
    /// Of [`pack_rounded`].
    Rounded(&'a [Line]),
}

/// A weight in panels `[panels, inner, WIDTH]` rounded to bfloat16, 16 columns after 16, as products read them.
pub fn pack_rounded(unit: MatrixUnit, weight: &[f32], inner: usize) -> Vec<Line> {
    let side = lines(Precision::Rounded, inner);
    let mut packed = vec![Line::ZERO; weight.len() / (inner * SIDE) * side];
    let panels = weight.par_chunks_exact(inner * WIDTH);
    packed.par_chunks_exact_mut(side * WIDTH / SIDE).zip(panels).for_each(|(packed, weight)| {
        for (i, lines) in packed.chunks_exact_mut(side).enumerate() {
            unit.pack_columns(Precision::Rounded, weight, [WIDTH, i * SIDE, 0], [0, inner], lines);
        }
    });
    packed
}

/// The number at a place of what [`pack_rounded`] made.
pub fn rounded(lines: &[Line], inner: usize, input: usize, output: usize) -> f32 {
    let columns = &lines[output / SIDE * self::lines(Precision::Rounded, inner)..];
    columns[input / 2].number(2 * (output % SIDE) + input % 2)
}

impl Columns<'_> {
    /// The panels from `first` on, `count` of them.
    pub fn panels(self, inner: usize, first: usize, count: usize) -> Self {
        match self {
            Self::Numbers(weight) => Self::Numbers(&weight[first * inner * WIDTH..][..count * inner * WIDTH]),
            Self::Rounded(packed) => {
                let panel = lines(Precision::Rounded, inner) * WIDTH / SIDE;
                Self::Rounded(&packed[first * panel..][..count * panel])
            }
        }
    }

    /// Sixteen columns at some inner numbers. `scratch` is room for them; `ahead` is how many panels further the next columns
    /// lie that will be asked for, where they do not follow these.
    fn get<'a>(
        &'a self,
        unit: MatrixUnit,
        inner: usize,
        [panel, side]: [usize; 2],
        depth: [usize; 2],
        ahead: usize,
        scratch: &'a mut [Line],
    ) -> &'a [Line] {
        match self {
            Self::Numbers(weight) => {
                let weight = &weight[panel * inner * WIDTH..][..inner * WIDTH];
                let ahead = if ahead > 0 { ahead * inner * WIDTH } else { (depth[1] - depth[0]) * WIDTH };
                let lines = &mut scratch[..lines(Precision::Whole, depth[1] - depth[0])];
                unit.pack_columns(Precision::Whole, weight, [WIDTH, side * SIDE, ahead], depth, lines);
                lines
            }
            Self::Rounded(packed) => {
                let columns = lines(Precision::Rounded, inner);
                let from = lines(Precision::Rounded, depth[0]);
                let first = (panel * WIDTH / SIDE + side) * columns;
                &packed[first + from..][..lines(Precision::Rounded, depth[1] - depth[0])]
            }
        }
    }
}

/// `rows · columns + bias`, to a block `[rows, WIDTH]` for each panel.
pub fn multiply(unit: MatrixUnit, rows: &Rows, columns: Columns<'_>, bias: &[f32], blocks: &mut [f32]) {
    let Rows { precision, inner, tiles, .. } = *rows;
    let panels = bias.len() / WIDTH;
    let block = blocks.len() / panels;
    // Few rows stay in the cache in whole, and the weight is read from its begin to its end. Of many only a block of inner
    // numbers does: they meet all panels before the next. An element is summed in the same order either way.
    let together = if size_of_val(&rows.lines[..]) <= CACHE { 1 } else { panels };
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
                        let ahead = usize::from(together > 1);
                        let columns = columns.get(unit, inner, [panel, side], depth, ahead, &mut scratch);
                        for (row, rows) in left.chunks_exact(left.len() / tiles).enumerate() {
                            let out = &mut block[row * SIDE * WIDTH + side * SIDE..];
                            ready.product(precision, rows, columns, &mut tile);
                            match i {
                                0 => unit.store(&tile, bias, out, WIDTH),
                                _ => unit.add(&tile, out, WIDTH),
                            }
                        }
                    }
                }
            }
        }
    });
}
