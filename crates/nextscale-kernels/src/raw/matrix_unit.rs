//! The matrix unit of x86-64 processors (AMX with bfloat16 products), for products of f32 matrices.
//!
//! The unit multiplies numbers of eight bits of mantissa and adds in f32, far faster than vectors multiply f32 numbers. An f32
//! number is the sum of three such numbers, without error: `x = x₀ + x₁ + x₂`. Of the nine products of two such sums the six
//! largest are taken, x₀y₀, x₀y₁, x₁y₀, x₁y₁, x₀y₂ and x₂y₀: what is left out is below 2⁻²⁵ of |xy|, half of what rounding the
//! product to f32 costs.
//!
//! Packed products use three tile registers of eight: one sum, and a tile of either operand. Convolutions, whose rows lie apart
//! and are slow to read, use more: what is read serves two or three sums.

use std::arch::asm;
use std::arch::x86_64::{
    __cpuid, __cpuid_count, __m512i, __mmask16, _CMP_UNORD_Q, _MM_HINT_T0, _mm_prefetch, _mm256_storeu_si256,
    _mm512_add_epi32, _mm512_add_ps, _mm512_and_si512, _mm512_castps_si512, _mm512_castsi512_ps,
    _mm512_cmp_ps_mask, _mm512_cvtepi32_epi16, _mm512_load_si512, _mm512_loadu_ps, _mm512_mask_mov_epi32,
    _mm512_mask_storeu_ps, _mm512_maskz_loadu_epi32, _mm512_maskz_loadu_ps, _mm512_or_si512,
    _mm512_set1_epi32, _mm512_set1_ps, _mm512_shuffle_i32x4, _mm512_srli_epi32, _mm512_store_si512,
    _mm512_storeu_ps, _mm512_sub_ps, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32,
    _mm512_unpacklo_epi64,
};
use std::{marker::PhantomData, sync::LazyLock};

use faer::{MatMut, MatRef};

use super::Level;
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
            let vectors = Level::detected() == Level(super::Instructions::Avx512);
            let known = __cpuid(0).eax >= 7;
            vectors
                && known
                && __cpuid_count(7, 0).edx & (tiles | products) == tiles | products
                && permitted()
        });
        DETECTED.then_some(Self(()))
    }

    /// The left operand: x of at most [`SIDE`] rows, in `lines` for every step over its columns. Missing rows and numbers are
    /// zeros.
    ///
    /// # Panics
    /// If neither rows nor columns of `x` are contiguous, it has more rows, or `lines` are not those of its columns.
    pub fn pack_rows(self, precision: Precision, x: MatRef<'_, f32>, lines: &mut [Line]) {
        check(x.nrows(), x.ncols(), precision, lines);
        // SAFETY: the processor has AVX-512, as the unit's constructor saw. Sizes and strides were checked.
        unsafe {
            match (x.col_stride() == 1 || x.ncols() == 1, precision) {
                (true, Precision::Whole) => pack_rows::<PARTS>(x, lines),
                (true, Precision::Rounded) => pack_rows::<1>(x, lines),
                (false, Precision::Whole) => {
                    turn_all(lines, |lines| pack_columns::<PARTS>(x.transpose(), 0, lines))
                }
                (false, Precision::Rounded) => {
                    turn_all(lines, |lines| pack_columns::<1>(x.transpose(), 0, lines))
                }
            }
        }
    }

    /// The right operand: y of at most [`SIDE`] columns, in `lines` for every step over its rows. Missing columns and numbers
    /// are zeros. What lies `ahead` numbers further is fetched into the cache meanwhile, where rows are contiguous.
    ///
    /// # Panics
    /// As [`pack_rows`](Self::pack_rows), with rows for columns.
    pub fn pack_columns(self, precision: Precision, y: MatRef<'_, f32>, ahead: usize, lines: &mut [Line]) {
        check(y.ncols(), y.nrows(), precision, lines);
        // SAFETY: as above.
        unsafe {
            match (y.col_stride() == 1 || y.ncols() == 1, precision) {
                (true, Precision::Whole) => pack_columns::<PARTS>(y, ahead, lines),
                (true, Precision::Rounded) => pack_columns::<1>(y, ahead, lines),
                (false, Precision::Whole) => {
                    turn_all(lines, |lines| pack_rows::<PARTS>(y.transpose(), lines))
                }
                (false, Precision::Rounded) => turn_all(lines, |lines| pack_rows::<1>(y.transpose(), lines)),
            }
        }
    }

    /// `out = tile + base`, for as many rows as `out` has; they are `stride` apart, and the first begins where `out` does.
    pub fn store(self, tile: &Tile, base: &[f32; SIDE], out: &mut [f32], stride: usize) {
        // SAFETY: as above.
        unsafe { store(tile, base, out, stride) }
    }

    /// `out += tile`, or `out = tile`, for as many rows and columns as `out` has.
    ///
    /// # Panics
    /// If rows of `out` are not contiguous, or it is larger than a tile.
    pub fn put(self, tile: &Tile, out: MatMut<'_, f32>, accumulate: bool) {
        assert!(out.nrows() <= SIDE && out.ncols() <= SIDE && (out.col_stride() == 1 || out.ncols() == 1));
        // SAFETY: the processor has AVX-512. Sizes and strides were checked.
        unsafe { put(tile, out, accumulate) }
    }

    /// `out = tile + bias`, one number a row, for as many rows and columns as `out` has.
    ///
    /// # Panics
    /// As [`put`](Self::put), or if there are fewer numbers than rows.
    pub fn put_biased(self, tile: &Tile, bias: &[f32], out: MatMut<'_, f32>) {
        assert!(out.nrows() <= SIDE && out.ncols() <= SIDE && (out.col_stride() == 1 || out.ncols() == 1));
        assert!(out.nrows() <= bias.len());
        // SAFETY: the processor has AVX-512. Sizes and strides were checked.
        unsafe { put_biased(tile, bias, out) }
    }

    /// Runs `work` with the unit set up on this thread. `work` may not come back here, nor wait for other tasks, which might.
    pub fn with<R>(self, work: impl FnOnce(&Ready) -> R) -> R {
        let ready = Ready::new();
        work(&ready)
    }
}

