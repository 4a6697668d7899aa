//! The matrix unit of x86-64 processors (AMX with bfloat16 products), for products of f32 matrices.
//!
//! The unit multiplies numbers of eight bits of mantissa, adds in f32, and is some twenty times as fast as f32 vectors. An f32
//! number is the sum of three such numbers, without error: `x = x₀ + x₁ + x₂`. Of the nine products of two such sums the six
//! largest are taken, x₀y₀, x₀y₁, x₁y₀, x₁y₁, x₀y₂ and x₂y₀: what is left out is below 2⁻²⁵ of |xy|, half of what rounding the
//! product to f32 costs.
//!
//! Three tile registers are used of eight: on a core whose other hardware thread is busy the unit was measured twice as
//! slow with seven or eight in use.

use std::arch::asm;
use std::arch::x86_64::{
    __cpuid, __cpuid_count, __m512i, _CMP_UNORD_Q, _MM_HINT_T0, _mm_prefetch, _mm256_storeu_si256,
    _mm512_add_epi32, _mm512_add_ps, _mm512_and_si512, _mm512_castps_si512, _mm512_castsi512_ps,
    _mm512_cmp_ps_mask, _mm512_cvtepi32_epi16, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mask_mov_epi32,
    _mm512_or_si512, _mm512_set1_epi32, _mm512_srli_epi32, _mm512_storeu_ps, _mm512_storeu_si512,
    _mm512_sub_ps,
};
use std::{marker::PhantomData, sync::LazyLock};

use super::Level;

/// Rows and columns of a product's tile.
pub const SIDE: usize = 16;
/// Numbers of the inner dimension that one instruction sums over.
pub const STEP: usize = 32;
/// Parts whose sum is an f32 number.
const PARTS: usize = 3;

/// How closely the unit's products are those of f32 numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// As exact as a plain sum in f32: numbers are the sums of three parts.
    Whole,
    /// Of numbers rounded to bfloat16, summed in f32.
    Rounded,
}

impl Precision {
    /// Lines that hold one operand of a tile for one step: a tile register for each part.
    pub const fn lines(self) -> usize {
        match self {
            Self::Whole => PARTS * SIDE,
            Self::Rounded => SIDE,
        }
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
            let vectors = Level::detected() == Level(super::Instructions::Avx512);
            let known = __cpuid(0).eax >= 7;
            vectors
                && known
                && __cpuid_count(7, 0).edx & (tiles | products) == tiles | products
                && permitted()
        });
        DETECTED.then_some(Self(()))
    }

    /// The left operand: rows of 16 of `x`, whose rows are `stride` apart, at the inner numbers `from..to` (missing rows and
    /// numbers are zeros), in `lines` for every step.
    pub fn pack_rows(
        self,
        precision: Precision,
        x: &[f32],
        stride: usize,
        [from, to]: [usize; 2],
        lines: &mut [Line],
    ) {
        // SAFETY: the processor has AVX-512, as the unit's constructor saw.
        unsafe {
            match precision {
                Precision::Whole => pack_rows::<PARTS>(x, stride, [from, to], lines),
                Precision::Rounded => pack_rows::<1>(x, stride, [from, to], lines),
            }
        }
    }

    /// The right operand: 16 columns of `y`, whose rows are `stride` apart and begin at `column`, at the inner numbers
    /// `from..to` (missing ones are zeros), in `lines` for every step. What lies `ahead` numbers further is fetched into the
    /// cache meanwhile.
    pub fn pack_columns(
        self,
        precision: Precision,
        y: &[f32],
        [stride, column, ahead]: [usize; 3],
        [from, to]: [usize; 2],
        lines: &mut [Line],
    ) {
        // SAFETY: as above.
        unsafe {
            match precision {
                Precision::Whole => pack_columns::<PARTS>(y, [stride, column, ahead], [from, to], lines),
                Precision::Rounded => pack_columns::<1>(y, [stride, column, ahead], [from, to], lines),
            }
        }
    }

    /// `out = tile + base`, for as many rows as `out` has; they are `stride` apart, and the first begins where `out` does.
    pub fn store(self, tile: &Tile, base: &[f32; SIDE], out: &mut [f32], stride: usize) {
        // SAFETY: as above.
        unsafe { store(tile, base, out, stride) }
    }

    /// `out += tile`, likewise.
    pub fn add(self, tile: &Tile, out: &mut [f32], stride: usize) {
        // SAFETY: as above.
        unsafe { add(tile, out, stride) }
    }

    /// Runs `work` with the unit set up on this thread. `work` may not come back here, nor wait for other tasks, which might.
    pub fn with<R>(self, work: impl FnOnce(&Ready) -> R) -> R {
        let ready = Ready::new();
        work(&ready)
    }
}

