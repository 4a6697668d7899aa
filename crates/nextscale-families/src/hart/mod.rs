//! HART (Tang et al., arXiv 2410.10812): a hybrid multi-scale tokenizer, and a transformer over its codes with
//! a diffusion head for the continuous residual, conditioned on texts.

mod files;
mod memory;
mod open;
mod random;
mod texts;

pub use files::{HartFiles, LanguageModel};

use std::path::Path;
use std::sync::Arc;

use burn::tensor::Device;
use nextscale_backbones::hart::HartConfig;
use nextscale_config::settings::Entry;
use nextscale_tokenizers::Tokenizer;
use nextscale_tokenizers::hybrid::HybridVq;
use nextscale_weights::WeightFile;

use crate::{ModelFamily, ModelSource, OpenModel, Result};

/// The family.
#[derive(Debug, Clone, Copy, Default)]
pub struct HartFamily;

impl ModelFamily for HartFamily {
    fn entry(&self) -> Entry<dyn ModelSource> {
        Entry::of(|files: HartFiles| Arc::new(files) as Arc<dyn ModelSource>)
    }

    fn recognise(&self, file: &WeightFile) -> Option<Result<String, String>> {
        if HartConfig::is_of(file) {
            Some(transformer(file).map_err(|error| error.to_string()))
        } else if HybridVq::is_of(file) {
            Some(tokenizer(file).map_err(|error| error.to_string()))
        } else {
            None
        }
    }

    fn has_backbone(&self, file: &WeightFile) -> bool {
        HartConfig::is_of(file)
    }

    fn marks(&self) -> Vec<String> {
        vec![
            "HART's transformer (`context_embed.weight`)".into(),
            "its tokenizer (`vae.quantize.embedding.weight`)".into(),
        ]
    }

    fn random(&self, sizes: &str) -> Option<Result<Arc<dyn OpenModel>>> {
        random::Sizes::read(sizes)
            .map(|sizes| sizes.and_then(|sizes| Ok(Arc::new(sizes.open()?) as Arc<dyn OpenModel>)))
    }

    fn tokenizer(
        &self,
        file: &WeightFile,
        _image: (usize, usize),
        device: &Device,
    ) -> Option<Result<Arc<dyn Tokenizer>>> {
        let load = || {
            // A published file states no scales; the folder that it is part of does.
            if file.metadata().contains_key("scales") {
                return Ok(Arc::new(HybridVq::load_own(file, device)?) as Arc<dyn Tokenizer>);
            }
            let said = files::DescribedTokenizer::beside(Path::new(file.label()))?;
            let config = said.checked(HybridVq::infer(file, None)?, file)?;
            let scales = said.scales(file)?;
            Ok(Arc::new(HybridVq::load(file, config, scales, true, device)?) as Arc<dyn Tokenizer>)
        };
        HybridVq::is_of(file).then(load)
    }
}

fn transformer(file: &WeightFile) -> Result<String> {
    let described = files::described_beside(Path::new(file.label()))?;
    let config = HartConfig::infer(file, described.as_ref(), None)?;
    let rooted = HartConfig::rooted(file)?;
    config.expected().check(&rooted)?;
    rooted.verify()?;
    Ok(format!(
        "A HART transformer that can be used: {}\n{}",
        sizes(&config),
        memory::OfAnImage::of(&config, files::tokenizer_of(Path::new(file.label())).as_ref()).words()
    ))
}

/// A transformer's sizes in words.
fn sizes(config: &HartConfig) -> String {
    let head = match config.residual {
        Some(head) => format!("a diffusion head of {} blocks of width {}", head.depth, head.width),
        None => "no diffusion head".into(),
    };
    let HartConfig { depth, width, heads, context, text_width, .. } = *config;
    format!(
        "depth {depth}, width {width}, {heads} heads, {} codes of {} channels, texts of {context} rows of {text_width} channels, \
         {head}, scales {}",
        config.vocabulary, config.feature_channels, config.schedule
    )
}

fn tokenizer(file: &WeightFile) -> Result<String> {
    let said = files::DescribedTokenizer::beside(Path::new(file.label()))?;
    let config = said.checked(HybridVq::infer(file, None)?, file)?;
    let scales = match file.metadata().contains_key("scales") {
        true => None,
        false => said.scales(file).ok(),
    };
    let any = nextscale_core::ScaleSchedule::square(&[1])?;
    HybridVq::check_file(file, &config, scales.as_ref().unwrap_or(&any), false)?;
    file.verify()?;
    let scales = scales.map_or(String::new(), |scales| format!(", scales {scales}"));
    Ok(format!(
        "A hybrid multi-scale tokenizer that can be used: {} channels times {:?}, {} codes of {} channels and a continuous \
         residual, {} pixels per latent{scales}",
        config.channels,
        config.multipliers,
        config.vocabulary,
        config.latent_channels,
        config.reduction()
    ))
}
