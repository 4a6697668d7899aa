//! The matrix unit of x86-64 processors (AMX with bfloat16 products), for products of f32 matrices.
//!
//! On processors without one, vectors that multiply bfloat16 numbers (AVX512-BF16) can take its place in
//! products of rounded numbers, with the same packed operands.
//!
//! pulp has neither these vectors' instructions nor the unit, so functions of this folder name the instructions that
//! they are compiled with.
//!
//! The unit multiplies numbers with eight bits of mantissa and adds in f32, far faster than vectors multiply
//! f32 numbers. An f32 number is exactly the sum of three such numbers: `x = x₀ + x₁ + x₂`. Of the nine
//! products of two such sums, the six largest are computed: x₀y₀, x₀y₁, x₁y₀, x₁y₁, x₀y₂ and x₂y₀. What is
//! omitted is below 2⁻²⁵ of |xy|, half of the error of rounding the product to f32.

mod by_vectors;
mod pack;
mod products;
mod write;

use std::{
    arch::x86_64::{__cpuid, __cpuid_count, __mmask16},
    sync::LazyLock,
};

pub use products::{Places, Ready, Shifted};

use super::{Pairs, ProductKernel};
use crate::{
    limit::{self, Limit},
    precision::Precision,
};

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

/// The number of lines for this many inner numbers of 16 rows or columns.
pub const fn lines(precision: Precision, inner: usize) -> usize {
    inner.div_ceil(STEP) * lines_of_step(precision)
}

/// Inner numbers handled together: 16 packed columns of them stay in a core's first cache.
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

/// What multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Means {
    /// Tile registers.
    Tiles,
    /// Vectors of bfloat16 numbers, only for [`Precision::Rounded`]: for the six products of
    /// [`Precision::Whole`] they would be slower than vectors of f32 numbers.
    Vectors,
}

pulp::simd_type! {
    /// AVX-512 with products of bfloat16 numbers. Every processor with tiles has it, which rounds their operands too.
    struct Bf16 {
        avx2: "avx2",
        fma: "fma",
        avx512f: "avx512f",
        avx512bw: "avx512bw",
        avx512dq: "avx512dq",
        avx512vl: "avx512vl",
        avx512bf16: "avx512bf16",
    }
}

/// The matrix unit of this processor, if the system permits its use, or the vectors that replace it.
#[derive(Clone, Copy, Debug)]
pub struct MatrixUnit(Means, Bf16);

impl MatrixUnit {
    /// What multiplies in this precision on the route that may be used, if anything.
    pub fn detected(precision: Precision) -> Option<Self> {
        Self::available(precision).next()
    }

    /// Everything that multiplies in this precision, fastest first.
    pub fn available(precision: Precision) -> impl Iterator<Item = Self> {
        // No two processors' units sum in the same order.
        let Limit { most, fixed } = Limit::get();
        let tiles = Self::exists() && most >= limit::Instructions::Amx;
        let vectors = precision == Precision::Rounded && most >= limit::Instructions::Avx512;
        let means = [tiles.then_some(Means::Tiles), vectors.then_some(Means::Vectors)];
        let hardware = HARDWARE.filter(|_| !fixed);
        means.into_iter().flatten().filter_map(move |means| hardware.map(|(simd, _)| Self(means, simd)))
    }

    /// Whether these are tiles, which are many times as fast as vectors of f32 numbers.
    pub fn has_tiles(self) -> bool {
        self.0 == Means::Tiles
    }

    /// Whether this processor has tiles, whatever the route.
    pub fn exists() -> bool {
        HARDWARE.is_some_and(|(_, tiles)| tiles)
    }

    /// Whether this multiplies rounded numbers faster than vectors multiply f32 numbers. Vectors do on AMD's
    /// processors, twice as fast; Intel's execute the instruction at half the rate of a product in f32.
    pub fn outruns_vectors(self) -> bool {
        static AMD: LazyLock<bool> = LazyLock::new(|| {
            let vendor = __cpuid(0);
            [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).concat() == b"AuthenticAMD"
        });
        self.has_tiles() || *AMD
    }

    /// Runs the kernel on vectors whose factors are pairs of bfloat16 numbers: in the bits of an f32 number, the
    /// first of a pair in the lower half.
    pub fn run_pairs<K: ProductKernel>(self, kernel: K) -> K::Output {
        self.1.vectorize(
            #[inline(always)]
            || kernel.run_products::<Pairs>(),
        )
    }

    /// Runs `work` with the unit set up on this thread. `work` must neither call this again nor wait for
    /// other tasks, which might.
    pub fn with<R>(self, work: impl FnOnce(&Ready) -> R) -> R {
        let ready = Ready::new(self);
        work(&ready)
    }
}

/// The vectors of bfloat16 numbers, and whether there are tiles too that the system permits.
static HARDWARE: LazyLock<Option<(Bf16, bool)>> = LazyLock::new(|| {
    let simd = Bf16::try_new()?;
    let (tiles, products) = (1 << 24, 1 << 22);
    let unit = __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & (tiles | products) == tiles | products;
    Some((simd, unit && permitted()))
});

/// Asks Linux for the tiles, which are not part of a process's state until then.
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

#[cfg(test)]
mod tests {
    use faer::MatRef;

    use super::*;
    use crate::{route::skip_test, testing::numbers};

    const ROUNDED: Precision = Precision::Rounded;

