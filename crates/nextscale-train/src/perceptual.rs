//! The distance between a reconstruction and its image in a classifier's features.

use burn::module::Module;
use burn::tensor::Tensor;
use nextscale_kernels::unit_channels;

use crate::classifier::Classifier;

/// Keeps the division of a feature by its length finite.
const EPS: f64 = 1e-8;

/// The distance of Zhang and others, 2018 (LPIPS), with equal weights for all channels: at every position of
/// every stage the features are normalised to length 1 and compared; positions are averaged, stages added.
#[derive(Debug)]
pub struct Perceptual {
    classifier: Classifier,
}

impl Perceptual {
    /// The distance in this classifier's features. Its weights stay fixed.
    pub fn new(classifier: Classifier) -> Self {
        Self { classifier: classifier.no_grad() }
    }

    /// The mean distance over the images, `[1]`; both `[batch, 3, h, w]` in [-1, 1], `a` inside autodiff, `b`
    /// a constant.
    pub fn distance(&self, a: Tensor<4>, b: Tensor<4>) -> Tensor<1> {
        let (a, b) = (self.classifier.features(a), self.classifier.features(b));
        let stages = a.into_iter().zip(b).map(|(a, b)| {
            let difference = unit_channels(a, EPS) - unit_channels(b, EPS);
            // The sum over channels of the mean over positions.
            let [_, channels, ..] = difference.dims();
            (difference.clone() * difference).mean() * channels as f64
        });
        stages.reduce(|total, stage| total + stage).expect("a classifier has a stage")
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;

    #[test]
    fn images_are_at_no_distance_from_themselves_and_noise_is_farther_than_a_little_of_it() {
        let device = Device::flex().autodiff();
        let perceptual = Perceptual::new(Classifier::init([8, 3, 10], 3, &device).unwrap());
        let random = || Tensor::<4>::random([2, 3, 16, 16], Distribution::Uniform(-1.0, 1.0), &device);
        let (image, noise) = (random(), random());
        let to = |other: Tensor<4>| perceptual.distance(other, image.clone()).into_scalar::<f32>();
        assert_eq!(to(image.clone()), 0.0);
        let (little, much) = (to(image.clone() + noise.clone() * 0.05), to(image.clone() + noise));
        assert!(0.0 < little && little < much / 4.0, "{little} {much}");
    }

    #[test]
    fn its_gradient_reaches_the_image_and_no_weight() {
        let device = Device::flex().autodiff();
        let perceptual = Perceptual::new(Classifier::init([8, 2, 10], 3, &device).unwrap());
        let random = || Tensor::<4>::random([1, 3, 8, 8], Distribution::Uniform(-1.0, 1.0), &Device::flex());
        let image = random().autodiff().require_grad();
        let gradients = perceptual.distance(image.clone(), random().autodiff()).backward();
        let largest: f32 = image.grad(&gradients).unwrap().abs().max().into_scalar();
        assert!(largest > 0.0);
        assert!(crate::params::take_gradients(&perceptual.classifier, gradients).is_empty());
    }
}
