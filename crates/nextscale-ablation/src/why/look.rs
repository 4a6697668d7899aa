use std::sync::Arc;

use burn::tensor::Tensor;
use nextscale_core::noise::Noise;
use nextscale_core::{LogitMap, ScaleSchedule, is_cpu};
use nextscale_generate::observe::{Observer, Seen};
use nextscale_generate::sampler::{Moment, Sampler};
use nextscale_generate::{floats, integers};
use nextscale_guidance::{Guidance, History};
use nextscale_pipeline::{Model, images};
use rayon::prelude::*;

use super::bands::{BandPass, Bands};
use super::numbers::{ScaleNumbers, Traced};
use super::on_device::{Maps, Read, Unread, joined, split};
use crate::Result;
use crate::images::Images;

/// Observes images while they are generated, and asks the baseline's rule what it would have done.
pub(super) struct Looker {
    model: Model,
    schedule: ScaleSchedule,
    beside: Arc<dyn Guidance>,
    sampler: Arc<dyn Sampler>,
    noise: Arc<dyn Noise>,
    passes: Vec<BandPass>,
    batch: Vec<u64>,
    history: History,
    sums: Vec<Sums>,
    /// The transform of every scale's maps, on devices other than the CPU.
    transforms: Vec<Tensor<2>>,
    /// The scales of the batch that have not been read from such a device.
    unread: Vec<Unread>,
    shown: u64,
    /// The scales of every shown image.
    strips: Vec<Vec<Images>>,
}

/// Sums over images of one scale.
#[derive(Default, Clone)]
struct Sums {
    entropy: f64,
    changed: u64,
    tokens: u64,
    correction: f64,
    base: f64,
    channels: usize,
    with_prior: u64,
    logits: Bands,
    prior: Bands,
    residual: Bands,
}

impl Looker {
    pub fn new(
        model: Model,
        beside: Arc<dyn Guidance>,
        sampler: Arc<dyn Sampler>,
        noise: Arc<dyn Noise>,
    ) -> Self {
        let schedule = model.schedule().clone();
        Self {
            passes: schedule.grids().iter().map(|&grid| BandPass::new(grid)).collect(),
            history: History::new(schedule.clone(), beside.lookback()),
            sums: vec![Sums::default(); schedule.len()],
            transforms: Vec::new(),
            unread: Vec::new(),
            model,
            schedule,
            beside,
            sampler,
            noise,
            batch: Vec::new(),
            shown: 0,
            strips: Vec::new(),
        }
    }

    /// Starts a batch with these images; those below `shown` are kept as they form.
    pub fn begin(&mut self, images: &[u64], shown: u64) {
        self.batch = images.to_vec();
        self.history.restart();
        self.unread.clear();
        self.shown = shown;
        self.strips.resize(shown as usize, Vec::new());
    }

    /// The means over `images` images, and the strips one after the other.
    pub fn finish(self, images: u64) -> Result<(Traced, Images)> {
        let scales = self.sums.iter().enumerate().map(|(k, sums)| {
            let per = |bands: &Bands, images: u64| bands.over(images as f64 * sums.channels.max(1) as f64);
            let with = |bands: &Bands| (sums.with_prior > 0).then(|| per(bands, sums.with_prior));
            ScaleNumbers {
                entropy: sums.entropy / sums.tokens.max(1) as f64,
                changed: sums.changed as f64 / sums.tokens.max(1) as f64,
                correction: if sums.base > 0.0 { (sums.correction / sums.base).sqrt() } else { 0.0 },
                logits: per(&sums.logits, images),
                prior: with(&sums.prior),
                residual: with(&sums.residual),
                nyquist: k.checked_sub(1).map(|before| self.schedule.grid(before).height),
            }
        });
        let scales = scales.collect();
        let mut strips = self.strips.into_iter().flatten();
        let first = strips.next().ok_or_else(|| crate::Error::Usage("no images were looked at".into()))?;
        let strips = strips.try_fold(first, |all, more| all.and(&more))?;
        Ok((Traced { images, scales }, strips))
    }

    /// Adds what a device has summed.
    fn add(&mut self, read: &Read<'_>) {
        let (sums, pass) = (&mut self.sums[read.scale], &self.passes[read.scale]);
        let alphabet = self.model.backbone.alphabet();
        let sum = |values: &[f32]| values.iter().copied().map(f64::from).sum::<f64>();
        sums.channels = alphabet.channels();
        sums.tokens += (read.changed.len() * alphabet.slots) as u64;
        sums.changed += sum(read.changed) as u64;
        sums.entropy += sum(read.entropy);
        sums.correction += sum(read.correction);
        sums.base += sum(read.base);
        let one = read.base.len() / read.images.max(1);
        for (to, squares) in
            [&mut sums.logits, &mut sums.prior, &mut sums.residual].into_iter().zip(&read.squares)
        {
            squares.chunks_exact(one).for_each(|image| to.add(&pass.bands_of(image)));
        }
        if read.squares.len() > 1 {
            sums.with_prior += read.images as u64;
        }
    }

