//! Attention of one head on the processor's vectors: a panel of queries at a time, whose scores stay in a
//! core's own cache.
//!
//! Scores are kept with the queries side by side, `[keys, queries]`. So keys and values are read as they are,
//! the softmax needs no sums across a vector, and a query's result does not depend on the others.

// Loops over the registers of a tile use an index so that they are unrolled.
#![allow(clippy::needless_range_loop)]

use std::cell::Cell;

use super::mask::Mask;
use crate::{
    math::exp_of,
    raw::{Level, Rectangle, Vector, VectorKernel, add_products, build_rectangles},
    tiles::{NARROW, PANEL},
};

thread_local! {
    /// Room for packed queries and for scores, reused between heads: clearing it each time would cost a
    /// twentieth of the products.
    static ROOM: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Sums of weights that run side by side, for the sake of speed and digits.
const SUMS: usize = 4;

/// Keys and values of some positions, `[images, length, heads·width]` each.
#[derive(Clone, Copy)]
pub struct Segment<'a> {
    pub keys: &'a [f32],
    pub values: &'a [f32],
    /// Positions of an image.
    pub length: usize,
}

/// `softmax(q·kᵀ + mask)·v` for q `[images, queries, heads, width]`, over the keys and values of all segments,
/// one after the other; the mask is over all of them.
pub fn forward(
    level: Level,
    q: &[f32],
    segments: &[Segment<'_>],
    mask: Mask<'_>,
    [queries, heads, width]: [usize; 3],
) -> Vec<f32> {
    let channels = heads * width;
    let keys: usize = segments.iter().map(|segment| segment.length).sum();
    // Values are read in whole vectors; the last of a head that is not a multiple of one would end outside.
    let padded = width.next_multiple_of(NARROW);
    let copied = if padded == width { 0 } else { keys * padded };
    build_rectangles([q.len() / channels, channels], [queries, width], |[row, column], out| {
        let image = row / queries;
        let mut room = ROOM.take();
        let needed = (width + keys) * PANEL + copied;
        if room.len() < needed {
            room.resize(needed, 0.0);
        }
        let (packed, rest) = room.split_at_mut(width * PANEL);
        let (scores, rest) = rest.split_at_mut(keys * PANEL);
        let mut copies = &mut rest[..copied];
        let segments: Vec<_> = segments
            .iter()
            .map(|&Segment { keys, values, length }| {
                let from = image * length * channels + column;
                let values = &values[from..];
                let (values, line) = match copied {
                    0 => (values, channels),
                    _ => {
                        let (copy, others) = std::mem::take(&mut copies).split_at_mut(length * padded);
                        copies = others;
                        for (to, from) in copy.chunks_exact_mut(padded).zip(values.chunks(channels)) {
                            to[..width].copy_from_slice(&from[..width]);
                            to[width..].fill(0.0);
                        }
                        (&*copy, padded)
                    }
                };
                OfHead { keys: &keys[from..], values, line, length }
            })
            .collect();
        let q = &q[row * channels + column..];
        level.run_vectors(Head { image, q, segments: &segments, mask, channels, width, packed, scores, out });
        ROOM.set(room);
    })
}

/// A head's part of a [`Segment`], from its first channel of the image's first position.
struct OfHead<'a> {
    keys: &'a [f32],
    values: &'a [f32],
    /// The distance between values.
    line: usize,
    length: usize,
}

/// One head of an image.
struct Head<'a> {
    image: usize,
    /// From the head's first channel of the first query.
    q: &'a [f32],
    segments: &'a [OfHead<'a>],
    mask: Mask<'a>,
    /// The distance between queries, and between keys.
    channels: usize,
    width: usize,
    /// Queries of a panel, `[width, WIDTH]`.
    packed: &'a mut [f32],
    /// `[keys, WIDTH]`.
    scores: &'a mut [f32],
    out: Rectangle<'a>,
}

impl VectorKernel for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(mut self) {
        let total = self.out.rows();
        for first in (0..total).step_by(PANEL) {
            let left = total - first;
            let out = self.out.split_off(left.min(PANEL));
            if left > NARROW {
                self.panel::<V, PANEL>(first, out);
            } else {
                self.panel::<V, NARROW>(first, out);
            }
        }
    }
}

