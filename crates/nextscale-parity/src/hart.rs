//! HART, on texts as an encoder gave them to upstream: the transformer's logits, and the greedy loop from
//! texts to images, with and without the residual, whose noise was recorded.

use std::sync::Arc;

use burn::tensor::{Bool, Device, Int, Tensor};
use nextscale_backbones::hart::{Described, Hart, HartConfig, PatchNums};
use nextscale_backbones::{Backbone, PaddedText, PaddedTextConditioner, prepare};
use nextscale_core::noise::{Choice, Counter, Noise, Place};
use nextscale_core::{Condition, Dtype, Error as CoreError, PassPlan, Passes, ScaleSchedule};
use nextscale_generate::observe::{Observer, Seen};
use nextscale_generate::sampler::{Argmax, Sampler, TopKTopP};
use nextscale_guidance::{Cfg, Strength};
use nextscale_pipeline::{Batch, Generator, Model, Result, Stop};
use nextscale_tokenizers::hybrid::HybridVq;

use crate::following::Following;
use crate::{Fixture, Fixtures, Gap, Line, Setting};

const WEIGHTS: &str = "hart/main/llm/model.safetensors";
const TOKENIZER: &str = "hart/tokenizer/model.safetensors";
const REFERENCE: &str = "hart/main/reference.safetensors";
const SMOOTH: &str = "hart/main/reference_smooth.safetensors";
const DISCRETE: &str = "hart/main/reference_no_residual.safetensors";

/// The sides of the recorded scales.
const SIDES: [usize; 6] = [1, 2, 3, 4, 6, 8];
/// The steps of the recorded sampler.
const STEPS: usize = 8;

/// The recorded model and what it is asked for.
struct Given {
    tokenizer: HybridVq,
    backbone: Hart,
    conditioner: PaddedTextConditioner,
    conditions: Vec<Condition>,
}

impl Given {
    /// The model of the reference run, with its residual or without.
    fn open(residual: bool, dtype: Dtype, fixtures: &Fixtures, device: &Device) -> Result<Self> {
        let open = |name: &str| fixtures.open(name);
        let (vae, transformer, reference) = (open(TOKENIZER)?, open(WEIGHTS)?, open(REFERENCE)?);
        let schedule = ScaleSchedule::square(&SIDES)?;
        let layout = HybridVq::infer(vae.file(), None)?;
        let tokenizer = HybridVq::load(vae.file(), layout, schedule, true, device)?.decoding_in(dtype);
        let described = Described {
            num_heads: Some(4),
            context_token: Some(7),
            patch_nums: Some(PatchNums::List(SIDES.to_vec())),
            ..Described::default()
        };
        let mut config = HartConfig::infer(transformer.file(), Some(&described), None)?;
        let t = reference.floats("diff.cfg")?.first().copied().unwrap_or_default();
        config.residual = config.residual.filter(|_| residual);
        if let Some(head) = &mut config.residual {
            (head.steps, head.cfg) = (STEPS, f64::from(t));
        }
        let backbone = match dtype {
            // Not laid out for generation: the files' own numbers.
            Dtype::F32 => Hart::load(transformer.file(), &config, device)?,
            _ => Hart::load_to_generate(transformer.file(), &config, device, dtype)?,
        };
        let texts: Tensor<3> = reference.tensor("text", device)?;
        let [batch, rows, width] = texts.dims();
        let mask: Tensor<2, Bool> =
            reference.file().int_tensor::<2>("context_mask", &Device::flex())?.equal_elem(1);
        let mask: Vec<bool> = mask.into_data().iter::<bool>().collect();
        let each = (0..batch).map(|image| {
            let values = texts.clone().slice_dim(0, image..image + 1).reshape([rows, width]);
            let mask = mask[image * rows..(image + 1) * rows].to_vec();
            (format!("text {image}"), PaddedText { values, mask })
        });
        let conditioner = PaddedTextConditioner::new([rows, width], each, device)?;
        let conditions = (0..batch).map(|image| Condition::Prompt(format!("text {image}"))).collect();
        Ok(Self { tokenizer, backbone, conditioner, conditions })
    }
}

/// Both passes' logits over the cache, given the inputs scale by scale.
fn cached(given: &Given, fixtures: &Fixtures, device: &Device) -> Result<Gap> {
    let reference = fixtures.open(REFERENCE)?;
    let schedule = Backbone::schedule(&given.backbone);
    let plan = PassPlan::new(vec![Passes::BOTH; schedule.len()], schedule)?;
    let conditions = prepare(&given.conditioner, &given.conditions, &plan)?;
    let mut session = given.backbone.start(&conditions, &plan)?;
    let mut gap = Gap::default();
    for k in 0..schedule.len() {
        let input = match k {
            0 => None,
            _ => {
                let map: Tensor<4> = reference.tensor(&format!("next_map.{k}"), device)?;
                let [batch, channels, height, width] = map.dims();
                Some(map.reshape([batch, channels, height * width]).swap_dims(1, 2))
            }
        };
        let logits = session.step(input)?;
        for (name, side) in [("cond", logits.conditional()), ("uncond", logits.unconditional())] {
            let side =
                side.ok_or_else(|| CoreError::Unsupported(format!("scale {k} lacks logits of a pass")))?;
            gap.add(side.values(), &reference, &format!("logits_{name}.{k}"))?;
        }
    }
    Ok(gap)
}

/// Recorded noise: of the residual, and of soft codes where there are any.
struct Recorded {
    residual: Vec<f32>,
    gumbel: Vec<Vec<f32>>,
}

