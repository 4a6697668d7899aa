//! What is the same for groups of channels that one cube takes and for those that several do.

use cubecl::prelude::*;

/// The number in memory of element `i` of a group whose first channel is at `first`: channels of a pixel stand
/// side by side in `i`.
#[cube]
pub fn at(first: usize, i: usize, members: usize, of_channel: usize, of_pixel: usize) -> usize {
    first + i % members * of_channel + i / members * of_pixel
}

/// The number itself, or its SiLU.
#[cube]
pub fn activated(value: f32, #[comptime] silu: bool) -> f32 {
    let mut value = value;
    if comptime!(silu) {
        value = value / (1.0f32 + (-value).exp());
    }
    value
}
