//! nextscale's side, in a process of its own so that its memory is its own.

use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use nextscale::config::Document;
use nextscale::core::Condition;
use nextscale::core::noise::Counter;
use nextscale::generate::observe::{Part, Times};
use nextscale::pipeline::device::DeviceChoice;
use nextscale::pipeline::run::peak_memory;
use nextscale::pipeline::{Batch, Config, Generator, LoadOptions, Model, Prepared, Registry, Stop, images};
use serde::Serialize;

use crate::protocol::{Answer, GUIDANCES, Ready, Seconds};
use crate::weights::Files;
use crate::{Args, Result};

/// Loads, says so, and makes a batch for every line `GUIDANCE SEED` on standard input until it ends.
pub fn serve(args: &Args, files: &Files) -> Result<()> {
    let imported_bytes = peak_memory();
    let begin = Instant::now();
    let document = Document::parse("vs_torch.ron", &config(files, args.batch))?;
    let prepared = Config::from_node(&document, Path::new(""), &Registry::standard())?.prepare()?;
    let device = DeviceChoice::Cpu.open()?;
    let options = LoadOptions { dtype: args.dtype, ..LoadOptions::new(&device) };
    let model = prepared.model.load(&options)?;
    let load_seconds = begin.elapsed().as_secs_f64();
    say(&Ready { load_seconds, threads: args.threads, imported_bytes })?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (guidance, seed) = line.split_once(' ').ok_or_else(|| format!("{line:?} is no request"))?;
        say(&batch(&prepared, &model, guidance, seed.parse()?)?)?;
    }
    Ok(())
}

/// A run of every guidance; the labels are those of the other side.
fn config(files: &Files, batch: usize) -> String {
    let labels: Vec<usize> = (0..batch).map(|image| (207 + image) % 1000).collect();
    let rules: Vec<String> = GUIDANCES.iter().map(|(name, rule)| format!("({name:?}, {rule})")).collect();
    format!(
        "(model: Var(tokenizer: {:?}, backbone: {:?}), condition: Labels({labels:?}), variants: [{}], \
         sampling: TopKTopP(top_k: 900, top_p: 0.96), batch: {batch})",
        files.tokenizer,
        files.backbone,
        rules.join(", ")
    )
}

fn batch(prepared: &Prepared, model: &Model, guidance: &str, seed: u64) -> Result<Answer> {
    let config = &prepared.config;
    let method = config.methods.iter().find(|method| method.name.as_deref() == Some(guidance));
    let rule = &method.ok_or_else(|| format!("no guidance is called {guidance:?}"))?.rule;
    let conditions: &[Condition] = &prepared.conditions;
    let numbers: Vec<u64> = (0..conditions.len() as u64).collect();

    let begin = Instant::now();
    let sampler = Arc::clone(&config.sampler);
    let generator = Generator::new(model.clone(), Arc::clone(rule), sampler, Arc::new(Counter::new(seed)))?;
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

fn say(answer: &impl Serialize) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(answer)?)?;
    Ok(out.flush()?)
}
