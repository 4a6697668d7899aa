use std::path::Path;

use burn::tensor::{Device, Int, Tensor};
use nextscale_tokenizers::Tokenizer;

use super::TrainableTokenizer;
use crate::Result;
use crate::cache::{Kept, TokenSet};
use crate::config::TokenizerSettings;
use crate::data::{Dataset, View};
use crate::run::Options;

/// The half of a tokenizer that stays fixed if only the decoder is trained, with its tokens of every image.
pub struct Fixed<M> {
    tokenizer: M,
    tokens: TokenSet,
    /// Training images; the mirror image of image i has the tokens at i + images.
    images: usize,
}

impl<M: Tokenizer> Fixed<M> {
    /// The encoder and codes of `start`, outside of autodiff, and the tokens of the config's images, which
    /// are stored in the run's folder.
    ///
    /// # Errors
    /// Those of the file, and of writing the tokens.
    pub fn open(
        kind: &impl TrainableTokenizer<Model = M>,
        start: &Path,
        settings: &TokenizerSettings,
        data: &Dataset,
        options: &Options,
        device: &Device,
    ) -> Result<Self> {
        let tokenizer = kind.open(start, device)?;
        let kept = Kept::images(settings.flips);
        let tokens = TokenSet::of_run(options, (start, &tokenizer), (&settings.data, data), kept)?;
        Ok(Self { tokenizer, tokens, images: data.train.len() })
    }

    /// The tokens of every scale `[batch, h·w, slots]` of training images, mirrored if requested.
    pub fn tokens(&self, picks: &[(usize, View)], device: &Device) -> Vec<Tensor<3, Int>> {
        let rows: Vec<usize> =
            picks.iter().map(|&(i, view)| i + self.images * usize::from(view.mirrored)).collect();
        let all = self.tokens.train.batch(&rows, device);
        let schedule = self.tokenizer.schedule();
        let range = |k: usize| schedule.offset(k)..schedule.offset(k) + schedule.grid(k).positions();
        (0..schedule.len()).map(|k| all.clone().slice_dim(1, range(k))).collect()
    }

    /// The canvas of tokens as the decoder receives it in generation, `[batch, channels, h, w]`.
    ///
    /// # Errors
    /// If the tokens do not fit the schedule.
    pub fn canvas(
        &self,
        kind: &impl TrainableTokenizer<Model = M>,
        tokens: &[Tensor<3, Int>],
    ) -> Result<Tensor<4>> {
        kind.canvas(&self.tokenizer, tokens)
    }
}