impl Head<'_> {
    /// The queries from `first` on, as many as `out` has rows and at most `WIDTH`.
    #[inline(always)]
    fn panel<V: Vector, const WIDTH: usize>(&mut self, first: usize, mut out: Rectangle<'_>) {
        let count = out.rows();
        self.pack::<V, WIDTH>(first, count);
        for offset in (0..WIDTH).step_by(2 * V::LANES) {
            if V::MANY && WIDTH == NARROW {
                self.score::<V, 1, WIDTH>(offset);
            } else {
                self.score::<V, 2, WIDTH>(offset);
            }
        }
        self.hide::<WIDTH>(first, count);
        let mut scales = [0.0; PANEL];
        for offset in (0..WIDTH).step_by(V::LANES) {
            self.weigh::<V, WIDTH>(offset).store(&mut scales[offset..]);
        }
        let mut column = 0;
        while column < self.width {
            // A vector is enough for what is left, or there are no longer ones.
            column += if self.width - column > NARROW && V::MANY {
                self.mix::<V, 2, WIDTH>(column, &scales, &mut out)
            } else if V::MANY {
                self.mix::<V, 1, WIDTH>(column, &scales, &mut out)
            } else {
                self.mix::<V, 2, WIDTH>(column, &scales, &mut out)
            };
        }
    }

    /// Queries side by side; what is not a query is 0.
    #[inline(always)]
    fn pack<V: Vector, const WIDTH: usize>(&mut self, first: usize, count: usize) {
        const SIDE: usize = 16;
        let packed = &mut self.packed[..self.width * WIDTH];
        for (block, lines) in packed.chunks_mut(SIDE * WIDTH).enumerate() {
            for from in (0..WIDTH).step_by(SIDE) {
                let mut square = [[0.0; SIDE]; SIDE];
                for (i, row) in square.iter_mut().enumerate().take(count.saturating_sub(from)) {
                    let q = &self.q[(first + from + i) * self.channels..][..self.width];
                    let q = &q[block * SIDE..];
                    match q.first_chunk() {
                        Some(all) => *row = *all,
                        None => row[..q.len()].copy_from_slice(q),
                    }
                }
                V::transpose(&mut square);
                for (line, row) in lines.chunks_exact_mut(WIDTH).zip(&square) {
                    line[from..from + SIDE].copy_from_slice(row);
                }
            }
        }
    }

    /// Scores of `VECTORS` vectors of queries, starting at `offset`.
    #[inline(always)]
    fn score<V: Vector, const VECTORS: usize, const WIDTH: usize>(&mut self, offset: usize) {
        let mut from = 0;
        for segment in self.segments {
            let mut key = 0;
            while key < segment.length {
                let keys = &segment.keys[key * self.channels..];
                let scores = &mut self.scores[(from + key) * WIDTH + offset..];
                let q = &self.packed[offset..self.width * WIDTH];
                let strides = [self.channels, 1];
                key += match segment.length - key {
                    12.. if V::MANY => score::<V, 12, VECTORS, WIDTH>(keys, strides, q, self.width, scores),
                    6 | 9.. => score::<V, 6, VECTORS, WIDTH>(keys, strides, q, self.width, scores),
                    4 | 7 | 8 => score::<V, 4, VECTORS, WIDTH>(keys, strides, q, self.width, scores),
                    3 | 5 => score::<V, 3, VECTORS, WIDTH>(keys, strides, q, self.width, scores),
                    2 => score::<V, 2, VECTORS, WIDTH>(keys, strides, q, self.width, scores),
                    _ => score::<V, 1, VECTORS, WIDTH>(keys, strides, q, self.width, scores),
                };
            }
            from += segment.length;
        }
    }

    /// Adds the mask.
    #[inline(always)]
    fn hide<const WIDTH: usize>(&mut self, first: usize, count: usize) {
        for i in 0..count {
            let mask = self.mask.row(self.image, first + i);
            for (scores, mask) in self.scores.chunks_exact_mut(WIDTH).zip(mask) {
                scores[i] += mask;
            }
        }
    }

    /// Replaces the scores of a vector of queries by their exponentials, the largest of which is 1. Returns
    /// what makes them weights.
    #[inline(always)]
    fn weigh<V: Vector, const WIDTH: usize>(&mut self, offset: usize) -> V {
        let keys: usize = self.segments.iter().map(|segment| segment.length).sum();
        let scores = &mut self.scores[..keys * WIDTH];
        let mut top = V::splat(f32::NEG_INFINITY);
        for line in scores.chunks_exact(WIDTH) {
            let score = V::load(line, offset);
            top = top.where_less(score, score, top);
        }
        let mut sums = [V::splat(0.0); SUMS];
        for lines in scores.chunks_mut(SUMS * WIDTH) {
            for (line, sum) in lines.chunks_exact_mut(WIDTH).zip(&mut sums) {
                let weight = exp_of(V::load(line, offset).minus(top));
                weight.store(&mut line[offset..]);
                *sum = sum.plus(weight);
            }
        }
        let [a, b, c, d] = sums;
        V::splat(1.0).over(a.plus(b).plus(c.plus(d)))
    }

    /// Mixes `VECTORS` vectors of the values, starting at `column`, for every query. Returns how many columns
    /// they are.
    #[inline(always)]
    fn mix<V: Vector, const VECTORS: usize, const WIDTH: usize>(
        &self,
        column: usize,
        scales: &[f32; PANEL],
        out: &mut Rectangle<'_>,
    ) -> usize {
        let (rows, mut row) = (out.rows(), 0);
        while row < rows {
            row += match rows - row {
                12.. if V::MANY => self.mixed::<V, 12, VECTORS, WIDTH>(row, column, scales, out),
                6 | 9.. => self.mixed::<V, 6, VECTORS, WIDTH>(row, column, scales, out),
                4 | 7 | 8 => self.mixed::<V, 4, VECTORS, WIDTH>(row, column, scales, out),
                3 | 5 => self.mixed::<V, 3, VECTORS, WIDTH>(row, column, scales, out),
                2 => self.mixed::<V, 2, VECTORS, WIDTH>(row, column, scales, out),
                _ => self.mixed::<V, 1, VECTORS, WIDTH>(row, column, scales, out),
            };
        }
        VECTORS * V::LANES
    }

    /// The same for `ROWS` queries. Returns `ROWS`.
    #[inline(always)]
    fn mixed<V: Vector, const ROWS: usize, const VECTORS: usize, const WIDTH: usize>(
        &self,
        row: usize,
        column: usize,
        scales: &[f32; PANEL],
        out: &mut Rectangle<'_>,
    ) -> usize {
        let mut sums = [[V::splat(0.0); VECTORS]; ROWS];
        let mut from = 0;
        for &OfHead { values, line, length, .. } in self.segments {
            let weights = &self.scores[from * WIDTH + row..];
            sums = add_products(sums, weights, [1, WIDTH], &values[column..], line, length);
            from += length;
        }
        let mut tile = [[0.0; PANEL]; ROWS];
        for i in 0..ROWS {
            let scale = V::splat(scales[row + i]);
            for j in 0..VECTORS {
                sums[i][j].times(scale).store(&mut tile[i][j * V::LANES..]);
            }
        }
        let width = VECTORS * V::LANES;
        let count = width.min(self.width - column);
        for line in &tile {
            match count {
                PANEL => out.push::<PANEL>(line, PANEL),
                _ => out.push(line, count),
            }
        }
        ROWS
    }
}

/// The scores of `ROWS` keys with `VECTORS` vectors of queries. Returns `ROWS`.
#[inline(always)]
fn score<V: Vector, const ROWS: usize, const VECTORS: usize, const WIDTH: usize>(
    keys: &[f32],
    strides: [usize; 2],
    q: &[f32],
    width: usize,
    scores: &mut [f32],
) -> usize {
    let sums = add_products([[V::splat(0.0); VECTORS]; ROWS], keys, strides, q, WIDTH, width);
    for i in 0..ROWS {
        for j in 0..VECTORS {
            sums[i][j].store(&mut scores[i * WIDTH + j * V::LANES..]);
        }
    }
    ROWS
}
