//! The training of bitwise tokenizers: Infinity's, and others that quantise residuals to signs.
//!
//! The quantiser has no codebook, so nothing is restarted; its loss keeps latents near their codes and bits
//! in use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::activation::{log_sigmoid, sigmoid};
use burn::tensor::{Device, Int, Tensor, TensorData};
use nextscale_core::{Dtype, ScaleSchedule};
use nextscale_tokenizers::bitwise::{BsqVaeConfig, MultiScaleBsq, Quantized};
use nextscale_train::config::{AdversarialTerm, Learn, PerceptualTerm, TokenizerSettings};
use nextscale_train::data::Source;
use nextscale_train::{Error, Options, Outcome, Result, TrainableTokenizer, Training};
use nextscale_weights::WeightFile;
use serde::{Deserialize, Serialize};

use crate::training::{Architecture, ModelPart};

/// A bitwise tokenizer's training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainBitwise {
    /// The images.
    pub data: Source,
    /// Determines the initial weights, the order of images and flips.
    #[serde(default)]
    pub seed: u64,
    /// Optimiser steps.
    pub steps: u64,
    /// Images per step.
    pub batch: usize,
    /// Mirror half of the images.
    #[serde(default = "yes")]
    pub flips: bool,
    /// The autoencoder and its bits.
    pub model: BsqVaeConfig,
    /// Which part is trained.
    #[serde(default)]
    pub learn: Learn,
    /// The scales of tokens, coarse to fine.
    pub scales: ScaleSchedule,
    /// The weight of the error of pixel gradients relative to the squared error.
    #[serde(default = "twentieth")]
    pub gradient_weight: f64,
    /// A distance between a classifier's features, in addition to that of pixels.
    #[serde(default)]
    pub perceptual: Option<PerceptualTerm>,
    /// A discriminator that learns to tell reconstructions from images, as an additional loss term.
    #[serde(default)]
    pub adversarial: Option<AdversarialTerm>,
    /// Weights to start from instead of fresh ones.
    #[serde(default)]
    pub start: Option<PathBuf>,
    /// Weight of the quantiser's loss, which is `commitment` and `entropy` together.
    #[serde(default = "one")]
    pub quantiser_weight: f64,
    /// The terms of the quantiser's loss.
    #[serde(default)]
    pub quantiser: QuantiserLoss,
    /// The type of 3×3 convolutions' inputs: `f32`, or `bf16` for mixed precision, which is faster
    /// on CPUs that support it. Weights, sums, the quantiser and everything else stay f32.
    #[serde(default)]
    pub dtype: Dtype,
    /// Optimiser, schedule, log.
    #[serde(default)]
    pub training: Training,
}

/// The loss of a bitwise quantiser: weights and the temperature of its soft bits.
///
/// With u the unit vectors to be coded and p = σ(2·u/(√d·t)) the probability of a bit at temperature t (Zhao
/// et al., 2024, "Image and Video Tokenization with Binary Spherical Quantization", section 3.1), the entropy
/// term is `E[H(p)] − diversity·H(E[p])`, a mean over bits in nats: every position should be confident of its
/// bits, and all positions together should use both values of each. The commitment is the squared distance of
/// the features to the quantised ones and of u to its corners (van den Oord et al., 2017).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuantiserLoss {
    /// Weight of the commitment.
    pub commitment: f64,
    /// Weight of the entropy term.
    pub entropy: f64,
    /// γ: the weight in it of the entropy of all positions together.
    pub diversity: f64,
    /// t, above 0.
    pub temperature: f64,
}

impl Default for QuantiserLoss {
    fn default() -> Self {
        Self { commitment: 0.25, entropy: 0.1, diversity: 1.0, temperature: 0.02 }
    }
}

impl QuantiserLoss {
    fn check(&self) -> Result<()> {
        let Self { commitment, entropy, diversity, temperature } = *self;
        for (field, value) in [("commitment", commitment), ("entropy", entropy), ("diversity", diversity)] {
            if !(value.is_finite() && value >= 0.0) {
                let message = format!("{value} is not a weight; give 0 or more");
                return Err(Error::setting(format!("quantiser.{field}"), message));
            }
        }
        if !(temperature.is_finite() && temperature > 0.0) {
            let message = format!("{temperature} is not a temperature; give a number above 0, like 0.02");
            return Err(Error::setting("quantiser.temperature", message));
        }
        Ok(())
    }

