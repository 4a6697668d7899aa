//! The numbers of one vector register, of every length that there is.

#[cfg(target_arch = "x86_64")]
use pulp::core_arch::x86::Avx512f;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m512, __m512bh, _CMP_LT_OQ, _mm512_dpbf16_ps};

use crate::fma::fma;

/// The numbers of one vector register, for sums of products.
pub trait Register: Copy {
    /// The number of lanes.
    const LANES: usize;
    /// Whether there are 32 such registers rather than 16.
    const MANY: bool;
    /// The same registers with `a·b` of single numbers in [`add_product`](Self::add_product).
    type Plain: Vector;
    fn splat(value: f32) -> Self;
    /// The numbers of the slice from index `at` on, which are enough.
    fn load(from: &[f32], at: usize) -> Self;
    fn store(self, to: &mut [f32]);
    /// As [`load`](Self::load), unchecked.
    ///
    /// # Safety
    /// As many numbers as there are lanes can be read there.
    unsafe fn load_at(from: *const f32) -> Self;
    /// `self + a·b`.
    fn add_product(self, a: Self, b: Self) -> Self;
}

/// The numbers of one vector register, for arithmetic.
pub trait Vector: Register {
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    fn over(self, other: Self) -> Self;
    fn magnitude(self) -> Self;
    /// `yes` where a number is less than that of `bound`, else `no`, also where it is not a number.
    fn where_less(self, bound: Self, yes: Self, no: Self) -> Self;
    /// The same bits as integers, plus `add`, shifted left by 23: into the exponent of a number.
    fn into_exponent(self, add: i32) -> Self;
    /// The sum of the numbers, as a tree: the upper half is added to the lower until one number is left.
    fn sum(self) -> f32;
    /// Swaps rows and columns.
    #[inline(always)]
    fn transpose(square: &mut [[f32; 16]; 16]) {
        let rows = *square;
        for (i, line) in square.iter_mut().enumerate() {
            for (number, row) in line.iter_mut().zip(&rows) {
                *number = row[i];
            }
        }
    }
}

/// Eight numbers that the compiler keeps in one register if there is one of that width. One type for AVX2 and for every
/// processor without it, of which pulp would need two.
#[derive(Clone, Copy)]
pub(super) struct Lanes<const FMA: bool>([f32; 8]);

impl<const FMA: bool> Register for Lanes<FMA> {
    const LANES: usize = 8;
    const MANY: bool = false;
    type Plain = Self;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Lanes([value; 8])
    }

    #[inline(always)]
    fn load(from: &[f32], at: usize) -> Self {
        let mut lanes = [0.0; 8];
        lanes.copy_from_slice(&from[at..at + 8]);
        Lanes(lanes)
    }

    #[inline(always)]
    unsafe fn load_at(from: *const f32) -> Self {
        // SAFETY: as the caller says; no alignment is required.
        Lanes(unsafe { from.cast::<[f32; 8]>().read_unaligned() })
    }

    #[inline(always)]
    fn store(self, to: &mut [f32]) {
        to[..8].copy_from_slice(&self.0);
    }

    #[inline(always)]
    fn add_product(mut self, a: Self, b: Self) -> Self {
        for i in 0..8 {
            self.0[i] = fma::<FMA>(a.0[i], b.0[i], self.0[i]);
        }
        self
    }
}

impl<const FMA: bool> Vector for Lanes<FMA> {
    #[inline(always)]
    fn plus(mut self, other: Self) -> Self {
        for i in 0..8 {
            self.0[i] += other.0[i];
        }
        self
    }

    #[inline(always)]
    fn minus(mut self, other: Self) -> Self {
        for i in 0..8 {
            self.0[i] -= other.0[i];
        }
        self
    }

    #[inline(always)]
    fn times(mut self, other: Self) -> Self {
        for i in 0..8 {
            self.0[i] *= other.0[i];
        }
        self
    }

    #[inline(always)]
    fn over(mut self, other: Self) -> Self {
        for i in 0..8 {
            self.0[i] /= other.0[i];
        }
        self
    }

    #[inline(always)]
    fn magnitude(mut self) -> Self {
        for i in 0..8 {
            self.0[i] = self.0[i].abs();
        }
        self
    }

    #[inline(always)]
    fn where_less(mut self, bound: Self, yes: Self, no: Self) -> Self {
        for i in 0..8 {
            self.0[i] = if self.0[i] < bound.0[i] { yes.0[i] } else { no.0[i] };
        }
        self
    }

    #[inline(always)]
    fn into_exponent(mut self, add: i32) -> Self {
        for i in 0..8 {
            self.0[i] = f32::from_bits(self.0[i].to_bits().wrapping_add_signed(add) << 23);
        }
        self
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        let [a, b, c, d, e, f, g, h] = self.0;
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }
}

/// AVX-512's instructions.
// SAFETY: only `Zmm` and `Pairs` use it. They are not visible outside `raw`, where only `Level::run_vectors` and
// `MatrixUnit::run_pairs` use them, which have a token of the processor's. A constant need not be handed to every function
// that makes a vector.
#[cfg(target_arch = "x86_64")]
const AVX512: Avx512f = unsafe { Avx512f::new_unchecked() };

/// An AVX-512 register. (Left to itself, the compiler uses only half of each.) pulp's `f32x16` is a struct of sixteen
/// numbers: keeping a tile of them in registers would be left to the compiler.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(super) struct Zmm(__m512);

