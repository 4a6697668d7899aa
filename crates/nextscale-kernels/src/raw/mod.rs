//! Every `unsafe` block of the crate, each with its justification.

#![allow(unsafe_code)]
// Loops over registers use an index so that they are unrolled. `array::from_fn` and `map` would not always be
// inlined, and what is not runs without the level's instructions.
#![allow(clippy::needless_range_loop)]

#[cfg(target_arch = "x86_64")]
pub mod matrix_unit;
mod rectangle;
mod sums;
mod vector;

use std::{mem::MaybeUninit, slice, sync::LazyLock};

#[cfg(target_arch = "x86_64")]
use pulp::x86::{V3, V4};
use rayon::prelude::*;

use crate::limit::{self, Limit};
use crate::rows::PART;
pub use rectangle::{Rectangle, build_rectangles};
pub use sums::{Ahead, add_product_of, add_products, add_products_ahead};
use vector::Lanes;
#[cfg(target_arch = "x86_64")]
use vector::{Pairs, Zmm};
pub use vector::{Register, Vector};

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

/// As [`VectorKernel`], for work that needs of vectors only sums of products, and so runs on pairs of bfloat16
/// numbers too.
pub trait ProductKernel {
    type Output;
    fn run_products<R: Register>(self) -> Self::Output;
}

impl<K: ProductKernel> VectorKernel for K {
    type Output = K::Output;

    #[inline(always)]
    fn run<V: Vector>(self) -> Self::Output {
        self.run_products::<V>()
    }
}

/// A set of vector instructions that this processor has, as pulp's tokens prove.
#[derive(Clone, Copy, Debug)]
pub enum Level {
    /// What every processor of the target has.
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(V3),
    #[cfg(target_arch = "x86_64")]
    Avx512(V4),
}

impl Level {
    /// Every level that this processor has, widest last.
    pub fn available() -> Vec<Self> {
        let levels = [Self::Portable].into_iter();
        #[cfg(target_arch = "x86_64")]
        let levels = levels.chain(V3::try_new().map(Self::Avx2)).chain(V4::try_new().map(Self::Avx512));
        levels.collect()
    }

    /// The widest level that may be used, determined once.
    pub fn detected() -> Self {
        static DETECTED: LazyLock<Level> = LazyLock::new(|| {
            let most = Limit::get().most;
            let level = Level::available().into_iter().rfind(|level| level.needs() <= most);
            level.unwrap_or(Level::Portable)
        });
        *DETECTED
    }

    fn needs(self) -> limit::Instructions {
        match self {
            Self::Portable => limit::Instructions::Portable,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => limit::Instructions::Avx2,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => limit::Instructions::Avx512,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "avx512",
        }
    }

    /// Runs the kernel with this level's instructions.
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            // Fusing without the instruction for it would be a call into a software routine.
            Self::Portable => kernel.run::<{ cfg!(any(target_arch = "aarch64", target_feature = "fma")) }>(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(simd) => simd.vectorize(
                #[inline(always)]
                || kernel.run::<true>(),
            ),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => simd.vectorize(
                #[inline(always)]
                || kernel.run::<true>(),
            ),
        }
    }

    /// Runs the kernel with this level's vectors.
    pub fn run_vectors<K: VectorKernel>(self, kernel: K) -> K::Output {
        match self {
            Self::Portable => kernel.run::<Lanes<false>>(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(simd) => simd.vectorize(
                #[inline(always)]
                || kernel.run::<Lanes<true>>(),
            ),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => simd.vectorize(
                #[inline(always)]
                || kernel.run::<Zmm>(),
            ),
        }
    }
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

/// A part of a result, of which every number is written once, from the first to the last.
pub struct InOrder<'a>(&'a mut [MaybeUninit<f32>]);

impl InOrder<'_> {
    /// How many numbers are not written yet.
    #[inline(always)]
    pub fn left(&self) -> usize {
        self.0.len()
    }

    /// Writes the next `count` numbers.
    ///
    /// # Panics
    /// If there are fewer numbers, or not as much room.
    #[inline(always)]
    pub fn push(&mut self, count: usize, numbers: impl Iterator<Item = f32>) {
        let (now, rest) = std::mem::take(&mut self.0).split_at_mut(count);
        let mut written = 0;
        for (place, number) in now.iter_mut().zip(numbers) {
            place.write(number);
            written += 1;
        }
        assert_eq!(written, count, "every number is written");
        self.0 = rest;
    }
}

/// As [`build`], by `work(i, part i)` that writes its part in order. Nothing is zeroed before.
///
/// # Panics
/// If `work` leaves a number out.
pub fn build_in_order(len: usize, part: usize, work: impl Fn(usize, &mut InOrder<'_>) + Sync) -> Vec<f32> {
    let mut out: Vec<f32> = Vec::with_capacity(len);
    let parts = &mut out.spare_capacity_mut()[..len];
    let part = part.max(1);
    let whole = |i: usize, part: &mut [MaybeUninit<f32>]| {
        let mut part = InOrder(part);
        work(i, &mut part);
        assert_eq!(part.left(), 0, "every number is written");
    };
    if len <= part {
        // Not worth waking the other threads.
        whole(0, parts);
    } else {
        parts.par_chunks_mut(part).enumerate().for_each(|(i, part)| whole(i, part));
    }
    // SAFETY: the parts cover the first `len` numbers. Each number that left an `InOrder` was written, and all of a
    // part's did, or a panic left this function.
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
    fn what_is_written_in_order_is_whole_or_refused() {
        let count = |i: usize, out: &mut InOrder<'_>| {
            let all = out.left();
            let half = all / 2;
            out.push(half, (0..).map(|j| (10 * i + j) as f32));
            out.push(all - half, (half..all).map(|j| (10 * i + j) as f32));
        };
        for len in [0, 1, 10, 35] {
            let expected: Vec<f32> = (0..len).map(|i| i as f32).collect();
            assert_eq!(build_in_order(len, 10, count), expected);
        }
        let refused = |work: fn(&mut InOrder<'_>)| {
            std::panic::catch_unwind(|| build_in_order(4, 4, |_, out| work(out))).is_err()
        };
        assert!(!refused(|out| out.push(4, [0.0; 4].into_iter())));
        assert!(refused(|_| ()));
        assert!(refused(|out| out.push(3, [0.0; 3].into_iter())));
        assert!(refused(|out| out.push(4, [0.0; 3].into_iter())));
        assert!(refused(|out| out.push(5, [0.0; 5].into_iter())));
    }

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
