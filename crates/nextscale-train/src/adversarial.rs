//! Adversarial training of a tokenizer against a discriminator that distinguishes its reconstructions from
//! photographs, with the hinge loss of Lim and Ye, 2017 ("Geometric GAN"), as in VQGAN (Esser and others,
//! 2021, "Taming Transformers").

use burn::module::Module;
use burn::tensor::Tensor;

use crate::discriminator::Discriminator;

/// The losses of both networks, `[1]` each.
#[derive(Debug)]
pub struct Game {
    /// −mean D(output). Its gradient reaches the output, but no weights of D.
    pub generator: Tensor<1>,
    /// ½·mean max(0, 1 − D(image)) + ½·mean max(0, 1 + D(output)). Its gradient reaches D's weights, but no
    /// output.
    pub discriminator: Tensor<1>,
}

impl Game {
    /// Both losses on reconstructions `output` of `images`, both `[batch, 3, h, w]` in [-1, 1]. The
    /// generator's loss has a gradient only if it is `felt`.
    pub fn turn(discriminator: &Discriminator, output: Tensor<4>, images: Tensor<4>, felt: bool) -> Self {
        let [batch, ..] = output.dims();
        let both = Tensor::cat(vec![output.clone().inner(), images.inner()], 0).autodiff();
        let scores = discriminator.scores(both);
        let (fake, real) = (scores.clone().slice_dim(0, 0..batch), scores.slice_dim(0, batch..2 * batch));
        let generator = if felt {
            -discriminator.clone().no_grad().scores(output).mean()
        } else {
            -fake.clone().inner().mean().autodiff()
        };
        let discriminator = ((-real + 1.0).clamp_min(0.0).mean() + (fake + 1.0).clamp_min(0.0).mean()) / 2.0;
        Self { generator, discriminator }
    }
}

#[cfg(test)]
mod tests {

    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::optimiser::{AdamWConfig, Groups, Optimiser};
    use crate::params::take_gradients;

    fn discriminator() -> Discriminator {
        Discriminator::init(8, 3, &Device::flex().autodiff()).unwrap()
    }

    fn noise() -> Tensor<4> {
        Tensor::random([4, 3, 16, 16], Distribution::Uniform(-1.0, 1.0), &Device::flex())
    }

    /// Noise with similar neighbours.
    fn smooth() -> Tensor<4> {
        let coarse = Tensor::<4>::random([4, 3, 4, 4], Distribution::Uniform(-1.0, 1.0), &Device::flex());
        coarse.reshape([4, 3, 4, 1, 4, 1]).repeat_dim(3, 4).repeat_dim(5, 4).reshape([4, 3, 16, 16])
    }

    fn value(loss: &Tensor<1>) -> f32 {
        loss.clone().into_scalar()
    }

    #[test]
    fn the_losses_are_the_papers() {
        let network = discriminator();
        let (output, images) = (noise(), smooth());
        let scores = |x: &Tensor<4>| -> Vec<f32> {
            network.scores(x.clone().autodiff()).into_data().iter::<f32>().collect()
        };
        let mean = |values: &[f32], of: fn(f32) -> f32| {
            values.iter().map(|&score| of(score)).sum::<f32>() / values.len() as f32
        };
        let (fake, real) = (scores(&output), scores(&images));
        let game = Game::turn(&network, output.clone().autodiff(), images.clone().autodiff(), true);
        let hinge = mean(&real, |score| (1.0 - score).max(0.0)) + mean(&fake, |score| (1.0 + score).max(0.0));
        assert!((value(&game.discriminator) - hinge / 2.0).abs() < 1e-5);
        assert!((value(&game.generator) + mean(&fake, |score| score)).abs() < 1e-5);
        let unfelt = Game::turn(&network, output.autodiff(), images.autodiff(), false);
        assert!((value(&unfelt.generator) - value(&game.generator)).abs() < 1e-6);
    }

    #[test]
    fn each_players_gradient_reaches_that_player_alone() {
        let network = discriminator();
        let output = noise().autodiff().require_grad();
        let game = |felt| Game::turn(&network, output.clone(), smooth().autodiff(), felt);

        let gradients = game(true).generator.backward();
        assert!(value(&output.grad(&gradients).unwrap().abs().max()) > 0.0);
        assert!(take_gradients(&network, gradients).is_empty());

        let gradients = game(true).discriminator.backward();
        assert!(output.grad(&gradients).is_none());
        assert_eq!(take_gradients(&network, gradients).len(), crate::params::parameters(&network).len());

        let Game { generator, discriminator } = game(false);
        assert!(output.grad(&(generator + discriminator).backward()).is_none());
    }

    #[test]
    fn a_discriminator_learns_to_tell_noise_from_what_is_smooth() {
        let mut network = discriminator();
        let mut optimiser = Optimiser::new(AdamWConfig::default(), None, Groups::default());
        let mut losses = Vec::new();
        for _ in 0..30 {
            let loss = Game::turn(&network, noise().autodiff(), smooth().autodiff(), false).discriminator;
            losses.push(value(&loss));
            (network, _) = optimiser.step(network, loss.backward(), 5e-3);
        }
        assert!(losses[0] > 0.7 && losses[29] < 0.2, "{losses:?}");
        let score = |images: Tensor<4>| value(&network.scores(images.autodiff()).mean());
        assert!(score(smooth()) > 0.5 && score(noise()) < -0.5);
    }
}