/// Where the steps of a product find their columns: the i-th step reads sixteen rows of sixteen pairs of numbers, `stride` pairs
/// apart, from the pair `offsets[i]` on.
pub struct Places {
    offsets: Vec<usize>,
    stride: usize,
    /// Pairs that must be there.
    reach: usize,
}

impl Places {
    pub fn new(offsets: Vec<usize>, stride: usize) -> Self {
        let reach = offsets.iter().max().map_or(0, |&offset| offset + (SIDE - 1) * stride + SIDE);
        Places { offsets, stride, reach }
    }
}

/// Sixteen rows of rounded numbers, `stride` numbers apart, that are read from neighbouring places.
#[derive(Clone, Copy)]
pub struct Shifted<'a> {
    pub numbers: &'a [u16],
    pub stride: usize,
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
        let lines = lines_of_step(precision);
        assert!(
            rows.len() == columns.len() && rows.len().is_multiple_of(lines),
            "as many steps of both operands"
        );
        let steps = rows.len() / lines;
        if steps == 0 {
            *out = Tile::ZERO;
            return;
        }
        /// The sum over all steps of what these instructions add to the first register, with three in use.
        macro_rules! sum_over_steps {
            ($($instruction:literal),+) => {
                asm!(
                    "tilezero tmm0",
                    "2:",
                    $($instruction,)+
                    "add {rows}, {step}",
                    "add {columns}, {step}",
                    "dec {steps}",
                    "jnz 2b",
                    "tilestored [{out} + {line}], tmm0",
                    rows = inout(reg) rows.as_ptr() => _,
                    columns = inout(reg) columns.as_ptr() => _,
                    steps = inout(reg) steps => _,
                    step = in(reg) lines * size_of::<Line>(),
                    out = in(reg) out.0.as_mut_ptr(),
                    line = in(reg) size_of::<Line>(),
                    out("tmm0") _, out("tmm1") _, out("tmm2") _,
                    options(nostack),
                )
            };
        }
        // SAFETY: the unit is set up on this thread, which `Ready` cannot leave. Every step reads `lines` lines of 64 bytes of
        // each operand, as many as there are; the tile is written in whole.
        unsafe {
            match precision {
                // The smallest terms first.
                Precision::Whole => sum_over_steps!(
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
                    "tdpbf16ps tmm0, tmm1, tmm2"
                ),
                Precision::Rounded => sum_over_steps!(
                    "tileloadd tmm1, [{rows} + {line}]",
                    "tileloadd tmm2, [{columns} + {line}]",
                    "tdpbf16ps tmm0, tmm1, tmm2"
                ),
            }
        }
    }
}

