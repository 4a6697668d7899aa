use std::path::Path;

use burn::tensor::{Device, Int, Tensor};
use nextscale_tokenizers::Tokenizer;
use nextscale_tokenizers::vq::MultiScaleVq;

use super::begin_from;
use crate::cache::{Kept, TokenSet};
use crate::config::TrainTokenizer;
use crate::data::{Dataset, View};
use crate::run::Options;
use crate::{Error, Result};

/// The half of a tokenizer that stays where the decoder alone is trained, and what it makes of every image.
pub struct Fixed {
    tokenizer: MultiScaleVq,
    tokens: TokenSet,
    /// Training images; the mirror image of image i has the tokens i + images.
    images: usize,
}

impl Fixed {
    /// The encoder and codes of `start`, outside of autodiff, and the tokens of the config's images, which the run's folder
    /// keeps.
    ///
    /// # Errors
    /// Those of the file, and of writing the tokens.
    pub fn open(
        start: &Path,
        config: &TrainTokenizer,
        data: &Dataset,
        options: &Options,
        device: &Device,
    ) -> Result<Self> {
        let tokenizer = begin_from(start, config, device)?;
        let tokens =
            TokenSet::of_run(options, (start, &tokenizer), (&config.data, data), Kept::images(config.flips))?;
        Ok(Self { tokenizer, tokens, images: data.train.len() })
    }

    /// The tokens of every scale `[batch, h·w]` of training images, mirrored where asked.
    pub fn tokens(&self, picks: &[(usize, View)], device: &Device) -> Vec<Tensor<2, Int>> {
        let rows: Vec<usize> =
            picks.iter().map(|&(i, view)| i + self.images * usize::from(view.mirrored)).collect();
        let all = self.tokens.train.batch(&rows, device);
        let schedule = self.tokenizer.schedule();
        let range = |k: usize| schedule.offset(k)..schedule.offset(k) + schedule.grid(k).positions();
        (0..schedule.len()).map(|k| all.clone().slice_dim(1, range(k)).squeeze_dim(2)).collect()
    }

    /// The canvas of tokens as the decoder finds it in generation, `[batch, channels, h, w]`.
    ///
    /// # Errors
    /// If the tokens do not fit the schedule.
    pub fn canvas(&self, tokens: &[Tensor<2, Int>]) -> Result<Tensor<4>> {
        canvas(&self.tokenizer, tokens)
    }
}

/// The canvas after the last scale, `[batch, channels, h, w]`.
pub fn canvas(tokenizer: &MultiScaleVq, tokens: &[Tensor<2, Int>]) -> Result<Tensor<4>> {
    let canvas = tokenizer.pyramid(tokens)?.pop();
    canvas.ok_or_else(|| Error::setting("scales", "an empty schedule"))
}
