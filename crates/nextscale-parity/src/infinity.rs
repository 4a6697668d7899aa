//! Infinity, on text embeddings recorded from upstream: the transformer's logits, and the greedy
//! loop from texts to images.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor};
use nextscale_backbones::infinity::{Infinity, InfinityConfig};
use nextscale_backbones::{Backbone, Conditioner, TextConditioner, prepare};
use nextscale_core::noise::Counter;
use nextscale_core::{Condition, Dtype, Error as CoreError, PassCondition, PassPlan, Passes, ScaleSchedule};
use nextscale_generate::observe::{Observer, Seen};
use nextscale_generate::sampler::Argmax;
use nextscale_guidance::{Cfg, Strength};
use nextscale_pipeline::{Batch, Generator, Model, Result, Stop};
use nextscale_tokenizers::bitwise::{BsqVaeConfig, MultiScaleBsq};

use crate::following::Following;
use crate::{Fixture, Fixtures, Gap, Line, Setting};

const REFERENCE: &str = "infinity/base/reference.safetensors";
const TAUGHT: &str = "infinity/base/reference_vae_train.safetensors";

/// The recorded model and its conditions.
struct Given {
    tokenizer: MultiScaleBsq,
    backbone: Infinity,
    conditioner: TextConditioner,
    conditions: Vec<Condition>,
}

impl Given {
    fn open(dtype: Dtype, fixtures: &Fixtures, device: &Device) -> Result<Self> {
        let open = |name: &str| fixtures.open(&format!("infinity/base/{name}.safetensors"));
        let (vae, transformer, reference) = (open("vae")?, open("infinity")?, open("reference")?);
        let schedule = ScaleSchedule::square(&[1, 2, 4, 6, 8])?;
        let config = BsqVaeConfig::infer(vae.file(), None)?;
        let tokenizer = MultiScaleBsq::load(vae.file(), config, schedule.clone(), false, true, device)?;
        let tokenizer = tokenizer.decoding_in(dtype);
        let config = InfinityConfig::infer(transformer.file(), Some(&schedule))?;
        let backbone = match dtype {
            // Not laid out for generation: the files' own numbers.
            Dtype::F32 => Infinity::load(transformer.file(), &config, device)?,
            _ => Infinity::load_to_generate(transformer.file(), &config, device, dtype)?,
        };
        // Texts of different lengths, concatenated.
        let lengths = reference.integers::<1>("text_lens")?;
        let (texts, mut from) = (reference.tensor::<2>("text", device)?, 0);
        let rows: Vec<(String, Tensor<2>)> = lengths
            .into_iter()
            .enumerate()
            .map(|(image, length)| {
                let own = texts.clone().slice_dim(0, from..from + length as usize);
                from += length as usize;
                (format!("text {image}"), own)
            })
            .collect();
        let conditions = rows.iter().map(|(text, _)| Condition::Prompt(text.clone())).collect();
        let conditioner = TextConditioner::new(backbone.null_text(), rows)?;
        Ok(Self { tokenizer, backbone, conditioner, conditions })
    }
}

/// Teacher-forced logits, without and with flipped bits.
fn teacher_forced(given: &Given, fixtures: &Fixtures, device: &Device) -> Result<Gap> {
    let taught = fixtures.open(TAUGHT)?;
    let rows = given.conditioner.rows(&given.conditions, PassCondition::Given)?;
    let mut gap = Gap::default();
    for part in ["tf", "bsc"] {
        let features: Tensor<3> = taught.tensor(&format!("{part}.x_wo_prefix"), device)?;
        gap.add(&given.backbone.logits(features, &rows)?, &taught, &format!("{part}.logits"))?;
    }
    Ok(gap)
}

/// Both passes' logits with the KV cache, given the inputs scale by scale.
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
            _ => Some(reference.tensor(&format!("next_in.{k}"), device)?),
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

/// Compares canvases and images as they come.
struct Watch {
    reference: Fixture,
    gap: Gap,
}

impl Observer for Watch {
    fn scale(&mut self, seen: &Seen<'_>) -> nextscale_generate::Result<()> {
        let name = format!("summed.{}", seen.scale);
        Ok(self.gap.add(&seen.canvas.features, &self.reference, &name)?)
    }

    fn images(&mut self, images: &Tensor<4>) -> nextscale_generate::Result<()> {
        let images = images.clone() * 2.0 - 1.0;
        Ok(self.gap.add(&images, &self.reference, "vae_dec_out")?)
    }
}

/// The greedy loop under CFG: its canvases and images, and its bits.
fn generated(given: Given, fixtures: &Fixtures, device: &Device) -> Result<Gap> {
    let reference = fixtures.open(REFERENCE)?;
    let Given { tokenizer, backbone, conditioner, conditions } = given;
    let schedule = Backbone::schedule(&backbone).clone();
    let recorded = |k: usize| -> Result<Tensor<3, Int>> {
        let bits: Tensor<5, Int> = reference.file().int_tensor(&format!("bits.{k}"), device)?;
        let [batch, _, height, width, channels] = bits.dims();
        Ok(bits.reshape([batch, height * width, channels]))
    };
    let recorded = (0..schedule.len()).map(recorded).collect::<Result<Vec<_>>>()?;
    let following = Arc::new(Following::new(Box::new(Argmax), recorded));
    let weights = reference.floats("cfg_list")?.into_iter().map(f64::from).collect();
    let rule = Arc::new(Cfg::weight(Strength::List(weights))?);
    let model = Model::new(Arc::new(tokenizer), Arc::new(backbone), Arc::new(conditioner))?;
    let generator = Generator::new(model, rule, following.clone(), Arc::new(Counter::new(0)))?;
    let images: Vec<u64> = (0..conditions.len() as u64).collect();
    let mut watch = Watch { reference, gap: Gap::default() };
    generator.batch(Batch { images: &images, conditions: &conditions }, &mut watch, &Stop::new())?;
    let Watch { reference, mut gap } = watch;
    following.compare(|k, drawn| {
        let name = format!("bits.{k}");
        gap.add_integers(drawn, &reference.integers::<5>(&name)?, &name)
    })?;
    Ok(gap)
}

/// Three lines, always from the compiled-in files, even if VAR's come from a folder.
pub fn lines(setting: &Setting<'_>) -> Result<Vec<Line>> {
    let (device, fixtures) = (setting.device, &setting.fixtures.without_folder());
    setting.dtype.check(device)?;
    let given = Given::open(setting.dtype, fixtures, device)?;
    Ok(vec![
        setting
            .line_of_generation("infinity, teacher-forced logits", teacher_forced(&given, fixtures, device)?),
        setting.line_of_generation("infinity, logits over the KV cache", cached(&given, fixtures, device)?),
        setting
            .line_of_generation("infinity, greedy generation under CFG", generated(given, fixtures, device)?),
    ])
}
