//! On the CPU, an image's tokens, canvases and pixels are the same, bit for bit, in any batch.

use burn::tensor::Device;
use nextscale_core::{Draw, Dtype};
use nextscale_tokenizers::Tokenizer;
use nextscale_tokenizers::bitwise::{BsqVaeConfig, MultiScaleBsq};

use super::fixtures::{GROUPS, schedule, tokenizer};
use crate::support::{floats, images, ints};

/// Everything that the loop computes for `batch` images: tokens, inputs, canvases and pixels, one row per
/// image.
fn run(tokenizer: &MultiScaleBsq, batch: usize) -> Vec<Vec<u32>> {
    let mut rows = vec![Vec::new(); batch];
    let mut note = |values: Vec<u32>| {
        let each = values.len() / batch;
        rows.iter_mut().zip(values.chunks(each)).for_each(|(row, part)| row.extend(part));
    };
    let as_bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    let (height, width) = tokenizer.image_size();
    let images = images(5, height.max(width)).slice([0..batch, 0..3, 0..height, 0..width]);
    let tokens = tokenizer.encode(images).unwrap();
    let mut canvas = tokenizer.blank(batch);
    for (k, tokens) in tokens.into_iter().enumerate() {
        note(ints(tokens.clone()).into_iter().map(|token| token as u32).collect());
        if k > 0 {
            note(as_bits(floats(tokenizer.next_input(&canvas, k).unwrap())));
        }
        let embedding = tokenizer.embed(&Draw::tokens(tokens), k).unwrap();
        canvas = tokenizer.accumulate(canvas, embedding, k).unwrap();
        note(as_bits(floats(canvas.features.clone())));
    }
    note(as_bits(floats(tokenizer.decode(&canvas).unwrap())));
    rows
}

#[track_caller]
fn check(tokenizer: &MultiScaleBsq) {
    let five = run(tokenizer, 5);
    for batch in [1, 3] {
        for (image, (few, many)) in run(tokenizer, batch).iter().zip(&five).enumerate() {
            assert!(few == many, "image {image} of a batch of {batch} differs from the same in a batch of 5");
        }
    }
    assert_ne!(five[0], five[1]);
}

#[test]
fn the_fixture_models_do_not_depend_on_the_batch() {
    for (group, patches) in GROUPS {
        check(&tokenizer(group, patches, schedule("3:4", 5)));
    }
}

#[test]
fn a_wider_model_does_not_depend_on_the_batch() {
    let config = BsqVaeConfig {
        encoder_blocks: vec![1, 1],
        decoder_blocks: vec![1, 1],
        ..BsqVaeConfig::new(64, &[1, 2], 14)
    };
    for dtype in [Dtype::F32, Dtype::Bf16] {
        let tokenizer = config.init(schedule("1:3", 5), true, 3, &Device::flex()).unwrap().decoding_in(dtype);
        check(&tokenizer);
    }
}
