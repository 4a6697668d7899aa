//! On the CPU, an image's tokens, canvases and pixels are the same, bit for bit, in any batch.

use nextscale_core::{Draw, Dtype, Grid, ScaleSchedule};
use nextscale_tokenizers::{
    Tokenizer,
    vq::{MultiScaleVq, VqvaeConfig},
};

use super::fixtures::{floats, images, ints, schedule, tokenizer};

/// Everything that the loop computes for `batch` images: tokens, inputs, canvases and pixels, one row per
/// image.
fn run(vq: &MultiScaleVq, batch: usize, side: usize) -> Vec<Vec<u32>> {
    let mut rows = vec![Vec::new(); batch];
    let mut note = |values: Vec<u32>| {
        let each = values.len() / batch;
        rows.iter_mut().zip(values.chunks(each)).for_each(|(row, part)| row.extend(part));
    };
    let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    let images = images(8, side).narrow(0, 0, batch);
    note(bits(floats(vq.encode_features(images.clone() * 2.0 - 1.0).unwrap())));
    let tokens = vq.encode(images).unwrap();
    let mut canvas = vq.blank(batch);
    for (k, tokens) in tokens.into_iter().enumerate() {
        note(ints(tokens.clone()).into_iter().map(|token| token as u32).collect());
        if k > 0 {
            note(bits(floats(vq.next_input(&canvas, k).unwrap())));
        }
        let embedding = vq.embed(&Draw::tokens(tokens), k).unwrap();
        canvas = vq.accumulate(canvas, embedding, k).unwrap();
        note(bits(floats(canvas.features.clone())));
    }
    note(bits(floats(vq.decode(&canvas).unwrap())));
    rows
}

#[track_caller]
fn check(vq: &MultiScaleVq, side: usize) {
    let eight = run(vq, 8, side);
    for batch in [1, 3] {
        for (image, (few, many)) in run(vq, batch, side).iter().zip(&eight).enumerate() {
            assert!(few == many, "image {image} of a batch of {batch} differs from the same in a batch of 8");
        }
    }
    assert_ne!(eight[0], eight[1]);
}

#[test]
fn the_fixture_model_does_not_depend_on_the_batch() {
    check(&tokenizer("vae.safetensors", schedule()), 64);
}

/// Wide enough for products that run in parallel, and for the routes of many channels.
fn wide() -> MultiScaleVq {
    let config = VqvaeConfig {
        encoder_blocks: vec![1, 1],
        decoder_blocks: vec![1, 1],
        latent_channels: 16,
        vocabulary: 512,
        ..VqvaeConfig::new(64, &[1, 2])
    };
    let schedule = ScaleSchedule::square(&[1, 2, 3, 5, 8, 16]).unwrap();
    config.init(schedule, 3, &burn::tensor::Device::flex()).unwrap()
}

#[test]
fn a_wider_model_does_not_depend_on_the_batch() {
    check(&wide(), 32);
    check(&wide().decoding_in(Dtype::Bf16), 32);
}

/// Each factor is off by a relative error of up to 2⁻⁹ in ten consecutive layers, or nothing is rounded here.
#[track_caller]
fn assert_near(a: &[f32], b: &[f32]) {
    let size = |x: &[f32]| x.iter().map(|x| f64::from(x * x)).sum::<f64>().sqrt();
    let gap: Vec<f32> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let gap = size(&gap) / size(a);
    assert!(gap < 0.02, "{gap}");
    assert_eq!(gap > 1e-4, nextscale_kernels::rounds(), "{gap}");
}

#[test]
fn decoding_in_bfloat16_is_near_to_decoding_in_f32() {
    let (f32, bf16) = (wide(), wide().decoding_in(Dtype::Bf16));
    let features = f32.encode_features(images(2, 32) * 2.0 - 1.0).unwrap();
    let [a, b] = [&f32, &bf16].map(|vq| floats(vq.vqvae.images(features.clone())));
    assert_near(&a, &b);
    let encoded = bf16.encode_features(images(2, 32) * 2.0 - 1.0).unwrap();
    assert_eq!(floats(encoded), floats(features), "encoding stays in f32");
}

#[test]
fn encoding_in_training_in_bfloat16_is_near_to_encoding_in_f32() {
    let (f32, bf16) = (wide(), wide().training_in(Dtype::Bf16));
    let [a, b] = [&f32, &bf16].map(|vq| floats(vq.encode_features(images(2, 32) * 2.0 - 1.0).unwrap()));
    assert_near(&a, &b);
}

#[test]
fn grids_need_not_be_square() {
    let config =
        VqvaeConfig { norm_groups: 8, latent_channels: 4, vocabulary: 16, ..VqvaeConfig::new(8, &[1, 2]) };
    let grids = [(1, 1), (1, 2), (2, 3), (3, 6)].map(|(height, width)| Grid::new(height, width));
    let schedule = ScaleSchedule::new(grids.to_vec()).unwrap();
    let vq = config.init(schedule, 5, &burn::tensor::Device::flex()).unwrap();
    assert_eq!(vq.image_size(), (6, 12));
    let tokens = vq.encode(images(2, 12).slice([0..2, 0..3, 0..6])).unwrap();
    assert_eq!(tokens.iter().map(|tokens| tokens.dims()[1]).collect::<Vec<_>>(), [1, 2, 6, 18]);
    let flat: Vec<_> = tokens.into_iter().map(|tokens| tokens.squeeze_dim(2)).collect();
    assert_eq!(vq.features(&flat).unwrap().dims(), [2, 26, 4]);
    let canvas = vq.pyramid(&flat).unwrap().pop().unwrap();
    assert_eq!(vq.decode_features(canvas).dims(), [2, 3, 6, 12]);
}
