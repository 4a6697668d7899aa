use burn::tensor::{Bool, Device, Tensor, TensorData};
use nextscale_tokenizers::bitwise::{MultiScaleBsq, Scales, Teaching};
use nextscale_train::random::uniform;
use nextscale_train::{Error, Lesson, Result};
use serde::{Deserialize, Serialize};

/// Probabilities of a wrong bit are multiples of this.
const STEP: f64 = 0.01;
/// The keys of random streams.
const PROBABILITY: u64 = 1;
const BITS: u64 = 2;

/// Bitwise self-correction (Han et al., "Infinity", 2025, section 3.4): some bits of every scale
/// are flipped, and the labels of later scales are the bits of the remaining residual.
///
/// For each scale a probability is drawn from {0, 0.01, …, `strength`}, and each of its bits is flipped with
/// that probability. Upstream draws it once per batch; here every image has its own, so that an image's
/// gradient does not depend on its batch. The mean over batches is the same.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SelfCorrection {
    /// The largest probability of a wrong bit, from 0 (plain teacher forcing) to 1; hundredths count.
    pub strength: f64,
    /// How many of the first scales may have wrong bits; all by default. The last scale has none, as nothing
    /// follows it.
    pub scales: Option<usize>,
}

impl Default for SelfCorrection {
    /// Upstream's default.
    fn default() -> Self {
        Self { strength: 0.3, scales: None }
    }
}

impl SelfCorrection {
    pub(super) fn check(&self) -> Result<()> {
        if (0.0..=1.0).contains(&self.strength) {
            return Ok(());
        }
        let message = format!("{} is not a probability; give a number from 0 to 1", self.strength);
        Err(Error::setting("self_correction.strength", message))
    }

    /// The inputs and labels of images `[images, 3, H, W]` in [-1, 1]. Each image's wrong bits are a function
    /// of its key.
    pub(super) fn lesson(
        &self,
        tokenizer: &MultiScaleBsq,
        images: Tensor<4>,
        keys: &[u64],
    ) -> Result<Lesson> {
        let features = tokenizer.encode_features(images)?;
        let flips = self.flips(keys, tokenizer.config().bits, tokenizer.scales(), &features.device());
        let Teaching { labels, inputs } = tokenizer.teach(features, &flips)?;
        Ok(Lesson { features: inputs, labels: Tensor::cat(labels, 1) })
    }

    /// Which bits are wrong, for [`teach`](nextscale_tokenizers::bitwise::MultiScaleBsq::teach): for each
    /// scale `[images, bits, h, w]` on its latents, as a function of each image's key.
    fn flips(&self, keys: &[u64], bits: usize, scales: &Scales, device: &Device) -> Vec<Tensor<4, Bool>> {
        let count = (scales.len() - 1).min(self.scales.unwrap_or(usize::MAX));
        let flips = |k: usize| {
            let grid = scales.latents(k);
            let each = bits * grid.positions();
            let of = |&key: &u64| {
                let probability = self.probability(key, k);
                (0..each).map(move |bit| {
                    probability > 0.0 && uniform(&[key, BITS, k as u64, bit as u64]) < probability
                })
            };
            let flips: Vec<bool> = keys.iter().flat_map(of).collect();
            let shape = [keys.len(), bits, grid.height, grid.width];
            Tensor::from_data(TensorData::new(flips, shape), device)
        };
        (0..count).map(flips).collect()
    }

