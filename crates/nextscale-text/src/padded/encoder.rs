use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use burn::tensor::Device;
use nextscale_files::Hash;
use nextscale_weights::WeightFile;

use super::{PaddedRows, PaddedTokenizer, PaddedTokens};
use crate::{
    Qwen2, Qwen2Config, Result, TextCache, Warning,
    qwen2::{Described, Read, rooted},
};

/// A language model and its vocabulary as an encoder of prompts of one length, with headers read but no
/// weights.
#[derive(Debug, Clone)]
pub struct PaddedEncoder {
    model: Qwen2,
    tokenizer: PaddedTokenizer,
    /// The tokens of the system prompt, which come before every prompt's.
    system: Vec<u32>,
    weights: String,
    fingerprint: String,
}

/// The rows of prompts, with warnings.
#[derive(Debug, Clone)]
pub struct PaddedEncoded {
    /// The rows of every prompt.
    pub rows: PaddedRows,
    /// In the order of the prompts.
    pub warnings: Vec<Warning>,
}

impl PaddedEncoder {
    /// Opens a language model, given as a file of weights, an index of shards or a folder with them, with the
    /// `config.json` beside it; and its vocabulary, a `tokenizer.json` or a folder with it. Prompts are
    /// padded and cut to `length` tokens. A system prompt, of as many tokens at most, comes before each in the
    /// model, and its rows are cut off again.
    ///
    /// # Errors
    /// If a file cannot be read or is of another kind, a tensor is missing, unexpected or misshapen, or the
    /// vocabulary belongs to another model.
    pub fn open(
        model: impl AsRef<Path>,
        tokenizer: impl AsRef<Path>,
        length: usize,
        system: Option<&str>,
    ) -> Result<Self> {
        let model = model.as_ref();
        let folder = if model.is_dir() { model } else { model.parent().unwrap_or(Path::new("")) };
        let tokenizer = PaddedTokenizer::open(tokenizer, length)?;
        let file = WeightFile::open(model)?;
        rooted(&file)?;
        let path = folder.join("config.json");
        let config = Qwen2Config::infer(&file, &Described::read(&path)?, &path)?;
        tokenizer.check_rows(config.vocabulary, file.label())?;
        let mut system = system.map(|text| tokenizer.bare(text)).transpose()?.unwrap_or_default();
        system.truncate(length);
        let model = Qwen2::new(&file, config)?;
        let mut hash = Hash::new();
        hash.update_part(file.fingerprint()?);
        hash.update_part(format!("{:?} {system:?}", model.config()));
        let weights = hash.short(12);
        hash.update_part(tokenizer.fingerprint()?);
        Ok(Self { model, tokenizer, system, weights, fingerprint: hash.short(12) })
    }

    /// The model's sizes.
    pub fn config(&self) -> &Qwen2Config {
        self.model.config()
    }

    /// Channels per row.
    pub fn width(&self) -> usize {
        self.model.config().width
    }

    /// The vocabulary.
    pub fn tokenizer(&self) -> &PaddedTokenizer {
        &self.tokenizer
    }

    /// Identifies this encoder with its vocabulary and its system prompt.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The file of weights, for messages.
    pub fn label(&self) -> &str {
        self.model.file().label()
    }

    /// The rows of prompts. Reads the weights, layer by layer, if a prompt is not in the cache. Equal prompts
    /// are encoded once, and no row depends on other prompts. `progress` receives the number of layers done,
    /// and their total.
    ///
    /// # Errors
    /// If a prompt cannot be tokenised, or the weights cannot be read.
    pub fn encode<S: AsRef<str>>(
        &self,
        prompts: &[S],
        device: &Device,
        cache: Option<&TextCache>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<PaddedEncoded> {
        let mut warnings = Vec::new();
        let mut seen = BTreeSet::new();
        let mut asked = BTreeMap::<Vec<u32>, (PaddedTokens, Vec<&str>)>::new();
        for (index, prompt) in prompts.iter().map(AsRef::as_ref).enumerate() {
            if !seen.insert(prompt) {
                continue;
            }
            let tokens = self.tokenizer.tokens(prompt)?;
            if tokens.untruncated > tokens.ids.len() {
                let tokens = tokens.untruncated;
                warnings.push(Warning::Cut {
                    index,
                    prompt: prompt.into(),
                    tokens,
                    most: self.tokenizer.length(),
                });
            }
            asked.entry(tokens.ids.clone()).or_insert((tokens, Vec::new())).1.push(prompt);
        }
        let mut rows = PaddedRows::new(self.tokenizer.length(), self.width());
        let mut missing = Vec::new();
        for (tokens, prompts) in asked.into_values() {
            match cache.and_then(|cache| cache.get(&self.weights, &tokens.ids, self.width())) {
                Some(values) => keep(&mut rows, &tokens, &prompts, values),
                None => missing.push((tokens, prompts)),
            }
        }
        let encoded = if missing.is_empty() { Vec::new() } else { self.run(&missing, device, progress)? };
        let mut kept = cache;
        for ((tokens, prompts), values) in missing.into_iter().zip(encoded) {
            let failed =
                kept.and_then(|cache| cache.put(&self.weights, prompts[0], &tokens.ids, &values).err());
            if let Some(detail) = failed {
                // Only once: a full disk refuses all of them.
                warnings.push(Warning::NotKept { detail });
                kept = None;
            }
            keep(&mut rows, &tokens, &prompts, values);
        }
        Ok(PaddedEncoded { rows, warnings })
    }

    /// The rows of texts behind the system prompt.
    fn run(
        &self,
        asked: &[(PaddedTokens, Vec<&str>)],
        device: &Device,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Vec<Vec<f32>>> {
        let before = self.system.len();
        let whole: Vec<(Vec<u32>, Vec<bool>)> = asked
            .iter()
            .map(|(tokens, _)| {
                let own = std::iter::repeat_n(true, before).chain(tokens.own.iter().copied()).collect();
                ([&self.system[..], &tokens.ids].concat(), own)
            })
            .collect();
        let texts: Vec<Read<'_>> = whole.iter().map(|(tokens, own)| Read { tokens, own }).collect();
        let depth = self.config().depth;
        let states = self.model.encode(&texts, device, &mut |done| progress(done, depth))?;
        Ok(states.into_iter().map(|mut rows| rows.split_off(before * self.width())).collect())
    }
}

/// Files rows under all prompts that have these tokens.
fn keep(rows: &mut PaddedRows, tokens: &PaddedTokens, prompts: &[&str], values: Vec<f32>) {
    let values = Arc::new(values);
    prompts.iter().for_each(|&prompt| rows.insert(prompt.into(), values.clone(), tokens.own.clone()));
}