    /// The loss of features f `[batch, bits, H, W]` and their quantised values: `[1]`, a mean over scales.
    fn of(&self, f: Tensor<4>, quantized: &Quantized) -> Tensor<1> {
        let Quantized { f_hat, units, bits } = quantized;
        let mut losses = Vec::with_capacity(units.len());
        for (unit, bits) in units.iter().zip(bits) {
            let corner = (unit.dims()[1] as f64).sqrt().recip();
            let codes = bits.clone().float() * (2.0 * corner) - corner;
            let commitment = (unit.clone() - Tensor::from_inner(codes)).square().mean();
            losses.push(commitment * self.commitment + self.entropy_of(unit.clone()) * self.entropy);
        }
        let drift = (f - Tensor::from_inner(f_hat.clone().inner())).square().mean();
        Tensor::cat(losses, 0).mean() + drift * self.commitment
    }

    /// The entropy term of unit vectors `[batch, bits, h, w]`, `[1]`.
    fn entropy_of(&self, unit: Tensor<4>) -> Tensor<1> {
        let [batch, bits, height, width] = unit.dims();
        let logits = unit.swap_dims(0, 1).reshape([bits, batch * height * width])
            * (2.0 / ((bits as f64).sqrt() * self.temperature));
        let sure = entropy(logits.clone()).mean();
        let share = sigmoid(logits).mean_dim(1).clamp(1e-6, 1.0 - 1e-6);
        let used =
            -(share.clone() * share.clone().log() + (-share.clone() + 1.0) * (-share + 1.0).log()).mean();
        sure - used * self.diversity
    }
}

/// The entropy in nats of bits, given the logits of the value 1.
fn entropy(logits: Tensor<2>) -> Tensor<2> {
    let p = sigmoid(logits.clone());
    // −p·ln p − (1 − p)·ln(1 − p), with ln(1 − p) = ln p − logit.
    -(log_sigmoid(logits.clone()) - (-p + 1.0) * logits)
}

impl TrainBitwise {
    /// The settings shared by every tokenizer's training.
    pub fn settings(&self) -> TokenizerSettings {
        TokenizerSettings {
            data: self.data.clone(),
            seed: self.seed,
            steps: self.steps,
            batch: self.batch,
            flips: self.flips,
            learn: self.learn,
            gradient_weight: self.gradient_weight,
            perceptual: self.perceptual.clone(),
            adversarial: self.adversarial.clone(),
            start: self.start.clone(),
            quantiser_weight: self.quantiser_weight,
            dtype: self.dtype,
            training: self.training.clone(),
        }
    }

    /// The same config with relative paths taken from `base`, the folder of the config's file.
    #[must_use]
    pub fn relative_to(&self, base: &Path) -> Self {
        let perceptual = self.perceptual.as_ref().map(|term| term.relative_to(base));
        let start = self.start.as_ref().map(|start| base.join(start));
        Self { data: self.data.relative_to(base), perceptual, start, ..self.clone() }
    }
}

/// Trains a bitwise tokenizer, see [`nextscale_train::train_tokenizer`].
///
/// # Errors
/// Errors of the data, the sizes in the config, and the run.
pub fn train_bitwise(config: &TrainBitwise, options: &Options, device: &Device) -> Result<Outcome> {
    config.quantiser.check()?;
    config.model.check()?;
    let kind = BitwiseTraining { config, window: BitUse::new(config.model.bits) };
    nextscale_train::train_tokenizer(kind, &config.settings(), config, options, device)
}

/// The architecture that a training's config calls `Bitwise`.
pub fn architecture() -> Architecture {
    Architecture::new(ModelPart::Tokenizer, "Bitwise", |config: TrainBitwise, folder, options, device| {
        train_bitwise(&config.relative_to(folder), options, device)
    })
}

/// How often each bit was 1.
#[derive(Debug, Clone)]
struct BitUse {
    /// f32, as checkpoints hold it; exact up to 2²⁴ positions between two clearings.
    ones: Vec<f32>,
    /// Those that stay on their device until they are asked for, `[bits]`.
    unread: Option<Tensor<1>>,
    positions: f32,
}

impl BitUse {
    fn new(bits: usize) -> Self {
        Self { ones: vec![0.0; bits], unread: None, positions: 0.0 }
    }

