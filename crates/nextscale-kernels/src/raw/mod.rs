//! Every `unsafe` block of the crate, each with its justification.

#![allow(unsafe_code)]
// Loops over registers use an index so that they are unrolled. `array::from_fn` and `map` would not always be
// inlined, and what is not runs without the level's instructions.
#![allow(clippy::needless_range_loop)]

#[cfg(target_arch = "x86_64")]
pub mod matrix_unit;
mod rectangle;
mod sums;

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m512, _CMP_LT_OQ, _mm512_abs_ps, _mm512_add_epi32, _mm512_add_ps, _mm512_castpd_ps, _mm512_castps_pd,
    _mm512_castps_si512, _mm512_castsi512_ps, _mm512_cmp_ps_mask, _mm512_div_ps, _mm512_fmadd_ps,
    _mm512_loadu_ps, _mm512_mask_blend_ps, _mm512_mul_ps, _mm512_reduce_add_ps, _mm512_set1_epi32,
    _mm512_set1_ps, _mm512_shuffle_f32x4, _mm512_slli_epi32, _mm512_storeu_ps, _mm512_sub_ps,
    _mm512_unpackhi_pd, _mm512_unpackhi_ps, _mm512_unpacklo_pd, _mm512_unpacklo_ps,
};
use std::{marker::PhantomData, mem::MaybeUninit, slice, sync::LazyLock};

use rayon::prelude::*;

use crate::fma::fma;
use crate::limit::Route;
use crate::rows::PART;
pub use rectangle::{Rectangle, build_rectangles};
pub use sums::add_products;

/// Work on plain slices, compiled once for each instruction set.
///
/// `run` and everything it calls must be `#[inline(always)]`: only code inlined into the dispatching function
/// is compiled with that function's instructions. With `FMA`, products and sums may be fused.
pub trait Kernel {
    type Output;
    fn run<const FMA: bool>(self) -> Self::Output;
}

/// As [`Kernel`], for work that controls what goes into a register.
pub trait VectorKernel {
    type Output;
    fn run<V: Vector>(self) -> Self::Output;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instructions {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// A set of vector instructions that this processor has; the constructors guarantee it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(Instructions);

impl Level {
    /// What every processor of the target has.
    pub fn portable() -> Self {
        Level(Instructions::Portable)
    }

    /// Every level that this processor has, widest last.
    pub fn available() -> Vec<Self> {
        let mut levels = vec![Self::portable()];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if avx2 {
                levels.push(Level(Instructions::Avx2));
            }
            if avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bw")
            {
                levels.push(Level(Instructions::Avx512));
            }
        }
        levels
    }

    /// The widest level that may be used, determined once.
    pub fn detected() -> Self {
        static DETECTED: LazyLock<Level> = LazyLock::new(|| {
            let limit = Route::limit();
            let level = Level::available().into_iter().rfind(|level| level.route() <= limit);
            level.unwrap_or(Level::portable())
        });
        *DETECTED
    }

    fn route(self) -> Route {
        match self.0 {
            Instructions::Portable => Route::Portable,
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => Route::Avx2,
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => Route::Avx512,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self.0 {
            Instructions::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => "avx512",
        }
    }

    /// Runs the kernel with this level's instructions.
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            // Fusing without the instruction for it would be a call into a software routine.
            Instructions::Portable => {
                kernel.run::<{ cfg!(any(target_arch = "aarch64", target_feature = "fma")) }>()
            }
            // SAFETY: a `Level` of this kind is made only where the processor was found to have these
            // instructions.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => unsafe { run_avx2(kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => unsafe { run_avx512(kernel) },
        }
    }

    /// Runs the kernel with this level's vectors.
    pub fn run_vectors<K: VectorKernel>(self, kernel: K) -> K::Output {
        struct With<K, V>(K, PhantomData<V>);
        impl<K: VectorKernel, V: Vector> Kernel for With<K, V> {
            type Output = K::Output;

            #[inline(always)]
            fn run<const FMA: bool>(self) -> K::Output {
                self.0.run::<V>()
            }
        }
        match self.0 {
            Instructions::Portable => self.run(With::<K, Lanes<false>>(kernel, PhantomData)),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => self.run(With::<K, Lanes<true>>(kernel, PhantomData)),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => self.run(With::<K, Zmm>(kernel, PhantomData)),
        }
    }
}

