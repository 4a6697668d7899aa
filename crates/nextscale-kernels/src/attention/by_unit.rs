//! Attention of one head on the processor's matrix unit: sixteen queries at a time, whose scores stay in a
//! core's own cache.

use faer::{MatMut, MatRef, reborrow::*};

use crate::{
    precision::Precision,
    raw::{
        Level,
        matrix_unit::{Line, MatrixUnit, Ready, SIDE, Tile, lines},
    },
    softmax,
};

/// Whether the matrix unit can handle heads of this width.
pub fn fits(width: usize) -> bool {
    width.is_multiple_of(SIDE)
}

/// Keys and values in the layout that products read.
struct Packed {
    precision: Precision,
    keys: usize,
    width: usize,
    /// For every 16 keys, the steps over `width`.
    key_columns: Vec<Line>,
    /// For every 16 of `width`, the steps over all keys.
    value_columns: Vec<Line>,
}

/// For every 16 columns of `y`, the steps over its rows.
fn columns(unit: MatrixUnit, precision: Precision, y: MatRef<'_, f32>) -> Vec<Line> {
    let size = lines(precision, y.nrows());
    let mut packed = vec![Line::ZERO; y.ncols().div_ceil(SIDE) * size];
    for (i, packed) in packed.chunks_exact_mut(size).enumerate() {
        let sixteen = y.subcols(i * SIDE, SIDE.min(y.ncols() - i * SIDE));
        unit.pack_columns(precision, sixteen, 0, packed);
    }
    packed
}

impl Packed {
    /// Of k and v `[keys, width]`.
    fn new(unit: MatrixUnit, precision: Precision, k: MatRef<'_, f32>, v: MatRef<'_, f32>) -> Self {
        let key_columns = columns(unit, precision, k.transpose());
        let value_columns = columns(unit, precision, v);
        Packed { precision, keys: k.nrows(), width: k.ncols(), key_columns, value_columns }
    }

    /// The number of lines for steps over this many inner numbers.
    fn lines(&self, inner: usize) -> usize {
        lines(self.precision, inner)
    }
}

/// `out [queries, width] = softmax(q·kᵀ + mask)·v` for one head: q `[queries, width]`, k and v `[keys,
/// width]`. `mask` returns a query's row of the mask, if there is one. The width must [`fit`](fits), and
/// `unit` multiplies in this precision.
pub fn attend<'a>(
    unit: MatrixUnit,
    precision: Precision,
    [q, k, v]: [MatRef<'_, f32>; 3],
    mask: impl Fn(usize) -> &'a [f32],
    mut out: MatMut<'_, f32>,
) {
    let packed = Packed::new(unit, precision, k, v);
    let mut scratch = Scratch::new(&packed);
    unit.with(|ready| {
        for first in (0..q.nrows()).step_by(SIDE) {
            let count = SIDE.min(q.nrows() - first);
            let mask = |query: usize| mask(first + query);
            let out = out.rb_mut().subrows_mut(first, count);
            scratch.attend(&packed, (unit, ready), q.subrows(first, count), mask, out);
        }
    });
}

/// The working space for sixteen queries.
struct Scratch {
    queries: Vec<Line>,
    scores: Vec<f32>,
    weights: Vec<Line>,
    tile: Tile,
}

impl Scratch {
    fn new(packed: &Packed) -> Self {
        Scratch {
            queries: vec![Line::ZERO; packed.lines(packed.width)],
            scores: vec![0.0; SIDE * packed.keys.next_multiple_of(SIDE)],
            weights: vec![Line::ZERO; packed.lines(packed.keys)],
            tile: Tile::ZERO,
        }
    }

    /// At most sixteen queries q, with their rows of the mask and of `out`.
    fn attend<'a>(
        &mut self,
        packed: &Packed,
        (unit, ready): (MatrixUnit, &Ready),
        q: MatRef<'_, f32>,
        mask: impl Fn(usize) -> &'a [f32],
        mut out: MatMut<'_, f32>,
    ) {
        const NOTHING: [f32; SIDE] = [0.0; SIDE];
        let (keys, padded) = (packed.keys, packed.keys.next_multiple_of(SIDE));
        unit.pack_rows(packed.precision, q, &mut self.queries);
        for (i, columns) in packed.key_columns.chunks_exact(packed.lines(packed.width)).enumerate() {
            ready.product(packed.precision, &self.queries, columns, &mut self.tile);
            unit.store(&self.tile, &NOTHING, &mut self.scores[i * SIDE..], padded);
        }
        let scores = &mut self.scores[..q.nrows() * padded];
        for (row, scores) in scores.chunks_exact_mut(padded).enumerate() {
            // Padding beyond the last key gets no weight.
            scores[keys..].fill(f32::NEG_INFINITY);
            scores.iter_mut().zip(mask(row)).for_each(|(score, mask)| *score += mask);
        }
        softmax::in_place(Level::detected(), scores, padded);
        let weights = MatRef::from_row_major_slice(scores, q.nrows(), padded);
        unit.pack_rows(packed.precision, weights.subcols(0, keys), &mut self.weights);
        for (i, columns) in packed.value_columns.chunks_exact(packed.lines(keys)).enumerate() {
            ready.product(packed.precision, &self.weights, columns, &mut self.tile);
            unit.put(&self.tile, out.rb_mut().subcols_mut(i * SIDE, SIDE), false);
        }
    }
}