    /// What multiplies rounded numbers here.
    fn units() -> Vec<MatrixUnit> {
        let units: Vec<_> = MatrixUnit::available(ROUNDED).collect();
        if !units.iter().any(|unit| unit.has_tiles()) {
            skip_test("amx");
        }
        if units.is_empty() {
            skip_test("bf16");
        }
        units
    }

    /// The nearest bfloat16 number, in the upper half.
    fn round(x: f32) -> f32 {
        f32::from_bits((x.to_bits() + 0x7fff + (x.to_bits() >> 16 & 1)) & 0xffff_0000)
    }

    /// Checks a tile against sums in f64.
    fn check(unit: MatrixUnit, tile: &Tile, exact: impl Fn(usize, usize) -> f64) {
        for (i, row) in tile.0.iter().enumerate() {
            for (j, &got) in row.iter().enumerate() {
                let gap = (f64::from(got) - exact(i, j)).abs();
                assert!(gap < 2e-5, "{unit:?} {i} {j}: {got} for {}", exact(i, j));
            }
        }
    }

    /// Tiles and vectors, where a processor has both.
    #[test]
    fn whatever_multiplies_packed_tiles_gives_the_sums_of_rounded_numbers() {
        for unit in units() {
            for inner in [1, 31, 32, 100] {
                let (a, b) = (numbers(1, SIDE * inner), numbers(2, inner * SIDE));
                let (mut rows, mut columns) =
                    (vec![Line::ZERO; lines(ROUNDED, inner)], vec![Line::ZERO; lines(ROUNDED, inner)]);
                unit.pack_rows(ROUNDED, MatRef::from_row_major_slice(&a, SIDE, inner), &mut rows);
                unit.pack_columns(ROUNDED, MatRef::from_row_major_slice(&b, inner, SIDE), 0, &mut columns);
                let mut tile = Tile([[7.0; SIDE]; SIDE]);
                unit.with(|ready| ready.product(ROUNDED, &rows, &columns, &mut tile));
                check(unit, &tile, |i, j| {
                    let term = |k| f64::from(round(a[i * inner + k])) * f64::from(round(b[k * SIDE + j]));
                    (0..inner).map(term).sum()
                });
            }
        }
    }

    #[test]
    fn whatever_multiplies_reads_columns_from_places() {
        let (steps, stride) = (3, 19);
        let (a, b) = (numbers(3, 2 * SIDE * steps * STEP), numbers(4, 2 * 40 * STEP * stride));
        // Pairs of numbers of neighbouring rows, a row of pairs after the other.
        let pair = |b: &[f32], i: usize| round(b[2 * i]).to_bits() >> 16 | round(b[2 * i + 1]).to_bits();
        let pairs: Vec<u32> = (0..b.len() / 2).map(|i| pair(&b, i)).collect();
        let (first, second) = (&pairs[..], &pairs[5..]);
        let offsets = vec![0, 2, 16 * stride + 1];
        for unit in units() {
            let packed: Vec<Vec<Line>> = a
                .chunks_exact(SIDE * steps * STEP)
                .map(|a| {
                    let mut rows = vec![Line::ZERO; lines(ROUNDED, steps * STEP)];
                    unit.pack_rows(ROUNDED, MatRef::from_row_major_slice(a, SIDE, steps * STEP), &mut rows);
                    rows
                })
                .collect();
            let mut out = [const { Tile([[7.0; SIDE]; SIDE]) }; 4];
            let places = Places::new(offsets.clone(), stride);
            let rows = [&packed[0][..], &packed[1][..]];
            unit.with(|ready| ready.products_of_places(rows, [first, second], &places, &mut out));
            for (tile, out) in out.iter().enumerate() {
                let (a, shift) = (&a[tile / 2 * SIDE * steps * STEP..], 5 * (tile % 2));
                check(unit, out, |i, j| {
                    let term = |k: usize| {
                        let place = shift + offsets[k / STEP] + k % STEP / 2 * stride + j;
                        f64::from(round(a[i * steps * STEP + k])) * f64::from(round(b[2 * place + k % 2]))
                    };
                    (0..steps * STEP).map(term).sum()
                });
            }
        }
    }

    #[test]
    fn whatever_multiplies_adds_products_of_shifted_rows() {
        let (inner, stride) = (2 * STEP, 71);
        let (a, b) = (numbers(5, SIDE * stride + STEP), numbers(6, inner * SIDE));
        let narrow: Vec<u16> = a.iter().map(|&x| (round(x).to_bits() >> 16) as u16).collect();
        for unit in units() {
            let mut columns = vec![Line::ZERO; lines(ROUNDED, inner)];
            unit.pack_columns(ROUNDED, MatRef::from_row_major_slice(&b, inner, SIDE), 0, &mut columns);
            let mut out = [const { Tile([[7.0; SIDE]; SIDE]) }; 3];
            let rows = Shifted { numbers: &narrow, stride };
            unit.with(|ready| ready.add_products_of_shifts(rows, &columns, &mut out));
            for (shift, out) in out.iter().enumerate() {
                check(unit, out, |i, j| {
                    let term = |k: usize| {
                        f64::from(round(a[i * stride + shift + k])) * f64::from(round(b[k * SIDE + j]))
                    };
                    7.0 + (0..inner).map(term).sum::<f64>()
                });
            }
        }
    }
}
