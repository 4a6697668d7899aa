//! Pairs of neighbouring inner numbers, rounded to bfloat16, in the bits of one f32 number: the first of a pair in
//! the lower half. A last number without a neighbour is paired with zero.

use rayon::prelude::*;

use super::WIDTH;
use crate::{
    math::narrowed,
    raw::{Kernel, Level, build},
    rows::rows_per_task,
};

/// The number of pairs of `inner` numbers.
pub fn count(inner: usize) -> usize {
    inner.div_ceil(2)
}

#[inline(always)]
fn pair(first: f32, second: f32) -> f32 {
    f32::from_bits(narrowed(first) | narrowed(second) << 16)
}

/// The pairs of rows `[rows, inner]`, `[rows, count(inner)]`.
pub fn of_rows(x: &[f32], inner: usize) -> Vec<f32> {
    let (pairs, level) = (count(inner), Level::detected());
    let rows = rows_per_task(pairs);
    build(x.len() / inner * pairs, rows * pairs, |i, out| {
        let x = &x[i * rows * inner..][..out.len() / pairs * inner];
        level.run(Rows { x, inner, out });
    })
}

struct Rows<'a> {
    x: &'a [f32],
    inner: usize,
    out: &'a mut [f32],
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let rows = self.x.chunks_exact(self.inner).zip(self.out.chunks_exact_mut(count(self.inner)));
        for (x, out) in rows {
            let (whole, rest) = x.as_chunks::<2>();
            for (&[first, second], out) in whole.iter().zip(&mut *out) {
                *out = pair(first, second);
            }
            if let (&[last], Some(out)) = (rest, out.last_mut()) {
                *out = pair(last, 0.0);
            }
        }
    }
}

/// The pairs of a weight in panels `[panels, inner, WIDTH]`, `[panels, count(inner), WIDTH]`.
pub fn of_panels(panels: &[f32], inner: usize) -> Vec<f32> {
    let (size, packed) = (inner * WIDTH, count(inner) * WIDTH);
    let mut pairs = vec![0.0; panels.len() / size * packed];
    pairs.par_chunks_exact_mut(packed).zip(panels.par_chunks_exact(size)).for_each(|(pairs, panel)| {
        for (line, lines) in pairs.chunks_exact_mut(WIDTH).zip(panel.chunks(2 * WIDTH)) {
            for (i, out) in line.iter_mut().enumerate() {
                *out = pair(lines[i], lines.get(WIDTH + i).copied().unwrap_or(0.0));
            }
        }
    });
    pairs
}

/// The numbers of [`of_panels`], `[panels, inner, WIDTH]`.
pub fn numbers(pairs: &[f32], inner: usize) -> Vec<f32> {
    let mut panels = Vec::with_capacity(2 * pairs.len());
    for panel in pairs.chunks_exact(count(inner) * WIDTH) {
        for k in 0..inner {
            let line = &panel[k / 2 * WIDTH..][..WIDTH];
            panels.extend(line.iter().map(|pair| f32::from_bits(pair.to_bits() >> (16 * (k % 2)) << 16)));
        }
    }
    panels
}