    /// Counts tokens `[batch, h·w, bits]`, without reading them.
    fn count(&mut self, tokens: &Tensor<3, Int>) {
        let [batch, positions, bits] = tokens.dims();
        self.positions += (batch * positions) as f32;
        // Whole numbers: exact in any order.
        let ones = tokens.clone().float().reshape([batch * positions, bits]).sum_dim(0).reshape([bits]);
        self.unread = Some(match self.unread.take() {
            Some(before) => before + ones,
            None => ones,
        });
    }

    /// How often each bit was 1.
    fn ones(&self) -> Vec<f32> {
        let mut ones = self.ones.clone();
        if let Some(unread) = &self.unread {
            ones.iter_mut().zip(unread.to_data().iter::<f32>()).for_each(|(ones, more)| *ones += more);
        }
        ones
    }

    /// The mean entropy of a bit, in bits: 1 if each is 1 half of the time; 0 if nothing was counted.
    fn entropy(&self) -> f64 {
        let positions = f64::from(self.positions.max(1.0));
        entropy_of_shares(self.ones().iter().map(|ones| f64::from(*ones) / positions))
    }
}

/// The mean entropy, in bits, of bits that are 1 with these shares.
fn entropy_of_shares(shares: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = shares.len().max(1) as f64;
    let of =
        |share: f64| [share, 1.0 - share].iter().filter(|p| **p > 0.0).map(|p| -p * p.log2()).sum::<f64>();
    shares.map(of).sum::<f64>() / count
}

struct BitwiseTraining<'a> {
    config: &'a TrainBitwise,
    window: BitUse,
}

impl TrainableTokenizer for BitwiseTraining<'_> {
    type Model = MultiScaleBsq;
    /// The tokens of every scale.
    type Seen = Vec<Tensor<3, Int>>;

    fn fresh(&self, device: &Device) -> Result<MultiScaleBsq> {
        Ok(self.config.model.init(self.config.scales.clone(), false, self.config.seed, device)?)
    }

    fn open(&self, path: &Path, device: &Device) -> Result<MultiScaleBsq> {
        let TrainBitwise { model, scales, .. } = self.config;
        let fail = |error: nextscale_weights::LoadError| Error::data(path, error.to_string());
        let file = WeightFile::open(path).map_err(|error| fail(error.into()))?;
        MultiScaleBsq::load(&file, model.clone(), scales.clone(), false, true, device).map_err(fail)
    }

    fn computing_in(&self, model: MultiScaleBsq, dtype: Dtype) -> MultiScaleBsq {
        model.training_in(dtype)
    }

    fn bytes_of_image(&self, side: usize) -> u128 {
        self.config.model.layout().bytes_of_image(side)
    }

    fn quantise(
        &self,
        model: &MultiScaleBsq,
        images: Tensor<4>,
        _step: u64,
    ) -> Result<nextscale_train::Quantised<Self::Seen>> {
        let f = model.encode_features(images)?;
        let quantized = model.quantize(f.clone())?;
        let seen = quantized.bits.iter().map(|bits| {
            let [batch, channels, height, width] = bits.dims();
            bits.clone().int().reshape([batch, channels, height * width]).swap_dims(1, 2)
        });
        let seen = seen.collect();
        let loss = self.config.quantiser.of(f, &quantized);
        Ok(nextscale_train::Quantised { canvas: quantized.f_hat, loss: Some(loss), seen })
    }

    fn given(&self, tokens: Vec<Tensor<3, Int>>) -> Self::Seen {
        tokens
    }

    fn images(&self, model: &MultiScaleBsq, canvas: Tensor<4>) -> Tensor<4> {
        model.vae.images(canvas)
    }

    fn after_update(
        &mut self,
        model: MultiScaleBsq,
        _step: u64,
        seen: Vec<Self::Seen>,
    ) -> Result<MultiScaleBsq> {
        seen.iter().flatten().for_each(|tokens| self.window.count(tokens));
        Ok(model)
    }

    fn window_columns(&self) -> Vec<String> {
        vec!["bit_entropy".into()]
    }

    fn window(&mut self) -> Vec<f64> {
        let entropy = self.window.entropy();
        self.window = BitUse::new(self.config.model.bits);
        vec![entropy]
    }

    fn counters(&self) -> BTreeMap<String, Vec<f32>> {
        let BitUse { positions, .. } = self.window;
        [("bits.ones".into(), self.window.ones()), ("bits.positions".into(), vec![positions])].into()
    }

    fn set_counters(&mut self, counters: &BTreeMap<String, Vec<f32>>) {
        if let (Some(ones), Some([positions])) =
            (counters.get("bits.ones"), counters.get("bits.positions").map(Vec::as_slice))
        {
            self.window = BitUse { ones: ones.clone(), unread: None, positions: *positions };
        }
    }

    /// The positions, then how often each bit was 1.
    fn tally(&self, tokens: &[Tensor<3, Int>]) -> Vec<f64> {
        let mut used = BitUse::new(self.config.model.bits);
        tokens.iter().for_each(|tokens| used.count(tokens));
        std::iter::once(used.positions).chain(used.ones()).map(f64::from).collect()
    }

    fn code_use(&self, tally: &[f64]) -> Vec<(String, f64)> {
        let entropy = match tally {
            [positions, ones @ ..] => entropy_of_shares(ones.iter().map(|ones| ones / positions.max(1.0))),
            [] => 0.0,
        };
        vec![("bit_entropy".into(), entropy)]
    }

    fn tensors(&self, model: &MultiScaleBsq) -> Vec<(String, TensorData)> {
        model.tensors()
    }

    fn metadata(&self, model: &MultiScaleBsq) -> BTreeMap<String, String> {
        model.metadata()
    }
}

