//! Numbers as integers in the same order, so that comparisons are exact: a device may take the smallest numbers
//! for zero, and the infinities for whatever it likes.

use cubecl::prelude::*;

/// The key of -inf. Only keys of NaN are smaller.
pub const NOTHING: u32 = 0x007f_ffff;
/// The bits of -inf.
pub const NEGATIVE_INFINITY: u32 = 0xff80_0000;

/// The key of a number of these bits; -0 and 0 share one.
#[cube]
pub fn key(bits: u32) -> u32 {
    let flipped = select(bits >= 0x8000_0000u32, bits ^ 0xffff_ffffu32, bits | 0x8000_0000u32);
    select(bits << 1u32 == 0u32, 0x8000_0000u32, flipped)
}

/// The number of a key.
#[cube]
pub fn number(key: u32) -> f32 {
    f32::reinterpret(select(key >= 0x8000_0000u32, key ^ 0x8000_0000u32, key ^ 0xffff_ffffu32))
}
