use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use burn::tensor::Device;
use nextscale_core::ConditionRows;
use nextscale_files::Hash;
use nextscale_weights::WeightFile;

use crate::{
    PromptTokenizer, Result, T5, T5Config, TextCache, TextRows, Tokens, Warning,
    t5::{Described, check},
};

/// The most tokens encoded at once: enough for products at full speed.
const TOKENS: usize = 2048;
/// The largest attention scores of a block at once, 128 MiB.
const SCORES: usize = 1 << 25;

/// A text encoder and its vocabulary, with headers read but no weights.
#[derive(Debug, Clone)]
pub struct TextEncoder {
    file: WeightFile,
    config: T5Config,
    tokenizer: PromptTokenizer,
    weights: String,
    fingerprint: String,
}

/// The rows of prompts, with warnings.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// The rows of every prompt.
    pub rows: TextRows,
    /// In the order of the prompts.
    pub warnings: Vec<Warning>,
}

impl TextEncoder {
    /// Opens an encoder, given as a file of weights, an index of shards or a folder with them, and the
    /// `config.json` beside it if there is one; and its vocabulary, a `tokenizer.json` or `spiece.model`.
    ///
    /// # Errors
    /// If a file cannot be read or is of another kind, a tensor is missing, unexpected or misshapen, or the
    /// vocabulary belongs to another encoder.
    pub fn open(encoder: impl AsRef<Path>, tokenizer: impl AsRef<Path>) -> Result<Self> {
        let encoder = encoder.as_ref();
        let tokenizer = PromptTokenizer::open(tokenizer)?;
        let folder = if encoder.is_dir() { encoder } else { encoder.parent().unwrap_or(Path::new("")) };
        let config = folder.join("config.json");
        let described = Described::read(&config)?;
        let file = WeightFile::open(encoder)?;
        let mut sizes = T5Config::infer(&file)?;
        if let Some(described) = &described {
            sizes = sizes.described(described, &config)?;
        }
        let end = described.map_or(tokenizer.end(), |described| described.end());
        Self::new(file, sizes, tokenizer, end)
    }

    /// An encoder from an open file and vocabulary, for instance compiled in.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn of(file: WeightFile, tokenizer: PromptTokenizer) -> Result<Self> {
        let sizes = T5Config::infer(&file)?;
        let end = tokenizer.end();
        Self::new(file, sizes, tokenizer, end)
    }

    fn new(file: WeightFile, config: T5Config, tokenizer: PromptTokenizer, end: u32) -> Result<Self> {
        check(&file, &config)?;
        tokenizer.check_rows(config.vocabulary, end, file.label())?;
        let mut hash = Hash::new();
        hash.update_part(file.fingerprint()?);
        hash.update_part(format!("{config:?}"));
        let weights = hash.short(12);
        hash.update_part(tokenizer.fingerprint()?);
        Ok(Self { file, config, tokenizer, weights, fingerprint: hash.short(12) })
    }

    /// The encoder's sizes.
    pub fn config(&self) -> &T5Config {
        &self.config
    }

    /// Channels per row.
    pub fn width(&self) -> usize {
        self.config.width
    }

    /// The vocabulary.
    pub fn tokenizer(&self) -> &PromptTokenizer {
        &self.tokenizer
    }

    /// Identifies this encoder with its vocabulary.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// A short name for reports.
    pub fn describe(&self) -> String {
        let T5Config { depth, width, heads, vocabulary, .. } = self.config;
        format!("T5 encoder of {depth} blocks, width {width}, {heads} heads, {vocabulary} tokens")
    }

    /// Loads the weights for encoding only.
    ///
    /// # Errors
    /// If the file can no longer be read.
    pub fn load(&self, device: &Device) -> Result<T5> {
        T5::load_to_encode(&self.file, &self.config, device)
    }

    /// The rows of prompts. Loads the weights if a prompt is not in the cache, and frees them at the end.
    /// Equal prompts are encoded once. Prompts of equal length are encoded together, so that there is no
    /// padding and no row depends on other prompts. `progress` receives the number of uncached prompts
    /// encoded so far, and their total.
    ///
    /// # Errors
    /// If a prompt cannot be tokenised, or the weights cannot be read.
    pub fn encode<S: AsRef<str>>(
        &self,
        prompts: &[S],
        device: &Device,
        cache: Option<&TextCache>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Encoded> {
        let mut warnings = Vec::new();
        let mut seen = BTreeSet::new();
        // By tokens: the same tokens have the same rows.
        let mut asked = BTreeMap::<Vec<u32>, Vec<&str>>::new();
        for (index, prompt) in prompts.iter().map(AsRef::as_ref).enumerate() {
            if !seen.insert(prompt) {
                continue;
            }
            let tokens = self.tokenizer.tokens(prompt)?;
            warnings.extend(warnings_of(index, prompt, &tokens));
            asked.entry(tokens.ids).or_default().push(prompt);
        }
        let mut rows = TextRows::new(self.width());
        let mut keep = |prompts: &[&str], values: Vec<f32>| {
            let values = Arc::new(values);
            prompts.iter().for_each(|&prompt| rows.insert(prompt.into(), values.clone()));
        };
        let mut by_length = BTreeMap::<usize, Vec<(Vec<u32>, Vec<&str>)>>::new();
        for (tokens, prompts) in asked {
            match cache.and_then(|cache| cache.get(&self.weights, &tokens, self.width())) {
                Some(values) => keep(&prompts, values),
                None => by_length.entry(tokens.len()).or_default().push((tokens, prompts)),
            }
        }
        let all = by_length.values().map(Vec::len).sum();
        if all > 0 {
            let model = self.load(device)?;
            let (mut done, mut kept) = (0, cache);
            progress(done, all);
            for (length, alike) in by_length {
                let scores = self.config.heads * length * length;
                let batch = (TOKENS / length).min(SCORES / scores).max(1);
                for batch in alike.chunks(batch) {
                    let tokens: Vec<&[u32]> = batch.iter().map(|(tokens, _)| tokens.as_slice()).collect();
                    let encoded = encode_alike(&model, &tokens)?;
                    for ((tokens, prompts), values) in batch.iter().zip(encoded) {
                        let failed = kept
                            .and_then(|cache| cache.put(&self.weights, prompts[0], tokens, &values).err());
                        if let Some(detail) = failed {
                            // Only once: a full disk refuses all of them.
                            warnings.push(Warning::NotKept { detail });
                            kept = None;
                        }
                        keep(prompts, values);
                    }
                    done += batch.len();
                    progress(done, all);
                }
            }
        }
        Ok(Encoded { rows, warnings })
    }
}

fn warnings_of(index: usize, prompt: &str, tokens: &Tokens) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if tokens.untruncated > tokens.ids.len() {
        warnings.push(Warning::Truncated { index, prompt: prompt.into(), tokens: tokens.untruncated });
    }
    if tokens.ids.len() == 1 {
        warnings.push(Warning::Empty { index });
    }
    if !tokens.unknown.is_empty() {
        warnings.push(Warning::Unknown { index, prompt: prompt.into(), parts: tokens.unknown.clone() });
    }
    warnings
}

/// The rows of prompts with the same number of tokens.
fn encode_alike(model: &T5, prompts: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
    let ConditionRows::Embeddings { values, .. } = model.rows(prompts)? else {
        unreachable!("the rows of texts are embeddings")
    };
    let values: Vec<f32> = values.into_data().iter::<f32>().collect();
    Ok(values.chunks_exact(values.len() / prompts.len()).map(<[f32]>::to_vec).collect())
}
