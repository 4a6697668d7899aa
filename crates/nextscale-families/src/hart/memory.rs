//! What a model takes of the memory, before it does.

use nextscale_backbones::hart::HartConfig;
use nextscale_core::ScaleSchedule;
use nextscale_core::memory::{of_f32, total};
use nextscale_tokenizers::vq::VqvaeConfig;

use crate::need::{FEATURES, Need, PASSES, gigabytes};

/// An estimate of the bytes that one image takes under classifier-free guidance, in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OfAnImage {
    /// Of transformer and tokenizer.
    pub need: Need,
    /// Height and width in pixels.
    pub image: (usize, usize),
    /// Whether the tokenizer is the published one, for want of the model's own.
    pub published: bool,
}

/// Maps of logits at the last scale: both passes', the guided one's and what a rule makes on the way.
const MAPS: usize = 5;

impl OfAnImage {
    /// Of a model with this tokenizer, by default the published one.
    pub fn of(config: &HartConfig, tokenizer: Option<&VqvaeConfig>) -> Self {
        let published = tokenizer.is_none();
        let known = VqvaeConfig::published();
        let tokenizer = tokenizer.unwrap_or(&known);
        let schedule: &ScaleSchedule = &config.schedule;
        let last = schedule.last();
        let (height, width) = tokenizer.image_size(last);
        let positions = last.positions();
        let HartConfig { width: channels, hidden, vocabulary, .. } = *config;
        // A block's output and its input, queries, keys and values; or both halves of its MLP.
        let per_token = 2 * channels + (4 * channels).max(2 * hidden);
        let need = Need {
            weights: config.parameters().saturating_add(tokenizer.layout().weights()).saturating_mul(4),
            cache: config.cache_bytes().saturating_mul(PASSES as u128),
            step: of_f32(&[PASSES, positions, per_token]) + of_f32(&[MAPS, positions, vocabulary]),
            decoding: of_f32(&[FEATURES, tokenizer.channels, height, width]),
        };
        Self { need, image: (height, width), published }
    }

    /// In a sentence, with a warning if the machine has less.
    pub fn words(&self) -> String {
        let (height, width) = self.image;
        let beyond = match self.need.peak() > total().into() {
            true => format!("; this machine has {}: choose smaller `scales`", gigabytes(total().into())),
            false => String::new(),
        };
        let with = if self.published { "With the published tokenizer, an" } else { "An" };
        let parts = self.need.words("", "");
        format!("{with} image of {height} × {width} pixels under CFG takes {parts}{beyond}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_size_is_told_in_parts_and_grows_linearly_in_its_tokens() {
        let need = |scales: Option<&[usize]>| {
            let scales = scales.map(|sides| ScaleSchedule::square(sides).unwrap());
            OfAnImage::of(&HartConfig::published(scales.as_ref()).unwrap(), None)
        };
        let whole = need(None);
        assert_eq!(whole.image, (1024, 1024));
        assert!((6e9..10e9).contains(&(whole.need.peak() as f64)), "{whole:?}");
        assert!(whole.words().starts_with(
            "With the published tokenizer, an image of 1024 × 1024 pixels under CFG takes about "
        ));
        let (small, large) = (need(Some(&[1, 16, 32])), need(Some(&[1, 32, 64])));
        let text = 2 * 300 * 24 * 1536 * 2 * 4;
        let ratio = (large.need.cache - text) as f64 / (small.need.cache - text) as f64;
        assert!((3.5..4.5).contains(&ratio), "{ratio}");
        assert_eq!(large.need.step, 4 * small.need.step);
    }
}
