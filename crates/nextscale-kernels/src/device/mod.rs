//! Kernels for devices that cubecl has a compiler for: one launch in place of what takes burn's operations
//! many.
//!
//! A cube, cubecl's word for a workgroup, takes one row. Its units add up in a fixed order and no number is
//! added atomically, so that results do not depend on how a device schedules its work.
//!
//! Numbers are read and written as f32, f16 or bf16; in between everything is f32.
//!
//! Where there is no kernel the functions say so, and their callers compose burn's operations: on other
//! backends, for other types, inside autodiff, and if the crate is built without its feature `device`.

use burn::tensor::Tensor;

#[cfg(not(feature = "device"))]
mod absent;
#[cfg(feature = "device")]
mod present;

#[cfg(not(feature = "device"))]
use absent as kernels;
#[cfg(feature = "device")]
use present as kernels;

pub use kernels::{
    append, bytes, faults, filter, first, first_largest, has_kernels, inverse_cdf, mix, nearest, race,
    random, uses,
};
pub(crate) use kernels::{convolution, group_norm, heads, norm, product, softmax};

/// Which classes of a row of logits [`filter()`] keeps; the rules apply in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Keep {
    /// Keeps as many of the largest logits, and all ties with the last of them. More than 0 and fewer than
    /// there are classes.
    pub top_k: Option<usize>,
    /// Removes the least likely classes whose cumulative probability, summed from the least likely, is at most
    /// this, from 0 to 1; equal ones in the order of classes. The largest logit (the last among equals) stays.
    pub tail: Option<f32>,
    /// Removes logits further than this below the largest.
    pub margin: Option<f32>,
}

/// What [`random()`] makes of the words of a block cipher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The words themselves, as the bits of the numbers.
    Words,
    /// Exp(1) numbers.
    Exponential,
    /// Standard normal numbers.
    Normal,
}

/// Random numbers that depend only on where they are used; see `nextscale_core::noise`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Random {
    /// The numbers.
    pub kind: Kind,
    /// The seed.
    pub seed: u64,
    /// The number of the stream, below 256.
    pub stream: u16,
    /// The scale.
    pub scale: u16,
    /// The positions of the scale's grid.
    pub positions: usize,
    /// Numbers of a position.
    pub channels: usize,
}

impl Random {
    /// The shape of the numbers of `batch` images.
    #[cfg(feature = "device")]
    fn shape(&self, batch: usize) -> burn::tensor::Shape {
        [batch, self.positions, self.channels].into()
    }
}

/// Images as bytes that are still on their device.
#[derive(Debug)]
pub struct Rounded {
    /// `[batch, numbers]`, four bytes in the bits of each; those after an image's bytes are 0 if it is finite.
    packed: Tensor<2>,
    /// The bytes of an image.
    numbers: usize,
}

impl Rounded {
    /// What is to be read.
    pub fn packed(&self) -> Tensor<2> {
        self.packed.clone()
    }

    /// The bytes of every image in the order of files, `[height, width, channels]`, from those of
    /// [`packed`](Self::packed) numbers; `None` for an image that is not finite.
    pub fn images<'a>(&self, packed: &'a [u8]) -> impl Iterator<Item = Option<&'a [u8]>> {
        let ([_, row], numbers) = (self.packed.dims(), self.numbers);
        packed.chunks_exact(4 * row).map(move |image| {
            let (bytes, rest) = image.split_at(4 * numbers.div_ceil(4));
            rest.iter().all(|&byte| byte == 0).then(|| &bytes[..numbers])
        })
    }
}
