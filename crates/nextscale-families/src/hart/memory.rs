//! What a model takes of the memory, before it does.

use nextscale_backbones::hart::HartConfig;
use nextscale_core::ScaleSchedule;
use nextscale_core::memory::{of_f32, total};
use nextscale_tokenizers::vq::VqvaeConfig;

/// An estimate of the bytes that one image takes under classifier-free guidance, in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    /// The weights of transformer and tokenizer.
    pub weights: u128,
    /// Keys and values of both passes.
    pub cache: u128,
    /// The activations of the last scale, and the logits that guidance holds.
    pub step: u128,
    /// The feature maps of decoding, when the cache is gone.
    pub decoding: u128,
    /// Height and width in pixels.
    pub image: (usize, usize),
    /// Whether they are those of the published tokenizer, for want of the model's own.
    pub published: bool,
}

/// The passes of classifier-free guidance.
const PASSES: usize = 2;
/// Maps of logits at the last scale: both passes', the guided one's and what a rule makes on the way.
const MAPS: usize = 5;
/// Feature maps of the finest level that decoding holds at once.
const FEATURES: usize = 4;

impl Need {
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
        Self {
            weights: config.parameters().saturating_add(tokenizer.layout().weights()).saturating_mul(4),
            cache: config.cache_bytes().saturating_mul(PASSES as u128),
            step: of_f32(&[PASSES, positions, per_token]) + of_f32(&[MAPS, positions, vocabulary]),
            decoding: of_f32(&[FEATURES, tokenizer.channels, height, width]),
            image: (height, width),
            published,
        }
    }

    /// All at its highest.
    pub fn peak(&self) -> u128 {
        self.weights + self.decoding.max(self.cache + self.step)
    }

    /// In a sentence, with a warning if the machine has less.
    pub fn words(&self) -> String {
        let gigabytes = |bytes: u128| match bytes as f64 {
            bytes if bytes < 1e8 => format!("{:.1} MB", bytes / 1e6),
            bytes => format!("{:.1} GB", bytes / 1e9),
        };
        let (height, width) = self.image;
        let beyond = match self.peak() > total().into() {
            true => format!("; this machine has {}: choose smaller `scales`", gigabytes(total().into())),
            false => String::new(),
        };
        let with = if self.published { "With the published tokenizer, an" } else { "An" };
        format!(
            "{with} image of {height} × {width} pixels under CFG takes about {} of memory at its peak: {} of weights, {} of keys and \
             values, {} at the last scale, {} while decoding{beyond}",
            gigabytes(self.peak()),
            gigabytes(self.weights),
            gigabytes(self.cache),
            gigabytes(self.step),
            gigabytes(self.decoding)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_size_is_told_in_parts_and_grows_linearly_in_its_tokens() {
        let need = |scales: Option<&[usize]>| {
            let scales = scales.map(|sides| ScaleSchedule::square(sides).unwrap());
            Need::of(&HartConfig::published(scales.as_ref()).unwrap(), None)
        };
        let whole = need(None);
        assert_eq!(whole.image, (1024, 1024));
        assert!((6e9..10e9).contains(&(whole.peak() as f64)), "{whole:?}");
        assert!(whole.words().starts_with(
            "With the published tokenizer, an image of 1024 × 1024 pixels under CFG takes about "
        ));
        let (small, large) = (need(Some(&[1, 16, 32])), need(Some(&[1, 32, 64])));
        let text = 2 * 300 * 24 * 1536 * 2 * 4;
        let ratio = (large.cache - text) as f64 / (small.cache - text) as f64;
        assert!((3.5..4.5).contains(&ratio), "{ratio}");
        assert_eq!(large.step, 4 * small.step);
    }
}
