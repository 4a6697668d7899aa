//! nextscale's side, in its own process so that its memory is its own.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use nextscale::backbones::hart::{Hart, HartConfig};
use nextscale::backbones::infinity::{Infinity, InfinityConfig};
use nextscale::backbones::{PaddedText, PaddedTextConditioner, TextConditioner};
use nextscale::burn::tensor::{Device, Tensor};
use nextscale::config::Document;
use nextscale::core::noise::Counter;
use nextscale::core::{Condition, Dtype};
use nextscale::generate::observe::{Part, Times};
use nextscale::generate::sampler::Sampler;
use nextscale::guidance::Guidance;
use nextscale::pipeline::run::peak_memory;
use nextscale::pipeline::{Batch, Config, Generator, LoadOptions, Model, Registry, Stop, images};
use nextscale::tokenizers::bitwise::{BsqVaeConfig, MultiScaleBsq};
use nextscale::tokenizers::hybrid::HybridVq;
use nextscale::weights::WeightFile;
use serde::Serialize;

use crate::protocol::{Answer, GUIDANCES, INFINITY_GUIDANCES, Ready, Seconds};
use crate::weights::{Family, Files, TEXT};
use crate::{Args, Result};

/// Loads, reports it, and generates a batch for every line `GUIDANCE SEED` on standard input until it ends.
pub fn serve(args: &Args, files: &Files) -> Result<()> {
    let imported_bytes = peak_memory();
    let begin = Instant::now();
    let device = args.device.open()?;
    let served = match files.family {
        Family::Var(_) => Served::var(files, args.batch, args.dtype, &device)?,
        Family::Infinity => Served::infinity(files, args.batch, args.dtype, &device)?,
        Family::Hart => Served::hart(files, args.batch, args.dtype, &device)?,
    };
    let load_seconds = begin.elapsed().as_secs_f64();
    say(&Ready { load_seconds, threads: args.threads, imported_bytes })?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (guidance, seed) = line.split_once(' ').ok_or_else(|| format!("{line:?} is not a request"))?;
        say(&served.batch(guidance, seed.parse()?)?)?;
    }
    Ok(())
}

/// A loaded model with its requests.
struct Served {
    model: Model,
    conditions: Vec<Condition>,
    rules: BTreeMap<String, Arc<dyn Guidance>>,
    sampler: Arc<dyn Sampler>,
}

impl Served {
    /// VAR with labels, which are the same as on the other side.
    fn var(files: &Files, batch: usize, dtype: Dtype, device: &Device) -> Result<Self> {
        let labels: Vec<usize> = (0..batch).map(|image| (207 + image) % 1000).collect();
        let rules: Vec<String> = GUIDANCES.iter().map(|(name, rule)| format!("({name:?}, {rule})")).collect();
        let config = format!(
            "(model: Var(tokenizer: {:?}, backbone: {:?}), condition: Labels({labels:?}), variants: [{}], \
             sampling: TopKTopP(top_k: 900, top_p: 0.96), batch: {batch})",
            files.tokenizer,
            files.backbone,
            rules.join(", ")
        );
        let document = Document::parse("vs_torch.ron", &config)?;
        let prepared = Config::from_node(&document, Path::new(""), &Registry::standard())?.prepare()?;
        let model = prepared.load(&LoadOptions { dtype, ..LoadOptions::new(device) })?;
        let methods = prepared.config.methods.iter();
        let named = methods.filter_map(|method| Some((method.name.clone()?, Arc::clone(&method.rule))));
        Ok(Self {
            model,
            conditions: prepared.conditions.clone(),
            rules: named.collect(),
            sampler: Arc::clone(&prepared.config.sampler),
        })
    }

    /// Infinity on the first texts of the file, which need no encoder.
    fn infinity(files: &Files, batch: usize, dtype: Dtype, device: &Device) -> Result<Self> {
        let (rules, sampler) = read(&INFINITY_GUIDANCES, "TopKTopP(top_p: 0.97, temperature: 0.5)")?;

        let file = WeightFile::open(&files.backbone)?;
        let config = InfinityConfig::infer(&file, None)?;
        let backbone = Infinity::load_to_generate(&file, &config, device, dtype)?;
        let file = WeightFile::open(&files.tokenizer)?;
        let sizes = BsqVaeConfig::infer(&file, None)?;
        let patches = config.patchifies(sizes.bits)?;
        let tokenizer = MultiScaleBsq::load(&file, sizes, config.schedule.clone(), patches, false, device)?;
        let conditioner = TextConditioner::new(backbone.null_text(), texts(files, batch, device)?)?;
        let model =
            Model::new(Arc::new(tokenizer.decoding_in(dtype)), Arc::new(backbone), Arc::new(conditioner))?;
        let conditions = (0..batch).map(|i| Condition::Prompt(i.to_string())).collect();
        Ok(Self { model, conditions, rules, sampler })
    }