impl Ready {
    /// The four products of two tiles' rows, packed in [`Precision::Rounded`], and two tiles' columns that lie as pairs of rounded
    /// numbers: both first rows' products, then the second rows'. Every number that is read serves two products.
    ///
    /// # Panics
    /// If there are not as many steps of all, or one reads beyond the columns.
    pub fn products_of_places(
        &self,
        rows: [&[Line]; 2],
        columns: [&[u32]; 2],
        places: &Places,
        out: &mut [Tile; 4],
    ) {
        let Places { offsets, stride, reach } = places;
        assert!(rows.iter().all(|rows| rows.len() == offsets.len() * SIDE), "as many steps of both operands");
        assert!(columns.iter().all(|columns| *reach <= columns.len()), "columns within what is there");
        if offsets.is_empty() {
            out.fill(Tile::ZERO);
            return;
        }
        // SAFETY: the unit is set up on this thread, which `Ready` cannot leave. Every step reads 16 lines of either tile's rows,
        // as many as there are, and 16 times 64 bytes of either's columns, which was checked; tiles are written in whole.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "2:",
                "mov {offset}, [{offsets}]",
                "lea {at}, [{first} + 4*{offset}]",
                "tileloadd tmm6, [{at} + {stride}]",
                "lea {at}, [{second} + 4*{offset}]",
                "tileloadd tmm4, [{upper} + {line}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{at} + {stride}]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tileloadd tmm5, [{lower} + {line}]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {upper}, 1024",
                "add {lower}, 1024",
                "add {offsets}, 8",
                "dec {steps}",
                "jnz 2b",
                "tilestored [{out} + {line}], tmm0",
                "tilestored [{out} + {line} + 1024], tmm1",
                "tilestored [{out} + {line} + 2048], tmm2",
                "tilestored [{out} + {line} + 3072], tmm3",
                at = out(reg) _,
                offset = out(reg) _,
                upper = inout(reg) rows[0].as_ptr() => _,
                lower = inout(reg) rows[1].as_ptr() => _,
                offsets = inout(reg) offsets.as_ptr() => _,
                steps = inout(reg) offsets.len() => _,
                first = in(reg) columns[0].as_ptr(),
                second = in(reg) columns[1].as_ptr(),
                stride = in(reg) stride * size_of::<u32>(),
                line = in(reg) size_of::<Line>(),
                out = in(reg) out.as_mut_ptr(),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}

impl Ready {
    /// Adds to the i-th tile the product of rows that begin i numbers further, and packed columns ([`Precision::Rounded`]).
    ///
    /// # Panics
    /// If the last step reads beyond the numbers.
    pub fn add_products_of_shifts(&self, rows: Shifted<'_>, columns: &[Line], out: &mut [Tile; 3]) {
        let Shifted { numbers, stride } = rows;
        let steps = columns.len() / SIDE;
        let reach = (SIDE - 1) * stride + steps * STEP + out.len() - 1;
        assert!(columns.len().is_multiple_of(SIDE) && reach <= numbers.len(), "rows within what is there");
        if steps == 0 {
            return;
        }
        // SAFETY: the unit is set up on this thread, which `Ready` cannot leave. Every step reads 16 lines of columns, as many
        // as there are, and three times 16 times 32 numbers of rows, which was checked; tiles are read and written in whole.
        unsafe {
            asm!(
                "tileloadd tmm0, [{out} + {line}]",
                "tileloadd tmm1, [{out} + {line} + 1024]",
                "tileloadd tmm2, [{out} + {line} + 2048]",
                "2:",
                "tileloadd tmm3, [{columns} + {line}]",
                "tileloadd tmm4, [{rows} + {stride}]",
                "tdpbf16ps tmm0, tmm4, tmm3",
                "tileloadd tmm5, [{rows} + {stride} + 2]",
                "tdpbf16ps tmm1, tmm5, tmm3",
                "tileloadd tmm6, [{rows} + {stride} + 4]",
                "tdpbf16ps tmm2, tmm6, tmm3",
                "add {rows}, 64",
                "add {columns}, 1024",
                "dec {steps}",
                "jnz 2b",
                "tilestored [{out} + {line}], tmm0",
                "tilestored [{out} + {line} + 1024], tmm1",
                "tilestored [{out} + {line} + 2048], tmm2",
                rows = inout(reg) numbers.as_ptr() => _,
                columns = inout(reg) columns.as_ptr() => _,
                steps = inout(reg) steps => _,
                stride = in(reg) stride * size_of::<u16>(),
                line = in(reg) size_of::<Line>(),
                out = in(reg) out.as_mut_ptr(),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _, out("tmm4") _, out("tmm5") _, out("tmm6") _,
                options(nostack),
            );
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

/// Panics where an operand does not fit its lines.
fn check(side: usize, inner: usize, precision: Precision, lines: &[Line]) {
    assert!(side <= SIDE && lines.len() == self::lines(precision, inner), "lines of an operand");
}

/// The first `count` of sixteen.
fn first(count: usize) -> __mmask16 {
    if count >= SIDE { __mmask16::MAX } else { (1 << count) - 1 }
}

/// Rows of `x` are contiguous; sizes are those of `lines`.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn pack_rows<const PARTS: usize>(x: MatRef<'_, f32>, lines: &mut [Line]) {
    let (rows, inner, stride) = (x.nrows(), x.ncols(), x.row_stride());
    for (step, lines) in lines.chunks_exact_mut(PARTS * SIDE).enumerate() {
        for row in 0..SIDE {
            for half in 0..2 {
                let at = step * STEP + half * SIDE;
                let count = if row < rows { inner.saturating_sub(at) } else { 0 };
                let from = x.as_ptr().wrapping_offset(row as isize * stride).wrapping_add(at);
                // SAFETY: the mask holds back what lies beyond the row or is no row; no alignment is asked for.
                let numbers = unsafe { _mm512_maskz_loadu_epi32(first(count), from.cast()) };
                let parts = if PARTS == 1 { [rounded(numbers); 3] } else { split(numbers) };
                for (part, numbers) in parts.into_iter().enumerate().take(PARTS) {
                    let narrow = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(numbers));
                    let to = &mut lines[part * SIDE + row].0[SIDE * half..][..SIDE];
                    // SAFETY: 16 numbers of two bytes lie there.
                    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), narrow) };
                }
            }
        }
    }
}

