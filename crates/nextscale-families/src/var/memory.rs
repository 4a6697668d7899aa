//! What a model takes of a GPU's memory, computed from its sizes.

use nextscale_backbones::var::VarConfig;
use nextscale_core::Dtype;
use nextscale_tokenizers::vq::VqvaeConfig;

use crate::need::{FEATURES, Need, PASSES};

/// Maps of logits at the last scale: both passes', the guided one's and what a sampler makes of it.
const LOGITS: usize = 4;
/// The numbers that a convolution of halves gathers for a product, if an image needs no more: as its kernel does where there is
/// none for matrix units.
const GATHERED: usize = 1 << 27;
/// The bytes of a number that stays f32.
const WHOLE: usize = 4;

/// The product of some numbers.
fn bytes(sizes: &[usize]) -> u128 {
    sizes.iter().fold(1, |bytes: u128, &size| bytes.saturating_mul(size as u128))
}

/// What a batch takes under classifier-free guidance on a device other than the CPU, of a model with this tokenizer: the
/// weights of the transformer and of the tokenizer without its encoder, and keys and values at all positions, for which
/// there is room from the first scale on.
pub(super) fn need(config: &VarConfig, tokenizer: &VqvaeConfig, batch: usize, dtype: Dtype) -> Need {
    let VarConfig { schedule, depth, width, heads, hidden, vocabulary, .. } = config;
    let (rows, stored) = (PASSES.saturating_mul(batch), dtype.size());
    let (last, all) = (schedule.last().positions(), schedule.positions());
    let of_rows = |number: usize, channels: usize| bytes(&[rows, last, channels, number]);
    // The residual stream beside a block's largest tensors: scores with their softmax and the heads that they are of, or
    // the hidden numbers before and after GELU.
    let attention = bytes(&[rows, *heads, last, all]).saturating_mul((WHOLE + stored) as u128)
        + of_rows(stored, 3 * width);
    let mlp = of_rows(2 * stored, *hidden);
    let block = of_rows(WHOLE, 2 * width) + attention.max(mlp);
    let logits = bytes(&[LOGITS, batch, last, *vocabulary, WHOLE]);
    let (height, image_width) = tokenizer.image_size(schedule.last());
    let (pixels, channels) = (height * image_width, tokenizer.channels);
    let gathered = match dtype {
        Dtype::F32 => 0,
        _ => {
            let images = (GATHERED / (pixels * 9 * channels).max(1)).clamp(1, batch);
            bytes(&[images, pixels, channels, 9 * stored + WHOLE])
        }
    };
    Need {
        weights: config.bytes_on_devices(dtype) + tokenizer.bytes_on_devices(schedule.len(), dtype),
        cache: bytes(&[rows, 2, *depth, all, *width, stored]),
        step: block.max(logits),
        decoding: bytes(&[FEATURES, batch, pixels, channels, stored]) + gathered,
    }
}

/// The same in a sentence.
pub(super) fn words(config: &VarConfig, tokenizer: &VqvaeConfig, batch: usize, dtype: Dtype) -> String {
    let images = if batch == 1 { "an image".to_owned() } else { format!("a batch of {batch}") };
    let parts = need(config, tokenizer, batch, dtype)
        .words(", computed", " (with the published tokenizer's decoder)");
    format!("On a GPU {images} under CFG in {dtype} takes {parts}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(depth: usize, batch: usize, dtype: Dtype) -> Need {
        super::need(&VarConfig::published(depth).unwrap(), &VqvaeConfig::published(), batch, dtype)
    }

    #[test]
    fn halves_take_half_and_a_batch_its_multiple() {
        for depth in [16, 20, 24, 30, 36] {
            let [whole, half] = [Dtype::F32, Dtype::Bf16].map(|dtype| need(depth, 8, dtype));
            assert_eq!(half, need(depth, 8, Dtype::F16));
            assert_eq!(2 * half.cache, whole.cache);
            assert!(half.decoding < whole.decoding);
            let ratio = half.weights as f64 / whole.weights as f64;
            assert!((0.5..0.52).contains(&ratio), "{depth}: {ratio}");
            assert_eq!(whole.cache, 8 * need(depth, 1, Dtype::F32).cache);
        }
    }

    #[test]
    fn the_published_sizes_are_those_of_the_page() {
        let page = include_str!("../../../../docs/src/gpu.md");
        for (depth, name) in [
            (16, "VAR-d16, 256 pixels"),
            (20, "VAR-d20"),
            (24, "VAR-d24"),
            (30, "VAR-d30"),
            (36, "VAR-d36, 512 pixels"),
        ] {
            let [whole, half] = [Dtype::F32, Dtype::Bf16];
            let gigabytes = |bytes: u128| format!("{:.1}", bytes as f64 / 1e9);
            let cells = [whole, half].map(|dtype| {
                let (one, eight) = (need(depth, 1, dtype), need(depth, 8, dtype));
                [gigabytes(one.weights), format!("{:.2}", one.cache as f64 / 1e9), gigabytes(eight.peak())]
            });
            let [[weights, cache, peak], [half_weights, half_cache, half_peak]] = cells;
            let row = format!(
                "| {name} | {weights} | {cache} | {peak} | {half_weights} | {half_cache} | {half_peak} |"
            );
            assert!(page.contains(&row), "docs/src/gpu.md lacks\n{row}");
        }
    }

    #[test]
    fn the_largest_published_model_in_words() {
        assert_eq!(
            words(&VarConfig::published(30).unwrap(), &VqvaeConfig::published(), 8, Dtype::Bf16),
            "On a GPU a batch of 8 under CFG in bf16 takes about 7.3 GB of memory at its peak, computed: 4.2 GB of weights (with the \
             published tokenizer's decoder), 2.5 GB of keys and values, 0.6 GB at the last scale, 0.9 GB while decoding"
        );
    }
}