    fn keep_strips(&mut self, seen: &Seen<'_>) -> nextscale_generate::Result<()> {
        let shown: Vec<usize> = (0..self.batch.len()).filter(|&i| self.batch[i] < self.shown).collect();
        if shown.is_empty() {
            return Ok(());
        }
        let pictures = images::to_pictures(self.model.tokenizer.decode(seen.canvas)?);
        let pictures = pictures.map_err(|error| error.of_images(&self.batch))?;
        for i in shown {
            let images =
                Images::from_pictures(&pictures[i..=i]).map_err(nextscale_generate::Error::observer)?;
            self.strips[self.batch[i] as usize].push(images);
        }
        Ok(())
    }
}

impl Observer for Looker {
    fn scale(&mut self, seen: &Seen<'_>) -> nextscale_generate::Result<()> {
        let k = seen.scale;
        self.history.push(seen.logits.clone());
        let base = self.history.guide(&*self.beside)?;
        let moment = Moment { scale: k, schedule: &self.schedule, images: &self.batch, noise: &*self.noise };
        let would = self.sampler.draw(&base, &moment)?.tokens;
        let device = base.values().device();
        if !is_cpu(&device) {
            if self.transforms.is_empty() {
                self.transforms = self.passes.iter().map(|pass| pass.transform(&device)).collect();
            }
            self.unread.push(Unread::of(&Maps {
                scale: k,
                guided: seen.guided,
                base: &base,
                prior: seen.prior,
                tokens: [seen.draw.tokens.clone(), would],
                transform: self.transforms[k].clone(),
            }));
            return self.keep_strips(seen);
        }
        let (would, did) = (integers(would)?, integers(seen.draw.tokens.clone())?);

        let alphabet = base.alphabet();
        let (guided, base) = (centred(seen.guided)?, centred(&base)?);
        let prior = seen.prior.map(centred).transpose()?;
        let sums = &mut self.sums[k];
        sums.channels = alphabet.channels();
        sums.tokens += did.len() as u64;
        sums.changed += did.iter().zip(&would).filter(|(a, b)| a != b).count() as u64;
        sums.entropy +=
            guided.par_chunks(alphabet.classes).map(entropy).collect::<Vec<_>>().iter().sum::<f64>();
        sums.correction += squares(guided.iter().zip(&base).map(|(g, b)| g - b));
        sums.base += squares(base.iter().copied());

        let one = base.len() / self.batch.len().max(1);
        let pass = &self.passes[k];
        let bands = |values: &[f32]| {
            let each: Vec<Bands> =
                values.par_chunks(one).map(|map| pass.energies(map, alphabet.channels())).collect();
            each.iter().fold(Bands::default(), |mut sum, bands| {
                sum.add(bands);
                sum
            })
        };
        sums.logits.add(&bands(&base));
        if let Some(prior) = prior {
            let residual: Vec<f32> = base.iter().zip(&prior).map(|(l, p)| l - p).collect();
            sums.prior.add(&bands(&prior));
            sums.residual.add(&bands(&residual));
            sums.with_prior += self.batch.len() as u64;
        }
        self.keep_strips(seen)
    }

    fn images(&mut self, _: &Tensor<4>) -> nextscale_generate::Result<()> {
        let unread = std::mem::take(&mut self.unread);
        if let Some(joined) = joined(&unread) {
            let values = floats(joined)?;
            split(&unread, &values).iter().for_each(|read| self.add(read));
        }
        Ok(())
    }

    fn wants_prior(&self) -> bool {
        true
    }
}

fn squares(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|value| f64::from(value).powi(2)).sum()
}

/// Entropy in nats of the softmax of a slot's logits.
fn entropy(logits: &[f32]) -> f64 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights = logits.iter().map(|&logit| f64::from(logit - max).exp());
    let (sum, weighted) = weights.zip(logits).fold((0.0, 0.0), |(sum, weighted), (weight, &logit)| {
        // A masked class has no weight, and 0·inf would be NaN.
        let part = if weight > 0.0 { weight * f64::from(logit - max) } else { 0.0 };
        (sum + weight, weighted + part)
    });
    sum.ln() - weighted / sum
}

/// The values `[batch, h·w, channels]` minus the mean over every slot's classes.
fn centred(map: &LogitMap) -> nextscale_core::Result<Vec<f32>> {
    let mut values = floats(map.values().clone())?;
    let classes = map.alphabet().classes;
    values.par_chunks_mut(classes).for_each(|slot| {
        let mean = slot.iter().map(|&v| f64::from(v)).sum::<f64>() / classes as f64;
        // A masked class has no finite mean to subtract; such a slot is left unchanged.
        if mean.is_finite() {
            slot.iter_mut().for_each(|value| *value -= mean as f32);
        }
    });
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_is_that_of_the_softmax() {
        assert!((entropy(&[0.3; 8]) - 8f64.ln()).abs() < 1e-9);
        assert!((entropy(&[2f32.ln(), 0.0, 0.0]) - (0.5 * 2f64.ln() + 0.5 * 4f64.ln())).abs() < 1e-6);
        assert_eq!(entropy(&[5.0, f32::NEG_INFINITY]), 0.0);
    }
}
