//! The matrix unit of x86-64 processors (AMX with bfloat16 products), for products of f32 matrices.
//!
//! The unit multiplies numbers of eight bits of mantissa and adds in f32, far faster than vectors multiply f32 numbers. An f32
//! number is the sum of three such numbers, without error: `x = x₀ + x₁ + x₂`. Of the nine products of two such sums the six
//! largest are taken, x₀y₀, x₀y₁, x₁y₀, x₁y₁, x₀y₂ and x₂y₀: what is left out is below 2⁻²⁵ of |xy|, half of what rounding the
//! product to f32 costs.

mod pack;
mod products;
mod write;

use std::{
    arch::x86_64::{__cpuid, __cpuid_count, __mmask16},
    sync::LazyLock,
};

pub use products::{Places, Ready, Shifted};

use super::{Instructions, Level};
use crate::precision::Precision;

/// Rows and columns of a product's tile.
pub const SIDE: usize = 16;
/// Numbers of the inner dimension that one instruction sums over.
pub const STEP: usize = 32;
/// Parts whose sum is an f32 number.
const PARTS: usize = 3;

/// Lines that hold one operand of a tile for one step: a tile register for each part.
pub const fn lines_of_step(precision: Precision) -> usize {
    match precision {
        Precision::Whole => PARTS * SIDE,
        Precision::Rounded => SIDE,
    }
}

/// How many lines so many inner numbers of 16 rows or columns have.
pub const fn lines(precision: Precision, inner: usize) -> usize {
    inner.div_ceil(STEP) * lines_of_step(precision)
}

/// Inner numbers that are worked on together: 16 packed columns of them stay in a core's first cache.
pub const fn depth(precision: Precision) -> usize {
    match precision {
        Precision::Whole => 256,
        Precision::Rounded => 768,
    }
}

/// A row of a tile register.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Line([u16; STEP]);

impl Line {
    pub const ZERO: Self = Line([0; STEP]);

    /// The i-th number.
    pub fn number(&self, i: usize) -> f32 {
        f32::from_bits(u32::from(self.0[i]) << 16)
    }
}

/// A tile of a product.
#[derive(Clone)]
#[repr(C, align(64))]
pub struct Tile(pub [[f32; SIDE]; SIDE]);

impl Tile {
    pub const ZERO: Self = Tile([[0.0; SIDE]; SIDE]);
}

/// The matrix unit of this processor, which the system lets this process use.
#[derive(Clone, Copy, Debug)]
pub struct MatrixUnit(());

impl MatrixUnit {
    /// The unit, where there is one; asked for once.
    pub fn detected() -> Option<Self> {
        static DETECTED: LazyLock<bool> = LazyLock::new(|| {
            let (tiles, products) = (1 << 24, 1 << 22);
            let vectors = Level::detected() == Level(Instructions::Avx512);
            let known = __cpuid(0).eax >= 7;
            vectors
                && known
                && __cpuid_count(7, 0).edx & (tiles | products) == tiles | products
                && permitted()
        });
        DETECTED.then_some(Self(()))
    }

    /// Runs `work` with the unit set up on this thread. `work` may not come back here, nor wait for other tasks, which might.
    pub fn with<R>(self, work: impl FnOnce(&Ready) -> R) -> R {
        let ready = Ready::new();
        work(&ready)
    }
}

/// Asks Linux for the tiles, which are not part of a process's state before.
#[cfg(target_os = "linux")]
fn permitted() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    // SAFETY: this call takes two numbers and changes only what the process may use.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn permitted() -> bool {
    false
}

/// The first `count` of sixteen.
fn first(count: usize) -> __mmask16 {
    if count >= SIDE { __mmask16::MAX } else { (1 << count) - 1 }
}
