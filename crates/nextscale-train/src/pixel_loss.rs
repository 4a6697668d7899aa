//! The distance between a reconstruction and its image in pixels.

use burn::tensor::Tensor;

/// The mean squared error over all pixels and channels, `[1]`.
pub fn squared_error(a: Tensor<4>, b: Tensor<4>) -> Tensor<1> {
    let difference = a - b;
    (difference.clone() * difference).mean()
}

/// The mean absolute error of the differences between neighbours, vertical and horizontal: it rewards the
/// edges that the squared error smooths away.
pub fn gradient_error(a: Tensor<4>, b: Tensor<4>) -> Tensor<1> {
    let error = a - b;
    let [.., height, width] = error.dims();
    let down = error.clone().slice_dim(2, 1..height) - error.clone().slice_dim(2, 0..height - 1);
    let across = error.clone().slice_dim(3, 1..width) - error.slice_dim(3, 0..width - 1);
    down.abs().mean() + across.abs().mean()
}

/// The mean squared error of every image in [-1, 1], clamped, relative to another, on the scale of [0, 1];
/// for PSNR.
pub fn image_errors(a: Tensor<4>, b: Tensor<4>) -> Vec<f64> {
    let [batch, channels, height, width] = a.dims();
    let difference = (a.clamp(-1.0, 1.0) - b) / 2.0;
    let squares = (difference.clone() * difference).reshape([batch, channels * height * width]);
    squares.mean_dim(1).into_data().iter::<f32>().map(f64::from).collect()
}

/// The peak signal-to-noise ratio in decibels of a mean squared error on the scale of [0, 1].
pub fn psnr(error: f64) -> f64 {
    -10.0 * error.max(1e-12).log10()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn errors_of_a_step_and_a_slope() {
        let device = Device::flex();
        let zero = Tensor::<4>::zeros([1, 1, 2, 2], &device);
        let slope = Tensor::<4>::from_floats([[[[0.0, 1.0], [3.0, 4.0]]]], &device);
        let value = |t: Tensor<1>| t.into_scalar::<f32>();
        assert_eq!(value(squared_error(slope.clone(), zero.clone())), 26.0 / 4.0);
        assert_eq!(value(gradient_error(slope, zero.clone())), 3.0 + 1.0);
        assert_eq!(value(gradient_error(zero.clone() + 5.0, zero)), 0.0);
    }

    #[test]
    fn psnr_is_on_the_unit_scale_and_clamps() {
        let device = Device::flex();
        let white = Tensor::<4>::ones([1, 3, 2, 2], &device);
        let errors = image_errors(white.clone() * 3.0, white.clone() * 0.8);
        assert!((psnr(errors[0]) - 20.0).abs() < 1e-4);
        assert_eq!(psnr(image_errors(white.clone(), white)[0]), 120.0);
    }
}