    /// The probability of a wrong bit at a scale.
    fn probability(&self, key: u64, k: usize) -> f64 {
        let choices = (self.strength / STEP).round() + 1.0;
        (uniform(&[key, PROBABILITY, k as u64]) * choices).floor() * STEP
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Int;
    use nextscale_core::{Draw, ScaleSchedule};
    use nextscale_tokenizers::{Tokenizer, bitwise::BsqVaeConfig};

    fn scales() -> Scales {
        Scales::new(ScaleSchedule::square(&[1, 2, 4, 8]).unwrap(), false, &Device::flex())
    }

    fn shares(correction: SelfCorrection, keys: &[u64], bits: usize) -> Vec<Vec<f64>> {
        let flips = correction.flips(keys, bits, &scales(), &Device::flex());
        flips
            .into_iter()
            .map(|flips| {
                let [images, ..] = flips.dims();
                let flips: Vec<bool> = flips.into_data().iter::<bool>().collect();
                let of = |image: &[bool]| image.iter().filter(|&&it| it).count() as f64 / image.len() as f64;
                flips.chunks(flips.len() / images).map(of).collect()
            })
            .collect()
    }

    #[test]
    fn probabilities_are_even_over_the_hundredths_up_to_the_strength() {
        let correction = SelfCorrection { strength: 0.04, scales: None };
        let mut counts = [0; 5];
        for key in 0..5000 {
            let probability = correction.probability(key, 1);
            let hundredths = (probability * 100.0).round();
            assert!((probability * 100.0 - hundredths).abs() < 1e-9);
            counts[hundredths as usize] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn bits_are_wrong_as_often_as_was_drawn_and_the_last_scale_s_never() {
        let correction = SelfCorrection::default();
        let keys = [3, 4, 5, 6];
        let shares = shares(correction, &keys, 256);
        // Nothing reads the fourth scale.
        assert_eq!(shares.len(), 3);
        for (k, of_scale) in shares.iter().enumerate() {
            for (&key, share) in keys.iter().zip(of_scale) {
                let probability = correction.probability(key, k);
                let deviation = (probability / (256 << (2 * k)) as f64).sqrt();
                assert!((share - probability).abs() <= 4.0 * deviation, "{k} {key}: {share} {probability}");
            }
        }
        let flat: Vec<f64> = shares.concat();
        assert!(flat.iter().any(|share| *share > 0.15) && flat.iter().any(|share| *share < 0.15));
    }

    #[test]
    fn an_image_s_wrong_bits_do_not_depend_on_the_images_beside_it() {
        let flips = |keys: &[u64]| {
            let flips = SelfCorrection::default().flips(keys, 8, &scales(), &Device::flex());
            flips.into_iter().map(|flips| flips.slice_dim(0, 0..1).into_data()).collect::<Vec<_>>()
        };
        assert_eq!(flips(&[7, 8, 9]), flips(&[7]));
        assert_ne!(flips(&[8]), flips(&[7]));
        let first = SelfCorrection { scales: Some(1), ..SelfCorrection::default() };
        assert_eq!(shares(first, &[7], 8).len(), 1);
        let none = SelfCorrection { strength: 0.0, scales: None };
        assert!(shares(none, &[7, 8], 64).concat().iter().all(|share| *share == 0.0));
    }

    /// The training loop as published, with the steps of generation.
    #[test]
    fn a_lesson_is_what_generation_would_read_after_the_wrong_bits_and_what_is_left_then() {
        let device = Device::flex();
        for patches in [false, true] {
            let config = BsqVaeConfig {
                encoder_blocks: vec![0, 1],
                decoder_blocks: vec![0, 1],
                norm_groups: Some(2),
                ..BsqVaeConfig::new(4, &[1, 2], 6)
            };
            let tokenizer =
                config.init(ScaleSchedule::square(&[1, 2, 4]).unwrap(), patches, 5, &device).unwrap();
            let (side, _) = tokenizer.image_size();
            let images: Vec<f32> = (0..2 * 3 * side * side).map(|i| uniform(&[9, i as u64]) as f32).collect();
            let images = Tensor::<4>::from_data(TensorData::new(images, [2, 3, side, side]), &device);
            let (correction, keys) = (SelfCorrection { strength: 0.9, scales: None }, [11, 12]);
            let lesson = correction.lesson(&tokenizer, images.clone() * 2.0 - 1.0, &keys).unwrap();

            let flips = correction.flips(&keys, 6, tokenizer.scales(), &device);
            let features = tokenizer.features(images.clone()).unwrap();
            let mut canvas = tokenizer.blank(2);
            let (mut labels, mut inputs) = (Vec::new(), Vec::new());
            for (k, grid) in tokenizer.schedule().grids().iter().enumerate() {
                if k > 0 {
                    inputs.push(tokenizer.next_input(&canvas, k).unwrap());
                }
                let tokens = tokenizer.requantise(features.clone(), &canvas, k).unwrap();
                labels.push(tokens.clone());
                let Some(flips) = flips.get(k) else { continue };
                // A token's bits are a latent's, or those of 2 × 2 latents: bit 4c + 2i + j is bit c of
                // latent (i, j).
                let each = if patches { 2 } else { 1 };
                let flips: Vec<bool> = flips.clone().into_data().iter::<bool>().collect();
                let (height, width) = (grid.height * each, grid.width * each);
                let wrong: Vec<i64> = (0..2)
                    .flat_map(|image| {
                        let flips = &flips;
                        (0..grid.positions()).flat_map(move |at| {
                            (0..6 * each * each).map(move |bit| {
                                let (channel, inside) = (bit / (each * each), bit % (each * each));
                                let row = at / grid.width * each + inside / each;
                                let column = at % grid.width * each + inside % each;
                                i64::from(flips[((image * 6 + channel) * height + row) * width + column])
                            })
                        })
                    })
                    .collect();
                assert!(wrong.contains(&1) || k == 0, "scale {k} has no wrong bit");
                let wrong: Tensor<3, Int> = Tensor::from_data(TensorData::new(wrong, tokens.dims()), &device);
                let seen = (tokens + wrong) % 2;
                let embedding = tokenizer.embed(&Draw::tokens(seen), k).unwrap();
                canvas = tokenizer.accumulate(canvas, embedding, k).unwrap();
            }
            assert_eq!(lesson.labels.into_data(), Tensor::cat(labels, 1).into_data());
            assert_eq!(lesson.features.into_data(), Tensor::cat(inputs, 1).into_data());
        }
    }

    #[test]
    fn a_strength_that_is_no_probability_is_named() {
        for strength in [-0.1, 1.5, f64::NAN] {
            let error = SelfCorrection { strength, scales: None }.check().unwrap_err().to_string();
            assert!(error.starts_with("self_correction.strength"), "{error}");
        }
    }
}
