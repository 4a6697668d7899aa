//! Top-k, top-p and min-p of logits, a row by a cube.
//!
//! No row is sorted. A threshold is found among the logits' keys, two bits at a time, with one pass over the
//! row for each; all passes but the first find it in the cache.

use burn::backend::TensorMetadata;
use cubecl::prelude::*;

use super::{
    Keep,
    cube::{self, CubeTensor, Rows, contiguous, empty},
    key::{NEGATIVE_INFINITY, key, number},
    weight::{top, weight},
};

/// x `[rows, classes]`.
pub fn run(x: CubeTensor, keep: Keep) -> CubeTensor {
    let [rows, classes] = x.shape().dims();
    let launch = Rows::of(&x, rows, classes);
    let x = contiguous(x);
    let kept = empty(&x, x.shape(), x.dtype);
    let top_k = keep.top_k.filter(|&k| k < classes);
    filter_rows::launch(
        &launch.client,
        launch.count.clone(),
        launch.dim(),
        x.into_buffer_arg(),
        kept.clone().into_buffer_arg(),
        rows,
        classes,
        // Exact: a row that does not fit a float's integers does not fit a device either.
        top_k.map_or(0.0, |k| (classes - k) as f32),
        keep.tail.unwrap_or(0.0),
        keep.margin.unwrap_or(0.0),
        top_k.is_some(),
        keep.tail.is_some(),
        keep.margin.is_some(),
        launch.units,
    );
    kept
}

/// As many candidates as digits of two bits above 0, and one to spare.
type Candidates = Const<4>;
type One = Const<1>;

#[cube(launch)]
fn filter_rows(
    logits: &[u32],
    kept: &mut [u32],
    rows: usize,
    classes: usize,
    removed: f32,
    tail: f32,
    margin: f32,
    #[comptime] top_k: bool,
    #[comptime] top_p: bool,
    #[comptime] min_p: bool,
    #[comptime] units: usize,
) {
    if CUBE_POS >= rows {
        terminate!();
    }
    let first = CUBE_POS * classes;
    let mut sums = cube::room::<Candidates>(units);
    let mut single = cube::room::<One>(units);
    let mut most = Shared::<[u32]>::new_slice(comptime!(2 * units));
    let largest = top(logits, first, classes, &mut most, units);
    let top = number(largest);

    // The k-th largest is the largest key below which there are at most as many as top-k removes.
    let mut kth = 0u32;
    if comptime!(top_k) {
        let found = threshold(logits, first, classes, 0u32, top, 1.0f32, removed, &mut sums, false, units);
        kth = found.key;
    }

    let mut level = 0u32;
    let mut tied = 0u32;
    let mut last = 0u32;
    if comptime!(top_p) {
        let mut own = 0.0f32;
        for class in range_stepped(UNIT_POS as usize, classes, units) {
            let key = key(logits[first + class]);
            if key >= kth {
                own += weight(key, top);
            }
        }
        let total = cube::sum::<One>(Vector::new(own), &mut single, units).extract(0usize);
        // Everything below this level is removed, and of the classes at it those that still fit, in order.
        let found = threshold(logits, first, classes, kth, top, total, tail, &mut sums, true, units);
        level = found.key;
        let each = weight(level, top);

        // Now a unit takes neighbouring classes.
        let share = classes.div_ceil(units);
        let begin = UNIT_POS as usize * share;
        let end = min(begin + share, classes);
        let mut ties = 0.0f32;
        for class in begin..end {
            if key(logits[first + class]) == level {
                ties += 1.0f32;
            }
        }
        let mut rank = cube::before::<One>(Vector::new(ties), &mut single, units).extract(0usize);
        for class in begin..end {
            let key = key(logits[first + class]);
            if key == level {
                rank += 1.0f32;
                if (found.below + rank * each) / total <= tail {
                    tied = class as u32 + 1u32;
                }
            }
            if key == largest {
                last = class as u32 + 1u32;
            }
        }
        tied = cube::largest(tied, &mut most, units);
        last = cube::largest(last, &mut most, units);
    }

    for class in range_stepped(UNIT_POS as usize, classes, units) {
        let bits = logits[first + class];
        let key = key(bits);
        let place = class as u32 + 1u32;
        let mut stays = key >= kth;
        if comptime!(top_p) {
            let in_tail = key < level || (key == level && place <= tied);
            stays = stays && (!in_tail || place == last);
        }
        if comptime!(min_p) {
            stays = stays && number(key) >= top - margin;
        }
        kept[first + class] = select(stays, bits, NEGATIVE_INFINITY);
    }
}

/// A key, and what the classes below it weigh.
#[derive(CubeType)]
struct Threshold {
    key: u32,
    below: f32,
}

/// The largest key below which the classes weigh, as a part of `total`, no more than `limit`.
/// Classes below `least` weigh nothing; the others their probability if `weighed`, otherwise one each.
#[cube]
fn threshold(
    logits: &[u32],
    first: usize,
    classes: usize,
    least: u32,
    top: f32,
    total: f32,
    limit: f32,
    room: &mut Shared<[Vector<f32, Candidates>]>,
    #[comptime] weighed: bool,
    #[comptime] units: usize,
) -> Threshold {
    let mut found = 0u32;
    let mut below = 0.0f32;
    for digit in 0u32..16u32 {
        let step = 1u32 << (30u32 - 2u32 * digit);
        let low = found + step;
        let middle = low + step;
        let high = middle + step;
        let mut below_low = 0.0f32;
        let mut below_middle = 0.0f32;
        let mut below_high = 0.0f32;
        for class in range_stepped(UNIT_POS as usize, classes, units) {
            let key = key(logits[first + class]);
            let mut own = 1.0f32;
            if comptime!(weighed) {
                own = 0.0f32;
                if key >= least {
                    own = weight(key, top);
                }
            }
            if key < low {
                below_low += own;
            }
            if key < middle {
                below_middle += own;
            }
            if key < high {
                below_high += own;
            }
        }
        let mut own = Vector::<f32, Candidates>::new(below_low);
        own.insert(1usize, below_middle);
        own.insert(2usize, below_high);
        let sums = cube::sum::<Candidates>(own, room, units);
        if sums.extract(0usize) / total <= limit {
            found = low;
            below = sums.extract(0usize);
        }
        if sums.extract(1usize) / total <= limit {
            found = middle;
            below = sums.extract(1usize);
        }
        if sums.extract(2usize) / total <= limit {
            found = high;
            below = sums.extract(2usize);
        }
    }
    Threshold { key: found, below }
}
