//! VAR's published models: files, parameters and licence as in the README of its repository; the tokenizer's
//! size as two projects record it from the file's Git LFS pointer and their downloads.

use crate::{Published, PublishedSize};

const SOURCE: &str = "https://github.com/FoundationVision/VAR#var-zoo";
const TOKENIZER: &[PublishedSize] = &[PublishedSize {
    file: "hf://FoundationVision/var/vae_ch160v4096z32.pth",
    bytes: 436_075_834,
    sha256: "7c3ec27ae28a3f87055e83211ea8cc8558bd1985d7b51742d074fb4c2fcf186c",
}];

macro_rules! model {
    ($name:literal, $images:literal, $parameters:literal, $memory:expr) => {
        Published {
            name: $name,
            images: $images,
            config: concat!(
                "Var(tokenizer: \"hf://FoundationVision/var/vae_ch160v4096z32.pth\", ",
                "backbone: \"hf://FoundationVision/var/var_",
                $name,
                ".pth\")"
            ),
            parameters: Some($parameters),
            memory: $memory,
            sizes: TOKENIZER,
            licence: "MIT",
            source: SOURCE,
        }
    };
}

pub(super) const ALL: &[Published] = &[
    model!("d16", "256 × 256", 310_000_000, Some(1_800_000_000)),
    model!("d20", "256 × 256", 600_000_000, Some(3_100_000_000)),
    model!("d24", "256 × 256", 1_000_000_000, Some(5_000_000_000)),
    model!("d30", "256 × 256", 2_000_000_000, None),
    model!("d36", "512 × 512", 2_300_000_000, None),
];
