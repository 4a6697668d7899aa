//! Attention of one head on the processor's matrix unit: sixteen queries at a time, whose scores stay in a core's own cache.

use faer::MatMut;

use crate::{
    raw::{
        Level,
        matrix_unit::{Line, MatrixUnit, Precision, Ready, SIDE, STEP, Tile},
    },
    softmax,
};

/// One head's part of an image: rows of `stride` numbers, of which it has `width` from `column` on. The width is a multiple of
/// [`SIDE`].
#[derive(Clone, Copy)]
pub struct Head {
    pub stride: usize,
    pub column: usize,
    pub width: usize,
}

impl Head {
    /// Whether the matrix unit can take heads of such width.
    pub fn fits(width: usize) -> bool {
        width.is_multiple_of(SIDE)
    }
}

/// Keys and values in the form in which products read them.
struct Packed {
    keys: usize,
    /// For every 16 keys the steps over `width`.
    key_columns: Vec<Line>,
    /// For every 16 of `width` the steps over all keys.
    value_columns: Vec<Line>,
}

const WHOLE: Precision = Precision::Whole;

/// How many lines steps over so many inner numbers have.
fn lines(inner: usize) -> usize {
    inner.div_ceil(STEP) * WHOLE.lines()
}

impl Packed {
    fn new(unit: MatrixUnit, k: &[f32], v: &[f32], head: Head) -> Self {
        let Head { stride, column, width } = head;
        let keys = k.len() / stride;
        let padded = keys.next_multiple_of(SIDE);
        // A product reads keys along their channels: they are turned, sixteen at a time.
        let mut turned = vec![0.0; width * SIDE];
        let mut key_columns = vec![Line::ZERO; padded / SIDE * lines(width)];
        for (k, columns) in k.chunks(SIDE * stride).zip(key_columns.chunks_exact_mut(lines(width))) {
            turned.fill(0.0);
            for (key, row) in k.chunks_exact(stride).enumerate() {
                for (channel, value) in row[column..column + width].iter().enumerate() {
                    turned[channel * SIDE + key] = *value;
                }
            }
            unit.pack_columns(WHOLE, &turned, [SIDE, 0, 0], [0, width], columns);
        }
        let mut value_columns = vec![Line::ZERO; width / SIDE * lines(keys)];
        for (i, columns) in value_columns.chunks_exact_mut(lines(keys)).enumerate() {
            unit.pack_columns(WHOLE, v, [stride, column + i * SIDE, 0], [0, keys], columns);
        }
        Packed { keys, key_columns, value_columns }
    }
}

/// `out [queries, width] = softmax(q·kᵀ + mask)·v` for one head of an image's q, k and v; the mask is `[queries, keys]` or
/// empty.
pub fn attend(unit: MatrixUnit, [q, k, v]: [&[f32]; 3], mask: &[f32], head: Head, mut out: MatMut<'_, f32>) {
    let packed = Packed::new(unit, k, v, head);
    let mut scratch = Scratch::new(&packed, head.width);
    unit.with(|ready| {
        for first in (0..out.nrows()).step_by(SIDE) {
            let count = SIDE.min(out.nrows() - first);
            let q = &q[first * head.stride + head.column..];
            let mask =
                if mask.is_empty() { mask } else { &mask[first * packed.keys..][..count * packed.keys] };
            let block = scratch.attend(unit, ready, q, mask, &packed, head, count);
            for (row, line) in block.chunks_exact(head.width).enumerate() {
                let out = out.as_mut().row_mut(first + row).try_as_row_major_mut();
                out.expect("rows of `out` are contiguous").as_slice_mut().copy_from_slice(line);
            }
        }
    });
}

/// What sixteen queries are worked on in.
struct Scratch {
    queries: Vec<Line>,
    scores: Vec<f32>,
    weights: Vec<Line>,
    tile: Tile,
    out: Vec<f32>,
}

impl Scratch {
    fn new(packed: &Packed, width: usize) -> Self {
        Scratch {
            queries: vec![Line::ZERO; lines(width)],
            scores: vec![0.0; SIDE * packed.keys.next_multiple_of(SIDE)],
            weights: vec![Line::ZERO; lines(packed.keys)],
            tile: Tile::ZERO,
            out: vec![0.0; SIDE * width],
        }
    }

    /// `[count, width]` of as many queries.
    #[allow(clippy::too_many_arguments)]
    fn attend(
        &mut self,
        unit: MatrixUnit,
        ready: &Ready,
        q: &[f32],
        mask: &[f32],
        packed: &Packed,
        head: Head,
        count: usize,
    ) -> &[f32] {
        const NOTHING: [f32; SIDE] = [0.0; SIDE];
        let (keys, padded) = (packed.keys, packed.keys.next_multiple_of(SIDE));
        unit.pack_rows(
            WHOLE,
            &q[..(count - 1) * head.stride + head.width],
            head.stride,
            [0, head.width],
            &mut self.queries,
        );
        for (i, columns) in packed.key_columns.chunks_exact(lines(head.width)).enumerate() {
            ready.product(WHOLE, &self.queries, columns, &mut self.tile);
            unit.store(&self.tile, &NOTHING, &mut self.scores[i * SIDE..], padded);
        }
        let scores = &mut self.scores[..count * padded];
        for (row, scores) in scores.chunks_exact_mut(padded).enumerate() {
            // What no key stands behind gets no weight.
            scores[keys..].fill(f32::NEG_INFINITY);
            if !mask.is_empty() {
                let mask = &mask[row * keys..][..keys];
                scores.iter_mut().zip(mask).for_each(|(score, mask)| *score += mask);
            }
        }
        softmax::in_place(Level::detected(), scores, padded);
        unit.pack_rows(WHOLE, scores, padded, [0, keys], &mut self.weights);
        for (i, columns) in packed.value_columns.chunks_exact(lines(keys)).enumerate() {
            ready.product(WHOLE, &self.weights, columns, &mut self.tile);
            unit.store(&self.tile, &NOTHING, &mut self.out[i * SIDE..], head.width);
        }
        &self.out[..count * head.width]
    }
}