/// The unit, set up on this thread until this is dropped.
pub struct Ready(PhantomData<*const ()>);

#[repr(C, align(64))]
struct Configuration([u8; 64]);

/// Every tile register is 16 rows of 64 bytes.
static CONFIGURATION: Configuration = {
    let mut bytes = [0; 64];
    bytes[0] = 1;
    let mut register = 0;
    while register < 8 {
        bytes[16 + 2 * register] = 64;
        bytes[48 + register] = SIDE as u8;
        register += 1;
    }
    Configuration(bytes)
};

impl Ready {
    fn new() -> Self {
        // SAFETY: the processor has the unit and the system permits it, as `MatrixUnit` proves; the configuration is one that
        // the architecture defines, 64 bytes long. Compiled code uses no tile registers but those of `product`.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const CONFIGURATION, options(nostack, readonly)) };
        Ready(PhantomData)
    }

    /// The product of a tile's rows and columns, which were packed with this precision for as many steps.
    pub fn product(&self, precision: Precision, rows: &[Line], columns: &[Line], out: &mut Tile) {
        let lines = precision.lines();
        assert!(
            rows.len() == columns.len() && rows.len().is_multiple_of(lines),
            "as many steps of both operands"
        );
        let steps = rows.len() / lines;
        if steps == 0 {
            *out = Tile::ZERO;
            return;
        }
        // SAFETY: the unit is set up on this thread, which `Ready` cannot leave. Every step reads `lines` lines of 64 bytes of
        // each operand, as many as there are; the tile is written in whole.
        unsafe {
            match precision {
                // The smallest terms first.
                Precision::Whole => asm!(
                    "tilezero tmm0",
                    "2:",
                    "tileloadd tmm1, [{rows} + {line}]",
                    "tileloadd tmm2, [{columns} + {line} + 2048]",
                    "tdpbf16ps tmm0, tmm1, tmm2",
                    "tileloadd tmm2, [{columns} + {line} + 1024]",
                    "tdpbf16ps tmm0, tmm1, tmm2",
                    "tileloadd tmm1, [{rows} + {line} + 1024]",
                    "tdpbf16ps tmm0, tmm1, tmm2",
                    "tileloadd tmm2, [{columns} + {line}]",
                    "tdpbf16ps tmm0, tmm1, tmm2",
                    "tileloadd tmm1, [{rows} + {line} + 2048]",
                    "tdpbf16ps tmm0, tmm1, tmm2",
                    "tileloadd tmm1, [{rows} + {line}]",
                    "tdpbf16ps tmm0, tmm1, tmm2",
                    "add {rows}, 3072",
                    "add {columns}, 3072",
                    "dec {steps}",
                    "jnz 2b",
                    "tilestored [{out} + {line}], tmm0",
                    rows = inout(reg) rows.as_ptr() => _,
                    columns = inout(reg) columns.as_ptr() => _,
                    steps = inout(reg) steps => _,
                    out = in(reg) out.0.as_mut_ptr(),
                    line = in(reg) 64usize,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _,
                    options(nostack),
                ),
                Precision::Rounded => asm!(
                    "tilezero tmm0",
                    "2:",
                    "tileloadd tmm1, [{rows} + {line}]",
                    "tileloadd tmm2, [{columns} + {line}]",
                    "tdpbf16ps tmm0, tmm1, tmm2",
                    "add {rows}, 1024",
                    "add {columns}, 1024",
                    "dec {steps}",
                    "jnz 2b",
                    "tilestored [{out} + {line}], tmm0",
                    rows = inout(reg) rows.as_ptr() => _,
                    columns = inout(reg) columns.as_ptr() => _,
                    steps = inout(reg) steps => _,
                    out = in(reg) out.0.as_mut_ptr(),
                    line = in(reg) 64usize,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _,
                    options(nostack),
                ),
            }
        }
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        // SAFETY: the processor has the unit; nothing of its state is used after this.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
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

/// Three vectors whose upper halves are the parts of `x`, rounded to nearest; the lower halves of all but the last are zeros,
/// and the last has only an upper half but for numbers near the smallest.
#[target_feature(enable = "avx512f,avx512bw")]
fn split(x: __m512i) -> [__m512i; PARTS] {
    let (half, upper) = (_mm512_set1_epi32(0x8000), _mm512_set1_epi32(0xffff_0000_u32 as i32));
    let first = _mm512_and_si512(_mm512_add_epi32(x, half), upper);
    let rest = _mm512_sub_ps(_mm512_castsi512_ps(x), _mm512_castsi512_ps(first));
    let second = _mm512_and_si512(_mm512_add_epi32(_mm512_castps_si512(rest), half), upper);
    let third = _mm512_castps_si512(_mm512_sub_ps(rest, _mm512_castsi512_ps(second)));
    [first, second, third]
}

/// A vector whose upper halves are the bfloat16 numbers nearest to `x`, the even one of two as near; NaN stays NaN.
#[target_feature(enable = "avx512f")]
fn rounded(x: __m512i) -> __m512i {
    let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(x), _mm512_set1_epi32(1));
    let nearest = _mm512_add_epi32(x, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    let numbers = _mm512_castsi512_ps(x);
    let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(numbers, numbers);
    _mm512_mask_mov_epi32(nearest, nan, _mm512_set1_epi32(0x7fc0_0000))
}

/// Sixteen numbers from `at` on.
#[target_feature(enable = "avx512f")]
fn sixteen(from: &[f32], at: usize) -> __m512i {
    let from = &from[at..at + 16];
    // SAFETY: 16 numbers lie there; no alignment is asked for.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f,avx512bw")]
fn pack_rows<const PARTS: usize>(x: &[f32], stride: usize, [from, to]: [usize; 2], lines: &mut [Line]) {
    for (step, lines) in lines.chunks_exact_mut(PARTS * SIDE).enumerate() {
        let at = from + step * STEP;
        for row in 0..SIDE {
            let begin = row * stride;
            let mut short = [0.0; STEP];
            let numbers = if begin >= x.len() {
                &short[..]
            } else if at + STEP <= to {
                &x[begin + at..][..STEP]
            } else {
                let left = to - at;
                short[..left].copy_from_slice(&x[begin + at..][..left]);
                &short[..]
            };
            for half in 0..2 {
                let mut parts = split(sixteen(numbers, 16 * half));
                if PARTS == 1 {
                    parts[0] = rounded(sixteen(numbers, 16 * half));
                }
                for (part, numbers) in parts.into_iter().enumerate().take(PARTS) {
                    let narrow = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(numbers));
                    let to = &mut lines[part * SIDE + row].0[16 * half..][..16];
                    // SAFETY: 16 numbers of two bytes lie there.
                    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), narrow) };
                }
            }
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw")]
fn pack_columns<const PARTS: usize>(
    y: &[f32],
    [stride, column, ahead]: [usize; 3],
    [from, to]: [usize; 2],
    lines: &mut [Line],
) {
    const NONE: [f32; SIDE] = [0.0; SIDE];
    let upper = _mm512_set1_epi32(0xffff_0000_u32 as i32);
    for (step, lines) in lines.chunks_exact_mut(PARTS * SIDE).enumerate() {
        for pair in 0..SIDE {
            let at = from + step * STEP + 2 * pair;
            let row = |k: usize| if k < to { &y[k * stride + column..][..SIDE] } else { &NONE[..] };
            for k in [at, at + 1] {
                // Reads nothing: any address will do.
                _mm_prefetch::<_MM_HINT_T0>(y.as_ptr().wrapping_add(k * stride + column + ahead).cast());
            }
            let (low, high) = (sixteen(row(at), 0), sixteen(row(at + 1), 0));
            let (mut lows, mut highs) = (split(low), split(high));
            if PARTS == 1 {
                (lows[0], highs[0]) = (rounded(low), rounded(high));
            }
            for part in 0..PARTS {
                let both = _mm512_or_si512(
                    _mm512_srli_epi32::<16>(lows[part]),
                    _mm512_and_si512(highs[part], upper),
                );
                // SAFETY: a line is 64 bytes.
                unsafe { _mm512_storeu_si512(lines[part * SIDE + pair].0.as_mut_ptr().cast(), both) };
            }
        }
    }
}

#[target_feature(enable = "avx512f")]
fn store(tile: &Tile, base: &[f32; SIDE], out: &mut [f32], stride: usize) {
    // SAFETY: 16 numbers; no alignment is asked for.
    let base = unsafe { _mm512_loadu_ps(base.as_ptr()) };
    for (row, out) in tile.0.iter().zip(out.chunks_mut(stride)) {
        let out = &mut out[..SIDE];
        // SAFETY: as above.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), _mm512_add_ps(base, _mm512_loadu_ps(row.as_ptr()))) };
    }
}

#[target_feature(enable = "avx512f")]
fn add(tile: &Tile, out: &mut [f32], stride: usize) {
    for (row, out) in tile.0.iter().zip(out.chunks_mut(stride)) {
        let out = &mut out[..SIDE];
        // SAFETY: both are 16 numbers; no alignment is asked for.
        unsafe {
            let sum = _mm512_add_ps(_mm512_loadu_ps(out.as_ptr()), _mm512_loadu_ps(row.as_ptr()));
            _mm512_storeu_ps(out.as_mut_ptr(), sum);
        }
    }
}
