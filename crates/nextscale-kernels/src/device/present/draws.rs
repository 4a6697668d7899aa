//! The kernels of sampling and its random numbers, of the nearest codes and of pictures as operations on tensors;
//! see [`super::operations`].

use burn::backend::{Backend, Dispatch, backend_extension, tensor::FloatTensor};
use burn::tensor::Tensor;

use super::{
    cube::{CubeBackend, CubeTensor},
    layers::with,
    operations::{is_taken, taken},
    uses::note,
};
use crate::device::{Random, Rounded};

/// What [`CubeBackend`] does, and burn's queue before it.
#[backend_extension(Cube, Fusion)]
pub trait Draws: Backend {
    #[fusion(dtype = images, shape = random.shape(images[0]))]
    fn random(images: FloatTensor<Self>, random: Random) -> FloatTensor<Self>;

    #[fusion(dtype = x, shape = with(x, 1, 1))]
    fn first_largest(x: FloatTensor<Self>) -> FloatTensor<Self>;

    #[fusion(dtype = x, shape = with(x, 1, 1))]
    fn race(x: FloatTensor<Self>, noise: FloatTensor<Self>) -> FloatTensor<Self>;

    #[fusion(dtype = x, shape = x)]
    fn mix(
        x: FloatTensor<Self>,
        noise: FloatTensor<Self>,
        sharpness: f32,
        temperature: f32,
    ) -> FloatTensor<Self>;

    #[fusion(dtype = x, shape = with(x, 1, 1))]
    fn nearest(x: FloatTensor<Self>, codes: FloatTensor<Self>) -> FloatTensor<Self>;

    #[fusion(dtype = x, shape = super::bytes::shape(x))]
    fn bytes(x: FloatTensor<Self>, half: f32) -> FloatTensor<Self>;
}

impl Draws for CubeBackend {
    fn random(images: CubeTensor, random: Random) -> CubeTensor {
        super::noise::run(images, random)
    }

    fn first_largest(x: CubeTensor) -> CubeTensor {
        super::choose::first_largest(x)
    }

    fn race(x: CubeTensor, noise: CubeTensor) -> CubeTensor {
        super::choose::race(x, noise)
    }

    fn mix(x: CubeTensor, noise: CubeTensor, sharpness: f32, temperature: f32) -> CubeTensor {
        super::mix::run(x, noise, sharpness, temperature)
    }

    fn nearest(x: CubeTensor, codes: CubeTensor) -> CubeTensor {
        super::nearest::run(x, codes)
    }

    fn bytes(x: CubeTensor, half: f32) -> CubeTensor {
        super::bytes::run(x, half)
    }
}

/// Whether there are kernels for such a tensor.
pub fn has_kernels<const D: usize>(x: &Tensor<D>) -> bool {
    is_taken(&x.clone().into_dispatch())
}

/// Random numbers `[batch, positions, channels]` of images `[batch, 3]`, by number in parts of 16 bits, the lowest
/// first, for instance 65,537 as (1, 1, 0). They are those of `nextscale_core::noise`: the same words,
/// exponential numbers within a unit of the last place, normal ones within a few. `None` if there is no kernel
/// for the tensor.
pub fn random(images: &Tensor<2>, random: Random) -> Option<Tensor<3>> {
    let [images] = taken([images.clone().into_dispatch()]).ok()?;
    note("random");
    Some(Tensor::from_dispatch(<Dispatch as Draws>::random(images, random)))
}

/// The first class of largest value of each row of x `[rows, classes]`; `[rows, 1]`, as floats, exact up to 2²⁴
/// classes. A row with NaN gives some class. `None` if there is no kernel for the tensor.
pub fn first_largest(x: &Tensor<2>) -> Option<Tensor<2>> {
    let [x] = taken([x.clone().into_dispatch()]).ok()?;
    note("first_largest");
    Some(Tensor::from_dispatch(<Dispatch as Draws>::first_largest(x)))
}

/// The first class of each row of logits x `[rows, classes]` whose probability as a part of its noise is largest;
/// `[rows, 1]`, as [`first_largest()`]. `None` if there is no kernel for the tensors.
pub fn race(x: &Tensor<2>, noise: &Tensor<2>) -> Option<Tensor<2>> {
    let [x, noise] = taken([x, noise].map(|x| x.clone().into_dispatch())).ok()?;
    note("race");
    Some(Tensor::from_dispatch(<Dispatch as Draws>::race(x, noise)))
}

/// softmax((x·sharpness - ln noise)/temperature) of rows x `[rows, classes]`, with noise above 0. `None` if there
/// is no kernel for the tensors.
pub fn mix(x: &Tensor<2>, noise: &Tensor<2>, sharpness: f64, temperature: f64) -> Option<Tensor<2>> {
    let [x, noise] = taken([x, noise].map(|x| x.clone().into_dispatch())).ok()?;
    note("mix");
    let mix = <Dispatch as Draws>::mix(x, noise, sharpness as f32, temperature as f32);
    Some(Tensor::from_dispatch(mix))
}

/// The code `[count, channels]` nearest to each row of x `[rows, channels]`, the first of equals; `[rows, 1]`, as
/// floats, exact up to 2²⁴ codes. Distances are f32, whatever the device multiplies matrices in. `None` if there
/// is no kernel for the tensors.
pub fn nearest(x: &Tensor<2>, codes: &Tensor<2>) -> Option<Tensor<2>> {
    let [x, codes] = taken([x, codes].map(|x| x.clone().into_dispatch())).ok()?;
    note("nearest");
    Some(Tensor::from_dispatch(<Dispatch as Draws>::nearest(x, codes)))
}

/// The bytes floor(255·x + half) of images `[batch, channels, height, width]`, cut to 0 and 255, not read yet.
/// `None` if there is no kernel for the tensor.
pub fn bytes(images: &Tensor<4>, half: f32) -> Option<Rounded> {
    let numbers = images.dims()[1..].iter().product();
    let [images] = taken([images.clone().into_dispatch()]).ok()?;
    note("bytes");
    let packed = Tensor::from_dispatch(<Dispatch as Draws>::bytes(images, half));
    Some(Rounded { packed, numbers })
}