fn yes() -> bool {
    true
}

fn one() -> f64 {
    1.0
}

fn twentieth() -> f64 {
    0.05
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(values: &[f32], bits: usize) -> Tensor<4> {
        let positions = values.len() / bits;
        let data = TensorData::new(values.to_vec(), [1, positions, bits, 1]);
        Tensor::<4>::from_data(data, &Device::flex().autodiff()).swap_dims(1, 2)
    }

    fn value(loss: Tensor<1>) -> f64 {
        f64::from(loss.into_scalar::<f32>())
    }

    /// The term by its definition.
    fn by_hand(values: &[f32], bits: usize, loss: QuantiserLoss) -> f64 {
        let h = |p: f64| [p, 1.0 - p].iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum::<f64>();
        let p =
            |u: f32| 1.0 / (1.0 + (-2.0 * f64::from(u) / ((bits as f64).sqrt() * loss.temperature)).exp());
        let rows: Vec<&[f32]> = values.chunks(bits).collect();
        let sure = values.iter().map(|u| h(p(*u))).sum::<f64>() / values.len() as f64;
        let share = |bit: usize| rows.iter().map(|row| p(row[bit])).sum::<f64>() / rows.len() as f64;
        let used = (0..bits).map(|bit| h(share(bit))).sum::<f64>() / bits as f64;
        sure - loss.diversity * used
    }

    #[test]
    fn the_entropy_term_is_the_papers() {
        let values = [0.6, 0.8, -0.8, 0.6, 0.0, -1.0, 0.1, 0.995];
        for (temperature, diversity) in [(0.5, 1.0), (0.05, 0.3)] {
            let loss = QuantiserLoss { temperature, diversity, ..QuantiserLoss::default() };
            let found = value(loss.entropy_of(units(&values, 2)));
            let expected = by_hand(&values, 2, loss);
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }

    #[test]
    fn bits_that_are_sure_and_all_in_use_cost_least() {
        let loss = QuantiserLoss::default();
        let of = |values: &[f32]| value(loss.entropy_of(units(values, 2)));
        let (sure, corner) = (of(&[0.7, 0.7, -0.7, -0.7]), std::f64::consts::LN_2);
        assert!((sure + corner).abs() < 1e-3, "{sure}");
        // Only one value, or uncertain.
        assert!(of(&[0.7, 0.7, 0.7, 0.7]).abs() < 1e-3);
        assert!(of(&[0.7, 0.0, -0.7, 0.0]) > sure + 0.1);
    }

    #[test]
    fn the_use_of_bits_is_their_entropy() {
        let mut used = BitUse::new(2);
        assert_eq!(used.entropy(), 0.0);
        let tokens = TensorData::new(vec![1i64, 0, 0, 0, 1, 0, 0, 0], [2, 2, 2]);
        used.count(&Tensor::from_data(tokens, &Device::flex()));
        assert_eq!(used.entropy(), 0.5);
    }

    #[test]
    fn losses_that_cannot_be_are_named() {
        for (loss, field) in [
            (QuantiserLoss { entropy: -1.0, ..QuantiserLoss::default() }, "quantiser.entropy"),
            (QuantiserLoss { temperature: 0.0, ..QuantiserLoss::default() }, "quantiser.temperature"),
        ] {
            assert!(loss.check().unwrap_err().to_string().starts_with(field));
        }
        QuantiserLoss::default().check().unwrap();
    }
}