/// Rows of `y` are contiguous; sizes are those of `lines`.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn pack_columns<const PARTS: usize>(y: MatRef<'_, f32>, ahead: usize, lines: &mut [Line]) {
    let (inner, columns, stride) = (y.nrows(), y.ncols(), y.row_stride());
    let upper = _mm512_set1_epi32(0xffff_0000_u32 as i32);
    for (step, lines) in lines.chunks_exact_mut(PARTS * SIDE).enumerate() {
        for pair in 0..SIDE {
            let number = |k: usize| {
                let count = if k < inner { columns } else { 0 };
                let from = y.as_ptr().wrapping_offset(k as isize * stride);
                // Reads nothing: any address will do.
                _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(ahead).cast());
                // SAFETY: the mask holds back what lies beyond the row or is no row; no alignment is asked for.
                unsafe { _mm512_maskz_loadu_epi32(first(count), from.cast()) }
            };
            let at = step * STEP + 2 * pair;
            let (low, high) = (number(at), number(at + 1));
            let (lows, highs) =
                if PARTS == 1 { ([rounded(low); 3], [rounded(high); 3]) } else { (split(low), split(high)) };
            for part in 0..PARTS {
                let both = _mm512_or_si512(
                    _mm512_srli_epi32::<16>(lows[part]),
                    _mm512_and_si512(highs[part], upper),
                );
                // SAFETY: a line is 64 bytes, and lies on a multiple of them.
                unsafe { _mm512_store_si512(lines[part * SIDE + pair].0.as_mut_ptr().cast(), both) };
            }
        }
    }
}