/// The numbers of one vector register.
pub trait Vector: Copy {
    /// The number of lanes.
    const LANES: usize;
    /// Whether there are 32 such registers rather than 16.
    const MANY: bool;
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
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    fn over(self, other: Self) -> Self;
    fn magnitude(self) -> Self;
    /// `yes` where a number is less than that of `bound`, else `no`, also where it is not a number.
    fn where_less(self, bound: Self, yes: Self, no: Self) -> Self;
    /// The same bits as integers, plus `add`, shifted left by 23: into the exponent of a number.
    fn into_exponent(self, add: i32) -> Self;
    /// The sum of the numbers, as a tree.
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

/// Eight numbers that the compiler keeps in one register if there is one of that width.
#[derive(Clone, Copy)]
struct Lanes<const FMA: bool>([f32; 8]);

impl<const FMA: bool> Vector for Lanes<FMA> {
    const LANES: usize = 8;
    const MANY: bool = false;

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

/// An AVX-512 register. Private, and used only by [`Level::run_vectors`], on processors that have them. (Left
/// to itself, the compiler uses only half of each.)
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Zmm(__m512);

#[cfg(target_arch = "x86_64")]
impl Vector for Zmm {
    const LANES: usize = 16;
    const MANY: bool = true;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: the processor has AVX-512: see the type.
        Zmm(unsafe { _mm512_set1_ps(value) })
    }

    #[inline(always)]
    fn load(from: &[f32], at: usize) -> Self {
        let from = &from[at..at + 16];
        // SAFETY: the processor has AVX-512, and 16 numbers lie there; no alignment is required.
        Zmm(unsafe { _mm512_loadu_ps(from.as_ptr()) })
    }

    #[inline(always)]
    unsafe fn load_at(from: *const f32) -> Self {
        // SAFETY: the processor has AVX-512, and the caller says that 16 numbers lie there; no alignment is
        // required.
        Zmm(unsafe { _mm512_loadu_ps(from) })
    }

