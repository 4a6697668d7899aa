//! The samplers that nextscale itself has.

use std::sync::Arc;

use super::Registry;
use crate::sampler::{Argmax, TopKTopP};

pub(super) fn add(registry: Registry) -> Registry {
    registry
        .with_sampler(
            "TopKTopP",
            "temperature, then top-k, then top-p, then a draw; 0 switches a filter off",
            |settings| Ok(Arc::new(settings.all::<TopKTopP>()?)),
        )
        .with_sampler("Argmax", "the most likely class, without randomness", |_| Ok(Arc::new(Argmax)))
        .describe(
            "TopKTopP",
            "TopKTopP()",
            &[
                ("top_k", "draw among so many of the likeliest classes; 0 is all"),
                ("top_p", "draw among the likeliest classes that make up so much probability, from 0 to 1; 0 is all"),
                ("temperature", "above 0, a strength over scales: logits are divided by it"),
                ("more_smooth", "draw a soft mix of codes instead of one: smoother images, and worse scores"),
            ],
        )
        .describe("Argmax", "Argmax", &[])
}
