//! Infinity's published models: files as in the README of its repository and its inference scripts; the text
//! encoder is Google's.

use schemars::{Schema, SchemaGenerator};

use crate::Published;

const SOURCE: &str = "https://github.com/FoundationVision/Infinity#-infinity-model-zoo";

macro_rules! model {
    ($name:literal, $images:literal, $backbone:literal, $tokenizer:literal, $size:literal, $parameters:literal, $memory:expr) => {
        Published {
            name: $name,
            images: $images,
            config: concat!(
                "Infinity(tokenizer: \"hf://FoundationVision/Infinity/",
                $tokenizer,
                "\", backbone: \"hf://FoundationVision/Infinity/",
                $backbone,
                "\", text: (encoder: \"hf://google/flan-t5-xl/\", tokenizer: \"hf://google/flan-t5-xl/tokenizer.json\")",
                ", size: \"",
                $size,
                "\")"
            ),
            parameters: Some($parameters),
            memory: $memory,
            sizes: &[],
            licence: "MIT; text encoder Apache-2.0",
            source: SOURCE,
        }
    };
}

pub(super) const ALL: &[Published] = &[
    model!(
        "125m",
        "256 × 256",
        "infinity_125M_256x256.pth",
        "infinity_vae_d16.pth",
        "0.06M",
        125_000_000,
        Some(1_000_000_000)
    ),
    model!("2b", "1024 × 1024", "infinity_2b_reg.pth", "infinity_vae_d32reg.pth", "1M", 2_000_000_000, None),
    model!(
        "8b-512",
        "512 × 512",
        "infinity_8b_512x512_weights/",
        "infinity_vae_d56_f8_14_patchify.pth",
        "0.25M",
        8_000_000_000,
        None
    ),
    model!(
        "8b",
        "1024 × 1024",
        "infinity_8b_weights/",
        "infinity_vae_d56_f8_14_patchify.pth",
        "1M",
        8_000_000_000,
        None
    ),
];

/// One of the short names.
pub(super) fn names(_: &mut SchemaGenerator) -> Schema {
    Published::schema(ALL)
}