#[cfg(target_arch = "x86_64")]
impl Register for Zmm {
    const LANES: usize = 16;
    const MANY: bool = true;
    type Plain = Self;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Zmm(AVX512._mm512_set1_ps(value))
    }

    #[inline(always)]
    fn load(from: &[f32], at: usize) -> Self {
        let from = &from[at..at + 16];
        // SAFETY: 16 numbers lie there; no alignment is required.
        Zmm(unsafe { AVX512._mm512_loadu_ps(from.as_ptr()) })
    }

    #[inline(always)]
    unsafe fn load_at(from: *const f32) -> Self {
        // SAFETY: the caller says that 16 numbers lie there; no alignment is required.
        Zmm(unsafe { AVX512._mm512_loadu_ps(from) })
    }

    #[inline(always)]
    fn store(self, to: &mut [f32]) {
        let to = &mut to[..16];
        // SAFETY: as for `load`.
        unsafe { AVX512._mm512_storeu_ps(to.as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        Zmm(AVX512._mm512_fmadd_ps(a.0, b.0, self.0))
    }
}

#[cfg(target_arch = "x86_64")]
impl Vector for Zmm {
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        Zmm(AVX512._mm512_add_ps(self.0, other.0))
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        Zmm(AVX512._mm512_sub_ps(self.0, other.0))
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        Zmm(AVX512._mm512_mul_ps(self.0, other.0))
    }

    #[inline(always)]
    fn over(self, other: Self) -> Self {
        Zmm(AVX512._mm512_div_ps(self.0, other.0))
    }

    #[inline(always)]
    fn magnitude(self) -> Self {
        Zmm(AVX512._mm512_abs_ps(self.0))
    }

    #[inline(always)]
    fn where_less(self, bound: Self, yes: Self, no: Self) -> Self {
        let less = AVX512._mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, bound.0);
        Zmm(AVX512._mm512_mask_blend_ps(less, no.0, yes.0))
    }

    #[inline(always)]
    fn into_exponent(self, add: i32) -> Self {
        let bits = AVX512._mm512_castps_si512(self.0);
        let sum = AVX512._mm512_add_epi32(bits, AVX512._mm512_set1_epi32(add));
        Zmm(AVX512._mm512_castsi512_ps(AVX512._mm512_slli_epi32::<23>(sum)))
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        AVX512._mm512_reduce_add_ps(self.0)
    }

    #[inline(always)]
    fn transpose(square: &mut [[f32; 16]; 16]) {
        let mut rows = [AVX512._mm512_set1_ps(0.0); 16];
        for i in 0..16 {
            rows[i] = Self::load(&square[i], 0).0;
        }
        // In quarters of vectors: pairs of rows, then four rows.
        let mut pairs = [AVX512._mm512_castps_pd(rows[0]); 16];
        for i in (0..16).step_by(2) {
            let (a, b) = (rows[i], rows[i + 1]);
            pairs[i] = AVX512._mm512_castps_pd(AVX512._mm512_unpacklo_ps(a, b));
            pairs[i + 1] = AVX512._mm512_castps_pd(AVX512._mm512_unpackhi_ps(a, b));
        }
        let mut fours = rows;
        for i in (0..16).step_by(4) {
            for j in 0..2 {
                let (a, b) = (pairs[i + j], pairs[i + 2 + j]);
                fours[i + 2 * j] = AVX512._mm512_castpd_ps(AVX512._mm512_unpacklo_pd(a, b));
                fours[i + 2 * j + 1] = AVX512._mm512_castpd_ps(AVX512._mm512_unpackhi_pd(a, b));
            }
        }
        for i in 0..4 {
            // Quarters 0 and 2, and 1 and 3, of the upper and of the lower eight rows.
            let (a, b) = (fours[i], fours[4 + i]);
            let upper =
                [AVX512._mm512_shuffle_f32x4::<0x88>(a, b), AVX512._mm512_shuffle_f32x4::<0xdd>(a, b)];
            let (a, b) = (fours[8 + i], fours[12 + i]);
            let lower =
                [AVX512._mm512_shuffle_f32x4::<0x88>(a, b), AVX512._mm512_shuffle_f32x4::<0xdd>(a, b)];
            for odd in 0..2 {
                let (a, b) = (upper[odd], lower[odd]);
                let (first, second) = (4 * odd + i, 4 * odd + 8 + i);
                Zmm(AVX512._mm512_shuffle_f32x4::<0x88>(a, b)).store(&mut square[first]);
                Zmm(AVX512._mm512_shuffle_f32x4::<0xdd>(a, b)).store(&mut square[second]);
            }
        }
    }
}

/// An AVX-512 register whose [`add_product`](Register::add_product) takes, in the place of each f32 number of its
/// factors, two bfloat16 numbers, and adds both products of a pair.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(super) struct Pairs(Zmm);

#[cfg(target_arch = "x86_64")]
impl Register for Pairs {
    const LANES: usize = Zmm::LANES;
    const MANY: bool = Zmm::MANY;
    type Plain = Zmm;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Pairs(Zmm::splat(value))
    }

    #[inline(always)]
    fn load(from: &[f32], at: usize) -> Self {
        Pairs(Zmm::load(from, at))
    }

    #[inline(always)]
    unsafe fn load_at(from: *const f32) -> Self {
        // SAFETY: as the caller says.
        Pairs(unsafe { Zmm::load_at(from) })
    }

    #[inline(always)]
    fn store(self, to: &mut [f32]) {
        self.0.store(to);
    }

    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: `MatrixUnit::run_pairs`, which alone uses this type, has a token for AVX512-BF16. Both kinds of
        // vectors are 64 bytes of any content.
        unsafe {
            let numbers = |pairs: Self| std::mem::transmute::<__m512, __m512bh>(pairs.0.0);
            Pairs(Zmm(_mm512_dpbf16_ps(self.0.0, numbers(a), numbers(b))))
        }
    }
}