impl Recorded {
    fn of(run: &Fixture) -> Result<Self> {
        let device = Device::flex();
        let mut numbers: Vec<Tensor<2>> = vec![run.tensor("diff.noise_init", &device)?];
        for step in 0..STEPS - 1 {
            numbers.push(run.tensor(&format!("diff.noise_step.{step}"), &device)?);
        }
        let residual = Tensor::cat(numbers, 1).into_data().iter::<f32>().collect();
        let gumbel = (0..SIDES.len()).map_while(|k| run.file().values(&format!("gumbel_noise.{k}")).ok());
        Ok(Self { residual, gumbel: gumbel.map(|(values, _)| values).collect() })
    }
}

impl Noise for Recorded {
    /// The first class, in whose place the recorded one is taken.
    fn choice(&self, place: &Place<'_>) -> Choice {
        Choice::Uniforms(vec![0.0; place.images.len() * place.positions])
    }

    fn exponential(&self, place: &Place<'_>) -> Vec<f32> {
        match self.gumbel.get(place.scale) {
            Some(gumbel) => gumbel.iter().map(|g| (-g).exp()).collect(),
            None => Counter::new(0).exponential(place),
        }
    }

    fn gaussian(&self, _: &Place<'_>, _: usize) -> Vec<f32> {
        self.residual.clone()
    }
}

/// Compares canvases and images as they come.
struct Watch<'a> {
    reference: &'a Fixture,
    gap: Gap,
}

impl Observer for Watch<'_> {
    fn scale(&mut self, seen: &Seen<'_>) -> nextscale_generate::Result<()> {
        let last = seen.scale + 1 == SIDES.len();
        let name = if last { "f_hat_final".into() } else { format!("f_hat.{}", seen.scale) };
        // The run without a residual recorded only its end.
        if self.reference.file().info(&name).is_some() {
            self.gap.add(&seen.canvas.features, self.reference, &name)?;
        }
        Ok(())
    }

    fn images(&mut self, images: &Tensor<4>) -> nextscale_generate::Result<()> {
        Ok(self.gap.add(images, self.reference, "image01")?)
    }
}

/// The loop of a recorded run under CFG: its canvases and images, and its codes.
fn generated(
    run: &str,
    sampler: Box<dyn Sampler>,
    fixtures: &Fixtures,
    setting: &Setting<'_>,
) -> Result<[Gap; 2]> {
    let Setting { device, dtype, .. } = *setting;
    let open = |name: &str| fixtures.open(name);
    // The run without a residual has the same codes as that with it.
    let (reference, own) = (open(if run == DISCRETE { REFERENCE } else { run })?, open(run)?);
    let Given { tokenizer, backbone, conditioner, conditions } =
        Given::open(run != DISCRETE, dtype, fixtures, device)?;
    let recorded = |k: usize| -> Result<Tensor<3, Int>> {
        let codes: Tensor<2, Int> = reference.file().int_tensor(&format!("idx.{k}"), device)?;
        Ok(codes.unsqueeze_dim(2))
    };
    let recorded = (0..SIDES.len()).map(recorded).collect::<Result<Vec<_>>>()?;
    let following = Arc::new(Following::new(sampler, recorded));
    let strengths = reference.floats("cfg_t")?.into_iter().map(f64::from).collect();
    let rule = Arc::new(Cfg::scale(Strength::List(strengths))?);
    let model = Model::new(Arc::new(tokenizer), Arc::new(backbone), Arc::new(conditioner))?;
    let noise = Arc::new(Recorded::of(&reference)?);
    let generator = Generator::new(model, rule, following.clone(), noise)?;
    let images: Vec<u64> = (0..conditions.len() as u64).collect();
    let mut watch = Watch { reference: &own, gap: Gap::default() };
    generator.batch(Batch { images: &images, conditions: &conditions }, &mut watch, &Stop::new())?;
    let mut codes = Gap::default();
    following.compare(|k, drawn| {
        let name = format!("idx.{k}");
        codes.add_integers(drawn, &reference.integers::<2>(&name)?, &name)
    })?;
    Ok([watch.gap, codes])
}

/// The recorded soft codes' sampler.
fn soft() -> TopKTopP {
    TopKTopP { top_k: 30.into(), more_smooth: true, smooth_held: Some(1), ..TopKTopP::default() }
}

/// Four lines. They are of the compiled-in files wherever VAR's are taken from.
pub fn lines(setting: &Setting<'_>) -> Result<Vec<Line>> {
    let (device, fixtures) = (setting.device, &setting.fixtures.without_folder());
    setting.dtype.check(device)?;
    let logits = cached(&Given::open(true, setting.dtype, fixtures, device)?, fixtures, device)?;
    let [mut greedy, codes] = generated(REFERENCE, Box::new(Argmax), fixtures, setting)?;
    greedy.join(&codes);
    let [discrete, _] = generated(DISCRETE, Box::new(Argmax), fixtures, setting)?;
    let [smooth, _] = generated(SMOOTH, Box::new(soft()), fixtures, setting)?;
    Ok(vec![
        setting.line_of_generation("hart, logits over the KV cache", logits),
        setting.line_of_generation("hart, greedy generation under CFG with the residual", greedy),
        setting.line_of_generation("hart, greedy generation without the residual", discrete),
        setting.line_of_generation("hart, generation of soft codes", smooth),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_noise_is_of_every_step_but_the_last() {
        let noise = Recorded::of(&Fixtures::compiled_in().open(SMOOTH).unwrap()).unwrap();
        assert_eq!(noise.residual.len(), 128 * 8 * STEPS);
        assert_eq!(noise.gumbel.iter().map(Vec::len).sum::<usize>(), 2 * 130 * 96);
    }
}
