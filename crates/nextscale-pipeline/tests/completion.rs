//! Images completed from their coarse scales.

mod common;

use std::sync::Arc;

use common::{Record, given_tokens, model};
use nextscale_core::noise::Counter;
use nextscale_core::{Condition, Draw};
use nextscale_generate::edit::Edit;
use nextscale_generate::sampler::TopKTopP;
use nextscale_guidance::Cfg;
use nextscale_pipeline::{Batch, Generator, Stop};

/// The canvas after every scale of two images, with the given tokens of the first `kept` scales.
fn canvases(kept: usize) -> Vec<Vec<f32>> {
    let model = model("aln");
    let edit = Edit::of_scales(&*model.tokenizer, &given_tokens(), kept).unwrap();
    let rule = Arc::new(Cfg::scale(1.5).unwrap());
    let sampler = Arc::new(TopKTopP::default());
    let generator = Generator::new(model, rule, sampler, Arc::new(Counter::new(5))).unwrap().with_edit(edit);
    let mut record = Record::default();
    let conditions = [Condition::Class(3), Condition::Class(4)];
    generator.batch(Batch { images: &[0, 1], conditions: &conditions }, &mut record, &Stop::new()).unwrap();
    record.canvas
}

#[test]
fn the_first_scales_are_the_given_ones_and_the_rest_is_not() {
    let model = model("aln");
    let tokenizer = &*model.tokenizer;
    let mut canvas = tokenizer.blank(2);
    let mut given = Vec::new();
    for (k, tokens) in given_tokens().into_iter().enumerate() {
        let embedding = tokenizer.embed(&Draw::tokens(tokens), k).unwrap();
        canvas = tokenizer.accumulate(canvas, embedding, k).unwrap();
        given.push(common::floats(&canvas.features));
    }
    for kept in 0..=4 {
        let found = canvases(kept);
        assert_eq!(found[..kept], given[..kept], "{kept} kept");
        if kept < 4 {
            assert_ne!(found[kept], given[kept], "{kept} kept");
        }
    }
}