    #[inline(always)]
    fn store(self, to: &mut [f32]) {
        let to = &mut to[..16];
        // SAFETY: as for `load`.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: the processor has AVX-512: see the type.
        Zmm(unsafe { _mm512_fmadd_ps(a.0, b.0, self.0) })
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        // SAFETY: the processor has AVX-512: see the type.
        Zmm(unsafe { _mm512_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        // SAFETY: the processor has AVX-512: see the type.
        Zmm(unsafe { _mm512_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        // SAFETY: the processor has AVX-512: see the type.
        Zmm(unsafe { _mm512_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn over(self, other: Self) -> Self {
        // SAFETY: the processor has AVX-512: see the type.
        Zmm(unsafe { _mm512_div_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn magnitude(self) -> Self {
        // SAFETY: the processor has AVX-512: see the type.
        Zmm(unsafe { _mm512_abs_ps(self.0) })
    }

    #[inline(always)]
    fn where_less(self, bound: Self, yes: Self, no: Self) -> Self {
        // SAFETY: the processor has AVX-512: see the type.
        Zmm(unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, bound.0), no.0, yes.0) })
    }

    #[inline(always)]
    fn into_exponent(self, add: i32) -> Self {
        // SAFETY: the processor has AVX-512: see the type.
        Zmm(unsafe {
            let sum = _mm512_add_epi32(_mm512_castps_si512(self.0), _mm512_set1_epi32(add));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(sum))
        })
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        // SAFETY: the processor has AVX-512: see the type.
        unsafe { _mm512_reduce_add_ps(self.0) }
    }

    #[inline(always)]
    fn transpose(square: &mut [[f32; 16]; 16]) {
        // SAFETY: the processor has AVX-512: see the type. A row is 16 numbers; no alignment is required.
        unsafe {
            let mut rows = [_mm512_set1_ps(0.0); 16];
            for i in 0..16 {
                rows[i] = _mm512_loadu_ps(square[i].as_ptr());
            }
            // In quarters of vectors: pairs of rows, then four rows.
            let mut pairs = [_mm512_castps_pd(rows[0]); 16];
            for i in (0..16).step_by(2) {
                let (a, b) = (rows[i], rows[i + 1]);
                pairs[i] = _mm512_castps_pd(_mm512_unpacklo_ps(a, b));
                pairs[i + 1] = _mm512_castps_pd(_mm512_unpackhi_ps(a, b));
            }
            let mut fours = rows;
            for i in (0..16).step_by(4) {
                for j in 0..2 {
                    let (a, b) = (pairs[i + j], pairs[i + 2 + j]);
                    fours[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
                    fours[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
                }
            }
            for i in 0..4 {
                // Quarters 0 and 2, and 1 and 3, of the upper and of the lower eight rows.
                let (a, b) = (fours[i], fours[4 + i]);
                let upper = [_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b)];
                let (a, b) = (fours[8 + i], fours[12 + i]);
                let lower = [_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b)];
                for (odd, (a, b)) in upper.into_iter().zip(lower).enumerate() {
                    let (first, second) = (4 * odd + i, 4 * odd + 8 + i);
                    _mm512_storeu_ps(square[first].as_mut_ptr(), _mm512_shuffle_f32x4::<0x88>(a, b));
                    _mm512_storeu_ps(square[second].as_mut_ptr(), _mm512_shuffle_f32x4::<0xdd>(a, b));
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<true>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<true>()
}

/// A vector of `len` numbers, computed in parts of `part` numbers (the last may be shorter) by `work(i, part
/// i)`, which receives zeros, in any order and on all threads.
///
/// Each part is zeroed just before the work on it, while it is on its way into the cache anyway; zeroing the
/// whole first would be one more trip to memory.
pub fn build(len: usize, part: usize, work: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    let tasks = len.div_ceil(part.max(1));
    build_beside(len, part, &mut vec![(); tasks], 1, |i, part, _| work(i, part))
}

/// As [`build`], but the work on part i also gets the i-th `beside_part` items of `beside`.
pub fn build_beside<T: Send>(
    len: usize,
    part: usize,
    beside: &mut [T],
    beside_part: usize,
    work: impl Fn(usize, &mut [f32], &mut [T]) + Sync,
) -> Vec<f32> {
    let mut out: Vec<f32> = Vec::with_capacity(len);
    let parts = &mut out.spare_capacity_mut()[..len];
    let (part, beside_part) = (part.max(1), beside_part.max(1));
    assert_eq!(len.div_ceil(part), beside.len().div_ceil(beside_part), "as many parts of both");
    if len <= part {
        // Not worth waking the other threads.
        parts.chunks_mut(part).zip(beside.chunks_mut(beside_part)).for_each(|(p, b)| work(0, zeroed(p), b));
    } else {
        parts
            .par_chunks_mut(part)
            .zip(beside.par_chunks_mut(beside_part))
            .enumerate()
            .for_each(|(i, (p, b))| work(i, zeroed(p), b));
    }
    // SAFETY: the parts cover the first `len` numbers, and all of them were zeroed, or a panic left this
    // function.
    unsafe { out.set_len(len) };
    out
}

/// `f` of the numbers in the same place of `N` slices of one length. Unlike [`build`] it does not write zeros
/// first, which takes as long as a sum of two numbers.
pub fn zip_map<const N: usize>(
    level: Level,
    inputs: [&[f32]; N],
    f: impl Fn([f32; N]) -> f32 + Copy + Sync,
) -> Vec<f32> {
    let len = inputs.first().map_or(0, |input| input.len());
    assert!(inputs.iter().all(|input| input.len() == len), "slices of one length");
    let mut out: Vec<f32> = Vec::with_capacity(len);
    let spare = &mut out.spare_capacity_mut()[..len];
    // A few numbers are done before another thread is awake. Of many, a thread gets two parts: what is read and
    // written once gains nothing from parts that fit a cache.
    const ALONE: usize = 4 * PART;
    if len <= ALONE {
        level.run(Zip { inputs, out: spare, f });
    } else {
        let part = len.div_ceil(2 * rayon::current_num_threads()).next_multiple_of(PART);
        spare.par_chunks_mut(part).enumerate().for_each(|(i, out)| {
            let inputs = inputs.map(|input| &input[i * part..][..out.len()]);
            level.run(Zip { inputs, out, f });
        });
    }
    // SAFETY: the parts cover the first `len` numbers, and `Zip` writes each of a part's, or a panic left this
    // function.
    unsafe { out.set_len(len) };
    out
}

/// A part of [`zip_map`]: as many numbers of every input as of `out`.
struct Zip<'a, F, const N: usize> {
    inputs: [&'a [f32]; N],
    out: &'a mut [MaybeUninit<f32>],
    f: F,
}

impl<F: Fn([f32; N]) -> f32, const N: usize> Kernel for Zip<'_, F, N> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        // Of one length for the compiler too, so that no index is checked inside the loop.
        let mut inputs = self.inputs;
        for input in &mut inputs {
            *input = &input[..self.out.len()];
        }
        for (i, out) in self.out.iter_mut().enumerate() {
            let mut numbers = [0.0; N];
            for j in 0..N {
                numbers[j] = inputs[j][i];
            }
            out.write((self.f)(numbers));
        }
    }
}

fn zeroed(part: &mut [MaybeUninit<f32>]) -> &mut [f32] {
    part.fill(MaybeUninit::new(0.0));
    // SAFETY: same place, length and layout, and every number was just written.
    unsafe { slice::from_raw_parts_mut(part.as_mut_ptr().cast::<f32>(), part.len()) }
}

/// Sets `M_TRIM_THRESHOLD` and `M_MMAP_THRESHOLD` to their largest: see [`crate::allocator::tune`].
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn keep_freed_memory() {
    // SAFETY: `mallopt` takes two integers and changes only the allocator's own settings, under its lock.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, libc::c_int::MAX);
        libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_are_transposed_at_every_level() {
        struct Transposed([[f32; 16]; 16]);
        impl VectorKernel for Transposed {
            type Output = [[f32; 16]; 16];

            #[inline(always)]
            fn run<V: Vector>(mut self) -> Self::Output {
                V::transpose(&mut self.0);
                self.0
            }
        }
        let of =
            |f: fn(usize, usize) -> usize| std::array::from_fn(|i| std::array::from_fn(|j| f(i, j) as f32));
        for level in Level::available() {
            assert_eq!(level.run_vectors(Transposed(of(|i, j| 16 * i + j))), of(|i, j| 16 * j + i));
        }
    }
}
