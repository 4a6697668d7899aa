//! Root-mean-square norm with the modulation of adaptive norms, outside autodiff.

use burn::backend::{TensorMetadata, flex::FlexTensor};

use crate::{
    extension::{dims, tensor, values},
    fma::fma,
    raw::{Kernel, Level, build},
    reduce,
    rows::rows_per_task,
};

/// Rows of images of `length` rows each; `first` is the first row's index among all.
struct Rows<'a> {
    x: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    first: usize,
    length: usize,
    channels: usize,
    eps: f32,
    out: &'a mut [f32],
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let rows = self.x.chunks_exact(self.channels);
        for (i, (x, out)) in rows.zip(self.out.chunks_exact_mut(self.channels)).enumerate() {
            let image = (self.first + i) / self.length * self.channels;
            let (scale, shift) = (&self.scale[image..][..x.len()], &self.shift[image..][..x.len()]);
            let size = (reduce::dot::<FMA>(x, x) / x.len() as f32 + self.eps).sqrt().recip();
            for (((out, &x), &scale), &shift) in out.iter_mut().zip(x).zip(scale).zip(shift) {
                *out = fma::<FMA>(x * size, scale, shift);
            }
        }
    }
}

/// `x/√(mean of x² + eps)·scale + shift`: x `[batch, length, channels]`, scale and shift `[batch, 1,
/// channels]`.
pub fn modulated([x, scale, shift]: &[FlexTensor; 3], eps: f32) -> FlexTensor {
    let [_, length, channels] = dims(x);
    let (numbers, scale, shift) = (values(x), values(scale), values(shift));
    let rows = rows_per_task(channels);
    let part = rows * channels;
    let out = build(numbers.len(), part, |i, out| {
        let x = &numbers[i * part..][..out.len()];
        Level::detected().run(Rows { x, scale, shift, first: i * rows, length, channels, eps, out });
    });
    tensor(out, x.shape())
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};

    use crate::{composed, rms_norm_modulate, testing::numbers};

    fn made<const D: usize>(salt: u32, shape: [usize; D]) -> Tensor<D> {
        let values = numbers(salt, shape.iter().product());
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    #[test]
    fn the_norm_is_that_of_burns_operations_in_every_shape() {
        for [batch, length, channels] in [[1, 1, 1], [2, 9, 37], [3, 70, 64], [2, 300, 96]] {
            let x = made::<3>(1, [batch, length, channels]);
            let (scale, shift) = (made::<3>(2, [batch, 1, channels]), made::<3>(3, [batch, 1, channels]));
            let got = rms_norm_modulate(x.clone(), scale.clone(), shift.clone(), 1e-6);
            let expected = composed::rms_norm_modulate(x, scale, shift, 1e-6);
            assert!((got - expected).abs().max().into_scalar::<f32>() < 1e-5);
        }
    }

    #[test]
    fn the_size_of_a_row_is_left_out_and_its_direction_kept() {
        let x = Tensor::<3>::from_data([[[3.0, -4.0]]], &Device::flex());
        let (one, zero) =
            (Tensor::ones([1, 1, 2], &Device::flex()), Tensor::zeros([1, 1, 2], &Device::flex()));
        let got: Vec<f32> = rms_norm_modulate(x * 7.0, one, zero, 0.0).into_data().iter().collect();
        let size = 12.5_f32.sqrt();
        assert!((got[0] - 3.0 / size).abs() < 1e-6 && (got[1] + 4.0 / size).abs() < 1e-6);
    }

    #[test]
    fn it_has_gradients() {
        let device = Device::flex().autodiff();
        let x = Tensor::<3>::from_data([[[1.0, -2.0, 0.5]]], &device).require_grad();
        let scale = Tensor::<3>::from_data([[[0.3, 1.0, -1.0]]], &device).require_grad();
        let out = rms_norm_modulate(x.clone(), scale.clone(), scale.zeros_like(), 1e-6);
        let gradients = (out.clone() * out).sum().backward();
        assert!(x.grad(&gradients).is_some() && scale.grad(&gradients).is_some());
    }
}