/// Packs by `pack`, and makes the rows' form of the columns' form or the other way round: as pairs of numbers, one is the
/// transpose of the other.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn turn_all(lines: &mut [Line], pack: impl FnOnce(&mut [Line])) {
    pack(lines);
    lines.as_chunks_mut::<SIDE>().0.iter_mut().for_each(|block| turn(block));
}

/// Transposes 16 lines of 16 pairs.
#[target_feature(enable = "avx512f,avx512bw")]
fn turn(lines: &mut [Line; SIDE]) {
    // SAFETY: a line is 64 bytes, and lies on a multiple of them.
    let mut x: [__m512i; SIDE] =
        std::array::from_fn(|i| unsafe { _mm512_load_si512(lines[i].0.as_ptr().cast()) });
    // Pairs within fours of a quarter of every line, then the quarters.
    for i in (0..SIDE).step_by(4) {
        let [a, b, c, d] = [x[i], x[i + 1], x[i + 2], x[i + 3]];
        let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
        let (ab_high, cd_high) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
        x[i] = _mm512_unpacklo_epi64(ab, cd);
        x[i + 1] = _mm512_unpackhi_epi64(ab, cd);
        x[i + 2] = _mm512_unpacklo_epi64(ab_high, cd_high);
        x[i + 3] = _mm512_unpackhi_epi64(ab_high, cd_high);
    }
    for i in 0..4 {
        let [a, b, c, d] = [x[i], x[4 + i], x[8 + i], x[12 + i]];
        let (ab, cd) = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0x88>(c, d));
        let (ab_odd, cd_odd) = (_mm512_shuffle_i32x4::<0xdd>(a, b), _mm512_shuffle_i32x4::<0xdd>(c, d));
        x[i] = _mm512_shuffle_i32x4::<0x88>(ab, cd);
        x[4 + i] = _mm512_shuffle_i32x4::<0x88>(ab_odd, cd_odd);
        x[8 + i] = _mm512_shuffle_i32x4::<0xdd>(ab, cd);
        x[12 + i] = _mm512_shuffle_i32x4::<0xdd>(ab_odd, cd_odd);
    }
    for (line, x) in lines.iter_mut().zip(x) {
        // SAFETY: as above.
        unsafe { _mm512_store_si512(line.0.as_mut_ptr().cast(), x) };
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

/// Rows of `out` are contiguous; it is no larger than a tile.
#[target_feature(enable = "avx512f")]
unsafe fn put(tile: &Tile, out: MatMut<'_, f32>, accumulate: bool) {
    let (rows, stride, mask) = (out.nrows(), out.row_stride(), first(out.ncols()));
    let begin = out.as_ptr_mut();
    for (i, row) in tile.0.iter().enumerate().take(rows) {
        let to = begin.wrapping_offset(i as isize * stride);
        // SAFETY: the mask holds back what lies beyond the row; no alignment is asked for.
        unsafe {
            let mut sum = _mm512_loadu_ps(row.as_ptr());
            if accumulate {
                sum = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, to), sum);
            }
            _mm512_mask_storeu_ps(to, mask, sum);
        }
    }
}

/// As [`put`], with a number for every row.
#[target_feature(enable = "avx512f")]
unsafe fn put_biased(tile: &Tile, bias: &[f32], out: MatMut<'_, f32>) {
    let (rows, stride, mask) = (out.nrows(), out.row_stride(), first(out.ncols()));
    let begin = out.as_ptr_mut();
    for (i, (row, &bias)) in tile.0.iter().zip(bias).enumerate().take(rows) {
        let to = begin.wrapping_offset(i as isize * stride);
        // SAFETY: the mask holds back what lies beyond the row; no alignment is asked for.
        unsafe {
            let sum = _mm512_add_ps(_mm512_loadu_ps(row.as_ptr()), _mm512_set1_ps(bias));
            _mm512_mask_storeu_ps(to, mask, sum);
        }
    }
}