    /// HART on the first texts of the file, none of which is padding.
    fn hart(files: &Files, batch: usize, dtype: Dtype, device: &Device) -> Result<Self> {
        let (rules, sampler) = read(&GUIDANCES, "TopKTopP(top_k: 900, top_p: 0.96)")?;
        let file = WeightFile::open(&files.backbone)?;
        let config = HartConfig::infer(&file, None, None)?;
        let backbone = Hart::load_to_generate(&file, &config, device, dtype)?;
        let file = WeightFile::open(&files.tokenizer)?;
        let sizes = HybridVq::infer(&file, None)?;
        let tokenizer = HybridVq::load(&file, sizes, config.schedule.clone(), false, device)?;
        let padded = texts(files, batch, device)?.into_iter().map(|(name, values)| {
            let mask = vec![true; config.context];
            (name, PaddedText { values, mask })
        });
        let shape = [config.context, config.text_width];
        let conditioner = PaddedTextConditioner::new(shape, padded, device)?;
        let model =
            Model::new(Arc::new(tokenizer.decoding_in(dtype)), Arc::new(backbone), Arc::new(conditioner))?;
        let conditions = (0..batch).map(|i| Condition::Prompt(i.to_string())).collect();
        Ok(Self { model, conditions, rules, sampler })
    }

    fn batch(&self, guidance: &str, seed: u64) -> Result<Answer> {
        let rule = self.rules.get(guidance).ok_or_else(|| format!("no guidance is called {guidance:?}"))?;
        let conditions = &*self.conditions;
        let numbers: Vec<u64> = (0..conditions.len() as u64).collect();

        let begin = Instant::now();
        let (rule, sampler) = (Arc::clone(rule), Arc::clone(&self.sampler));
        let generator = Generator::new(self.model.clone(), rule, sampler, Arc::new(Counter::new(seed)))?;
        let mut times = Times::default();
        let pixels = generator.batch(Batch { images: &numbers, conditions }, &mut times, &Stop::new())?;
        let reading = Instant::now();
        drop(images::to_pictures(pixels)?);
        times.add(Part::Decoding, reading.elapsed());
        let total = begin.elapsed().as_secs_f64();

        let part = |part| times.get(part).as_secs_f64();
        let seconds = Seconds {
            total,
            transformer: part(Part::Backbone),
            guidance: part(Part::Guidance),
            sampling: part(Part::Sampling),
            canvas: part(Part::Canvas),
            decode: part(Part::Decoding),
        };
        Ok(Answer { seconds, peak_bytes: peak_memory() })
    }
}

type Rules = BTreeMap<String, Arc<dyn Guidance>>;

/// Rules by name, and a sampler.
fn read(guidances: &[(&str, &str)], sampler: &str) -> Result<(Rules, Arc<dyn Sampler>)> {
    let registry = Registry::standard();
    let read = |rule: &str| Document::parse("vs_torch.ron", rule);
    let rules = guidances
        .iter()
        .map(|(name, rule)| Ok(((*name).to_owned(), registry.rule(&read(rule)?)?.value)) as Result<_>);
    Ok((rules.collect::<Result<_>>()?, registry.sampler(&read(sampler)?)?.value))
}

/// The rows of the first texts of the file, by number.
fn texts(files: &Files, batch: usize, device: &Device) -> Result<Vec<(String, Tensor<2>)>> {
    let texts = files.text.as_ref().ok_or("there is no file of texts")?;
    let texts: Tensor<3> = WeightFile::open(texts)?.tensor(TEXT, device)?;
    let [count, ..] = texts.dims();
    if batch > count {
        return Err(format!("there are texts for {count} images at once, and not for {batch}").into());
    }
    let of = |i: usize| (i.to_string(), texts.clone().slice_dim(0, i..i + 1).squeeze_dim::<2>(0));
    Ok((0..batch).map(of).collect())
}

fn say(answer: &impl Serialize) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(answer)?)?;
    Ok(out.flush()?)
}
