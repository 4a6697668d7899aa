use std::path::Path;

use burn::tensor::Device;
use nextscale_core::is_cpu;
use nextscale_weights::{ExpectedTensors, WeightFile};
use rayon::prelude::*;

use super::{
    engine::Engine,
    host::{Host, HostConv},
    layer::Spec,
    resize::{Resize, Resizer},
    tensors::{TensorConv, Tensors},
};
use crate::{Error, ImageBatch, Result};

/// Images that go through burn's operations together: enough to fill a GPU.
const DEVICE_BATCH: usize = 32;

/// A network: its convolutions and their order.
pub trait Architecture: Send + Sync {
    /// The network with convolutions of type C.
    type Net<C: Send + Sync>: Send + Sync;
    /// The outputs of the forward pass for several images.
    type Output: Send;
    /// As in "a VQVAE".
    const NAME: &'static str;
    /// Rows and columns of its input.
    const SIZE: usize;
    /// Images per thread on the host: enough for long products on the small maps of late layers.
    const TOGETHER: usize;

    /// Creates the network, asking for every convolution once.
    ///
    /// # Errors
    /// Those of `conv`.
    fn build<C: Send + Sync>(&self, conv: &mut dyn FnMut(Spec) -> Result<C>) -> Result<Self::Net<C>>;

    /// Adds what a checkpoint must or may contain besides convolutions.
    fn others(&self, expected: ExpectedTensors) -> ExpectedTensors;

    /// The forward pass.
    fn forward<E: Engine>(net: &Self::Net<E::Conv>, engine: &E, x: E::Map) -> Self::Output;
}

/// An architecture with weights, on a device.
pub enum Network<A: Architecture> {
    /// The host's kernels: the CPU device.
    Host(A::Net<HostConv>),
    /// burn's operations: every other device.
    Tensors(Tensors, A::Net<TensorConv>),
}

impl<A: Architecture> Network<A> {
    /// Reads the network's weights.
    ///
    /// # Errors
    /// If the file belongs to another network, a tensor is missing, misshapen or unexpected, or it cannot be
    /// read.
    pub fn load(architecture: &A, file: &WeightFile, device: &Device) -> Result<Self> {
        expected(architecture).check(file)?;
        if is_cpu(device) {
            Ok(Self::Host(architecture.build(&mut |spec| Ok(Host.place(&spec.read(file)?)))?))
        } else {
            Self::tensors(architecture, file, device)
        }
    }

    /// As [`load`](Self::load), on burn's operations whatever the device.
    pub(super) fn tensors(architecture: &A, file: &WeightFile, device: &Device) -> Result<Self> {
        let engine = Tensors { device: device.clone() };
        let net = architecture.build(&mut |spec| Ok(engine.place(&spec.read(file)?)))?;
        Ok(Self::Tensors(engine, net))
    }

    /// Resizes every image and passes it through the network, in order; `value` maps 0 ..= 255 to the input's
    /// range.
    pub fn run(
        &self,
        images: &ImageBatch,
        resize: Resize,
        value: impl Fn(f32) -> f32 + Sync,
    ) -> Result<Vec<A::Output>> {
        // The fields are public, so the batch may never have been checked.
        let checked = images.height.saturating_mul(images.width).saturating_mul(3);
        if checked == 0 || Some(images.pixels.len()) != images.count.checked_mul(checked) {
            return Err(Error::Pixels(format!(
                "{} bytes are not {} RGB images of {}×{} pixels",
                images.pixels.len(),
                images.count,
                images.height,
                images.width
            )));
        }
        let resizer = Resizer::new(resize, [images.height, images.width], [A::SIZE; 2]);
        let prepare = |part: &[u8]| {
            let count = part.len() / checked;
            let mut values = Vec::with_capacity(count * A::SIZE * A::SIZE * 3);
            for image in part.chunks_exact(checked) {
                resizer.append(image, &mut values, &value);
            }
            ([count, A::SIZE, A::SIZE, 3], values)
        };
        Ok(match self {
            Self::Host(net) => images
                .pixels
                .par_chunks(checked * A::TOGETHER)
                .map(|part| {
                    let (dims, values) = prepare(part);
                    A::forward(net, &Host, Host.input(dims, values))
                })
                .collect(),
            Self::Tensors(engine, net) => images
                .pixels
                .chunks(checked * DEVICE_BATCH)
                .map(|part| {
                    let (dims, values) = prepare(part);
                    A::forward(net, engine, engine.input(dims, values))
                })
                .collect(),
        })
    }
}

/// Every tensor that the network reads, and those that it ignores.
pub fn expected<A: Architecture>(architecture: &A) -> ExpectedTensors {
    let mut expected = architecture.others(ExpectedTensors::new(A::NAME));
    let listed = architecture.build::<()>(&mut |spec| {
        spec.expect(&mut expected);
        Ok(())
    });
    debug_assert!(listed.is_ok(), "nothing fails where nothing is read");
    expected
}

/// The SHA-256 of a weight file in hexadecimal.
///
/// # Errors
/// If it cannot be read.
pub fn sha256_of_file(path: &Path) -> Result<String> {
    nextscale_files::sha256_of_file(path).map_err(|source| Error::WeightBytes { path: path.into(), source })
}
