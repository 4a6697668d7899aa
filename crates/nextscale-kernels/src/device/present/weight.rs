//! The largest logit of a row, and the weights of the others beside it.

use cubecl::prelude::*;

use super::{
    cube,
    key::{NOTHING, key, number},
};

/// The key of the row's largest logit.
#[cube]
pub fn top(
    logits: &[u32],
    first: usize,
    classes: usize,
    room: &mut Shared<[u32]>,
    #[comptime] units: usize,
) -> u32 {
    let mut most = 0u32;
    for class in range_stepped(UNIT_POS as usize, classes, units) {
        most = max(most, key(logits[first + class]));
    }
    cube::largest(most, room, units)
}

/// The probability of a logit of this key as a part of the largest one's: 0 for -inf.
#[cube]
pub fn weight(key: u32, top: f32) -> f32 {
    let mut weight = 0.0f32;
    if key > NOTHING {
        weight = (number(key) - top).exp();
    }
    weight
}
