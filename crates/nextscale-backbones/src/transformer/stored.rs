//! Parameters from a file, and the list of those that a model needs.

use std::convert::Infallible;

use burn::{
    module::{Param, ParamId},
    tensor::{Device, Tensor},
};
use nextscale_core::Dtype;
use nextscale_weights::{ExpectedTensors, LoadError, WeightFile};

use super::{
    keys::{Architecture, Supply},
    laid_out::stays_f32,
    linear::Weight,
};

/// The tensors that a model needs, by key and shape, added to `expected`.
pub(crate) fn asked(expected: ExpectedTensors, config: &impl Architecture) -> ExpectedTensors {
    let mut recorder = Recorder { expected, device: Device::flex() };
    match config.build(&mut recorder) {
        Ok(_) => recorder.expected,
        Err(never) => match never {},
    }
}

/// The bytes of a model's weights on a device other than the CPU that generates in this type.
pub(crate) fn bytes_on_devices(config: &impl Architecture, dtype: Dtype) -> u128 {
    let mut counter = Counter {
        dtype,
        bytes: 0,
        empty: Recorder { expected: ExpectedTensors::new(""), device: Device::flex() },
    };
    match config.build(&mut counter) {
        Ok(_) => counter.bytes,
        Err(never) => match never {},
    }
}

/// Supplies a file's tensors.
pub(crate) struct Loader<'a> {
    pub file: &'a WeightFile,
    pub device: &'a Device,
}

impl Supply for Loader<'_> {
    type Error = LoadError;

    fn param<const D: usize>(
        &mut self,
        key: &str,
        _shape: [usize; D],
    ) -> Result<Param<Tensor<D>>, Self::Error> {
        Ok(Param::from_tensor(self.file.tensor(key, self.device)?))
    }

    fn matrix(&mut self, key: &str, _inner: usize, _out: usize) -> Result<Weight, Self::Error> {
        Ok(Weight::Plain(Param::from_tensor(self.file.linear(key, self.device)?)))
    }

    fn rows<R>(
        &mut self,
        key: &str,
        _inner: usize,
        _out: usize,
        read: impl FnOnce(&[f32]) -> R,
    ) -> Result<R, Self::Error> {
        Ok(self.file.with_weights(key, |values, _| read(&values))?)
    }
}

/// Counts the bytes of what a model asks for.
struct Counter {
    dtype: Dtype,
    bytes: u128,
    empty: Recorder,
}

impl Counter {
    fn count(&mut self, sizes: &[usize], number: usize) {
        self.bytes += sizes.iter().fold(number as u128, |bytes, &size| bytes.saturating_mul(size as u128));
    }
}

impl Supply for Counter {
    type Error = Infallible;

    fn param<const D: usize>(
        &mut self,
        _key: &str,
        shape: [usize; D],
    ) -> Result<Param<Tensor<D>>, Self::Error> {
        self.count(&shape, size_of::<f32>());
        Ok(self.empty.empty(shape))
    }

    fn matrix(&mut self, key: &str, inner: usize, out: usize) -> Result<Weight, Self::Error> {
        self.count(&[inner, out], if stays_f32(key) { size_of::<f32>() } else { self.dtype.size() });
        Ok(Weight::Plain(self.empty.empty([inner, out])))
    }
}

/// Records what a model asks for, and supplies parameters without values.
struct Recorder {
    expected: ExpectedTensors,
    device: Device,
}

impl Recorder {
    fn empty<const D: usize>(&self, shape: [usize; D]) -> Param<Tensor<D>> {
        let init = move |device: &Device, _: bool| Tensor::zeros(shape, device);
        Param::uninitialized(ParamId::new(), init, self.device.clone(), false, shape.into())
    }
}

impl Supply for Recorder {
    type Error = Infallible;

    fn param<const D: usize>(
        &mut self,
        key: &str,
        shape: [usize; D],
    ) -> Result<Param<Tensor<D>>, Self::Error> {
        self.expected.insert(key, shape);
        Ok(self.empty(shape))
    }

    fn matrix(&mut self, key: &str, inner: usize, out: usize) -> Result<Weight, Self::Error> {
        self.expected.insert(key, [out, inner]);
        Ok(Weight::Plain(self.empty([inner, out])))
    }
}
