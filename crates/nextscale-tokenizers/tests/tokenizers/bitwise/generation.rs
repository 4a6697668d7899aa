//! What the loop asks of the tokenizer, scale by scale, compared with upstream's generation.

use burn::tensor::Tensor;
use nextscale_core::Draw;
use nextscale_tokenizers::Tokenizer;

use super::fixtures::{GROUPS, bits, file, schedule, tokenizer, tokens};
use crate::support::{assert_close, floats, tensor};

/// The runs: their file, aspect ratio, number of scales, and whether sums and inputs were recorded.
const RUNS: [(&str, &str, usize, bool); 3] = [
    ("reference.safetensors", "1:1", 5, true),
    ("reference_b.safetensors", "3:4", 5, true),
    ("reference_pn0.06M.safetensors", "1:1", 7, false),
];

#[test]
fn canvases_inputs_and_images_of_recorded_bits_are_upstreams() {
    for (group, patches) in GROUPS {
        for (name, aspect, scales, sums) in RUNS {
            let file = file(group, name);
            let schedule = schedule(aspect, scales);
            let tokenizer = tokenizer(group, patches, schedule.clone());
            let [batch, ..] = bits(&file, 0).dims();
            let mut canvas = tokenizer.blank(batch);
            for k in 0..scales {
                let draw = Draw::tokens(tokens(&bits(&file, k), schedule.grid(k)));
                let embedding = tokenizer.embed(&draw, k).unwrap();
                if sums {
                    let codes: Tensor<4> = tensor::<5>(&file, &format!("codes.{k}")).squeeze_dim(2);
                    let gap = floats((embedding.clone() - codes).abs().max())[0];
                    assert!(gap <= 1e-6, "{group} {name} codes.{k}: {gap:e}");
                }
                canvas = tokenizer.accumulate(canvas, embedding, k).unwrap();
                if sums {
                    assert_close(&file, &format!("summed.{k}"), canvas.features.clone(), 1e-5);
                }
                if sums && k + 1 < scales {
                    let input = tokenizer.next_input(&canvas, k + 1).unwrap();
                    assert_close(&file, &format!("next_in.{}", k + 1), input, 1e-5);
                }
            }
            assert_close(&file, "vae_dec_in", canvas.features.clone(), 1e-5);
            let image = tokenizer.decode(&canvas).unwrap();
            let [_, _, height, width] = image.dims();
            assert_eq!(tokenizer.image_size(), (height, width));
            assert_close(&file, "vae_dec_out", image * 2.0 - 1.0, 1e-4);
        }
    }
}

#[test]
fn every_pixel_is_upstreams_but_for_truncation() {
    for (group, patches) in GROUPS {
        let file = file(group, "reference_b.safetensors");
        let tokenizer = tokenizer(group, patches, schedule("3:4", 5));
        let canvas = nextscale_core::Canvas { features: tensor(&file, "vae_dec_in") };
        let image = floats(tokenizer.decode(&canvas).unwrap());
        let recorded: Vec<i64> =
            file.int_tensor::<4>("image_u8_bgr", &tokenizer.device()).unwrap().try_into_vec_as().unwrap();
        let pixels = image.len() / 3;
        let off = (0..image.len()).filter(|i| {
            let (channel, pixel) = (i / pixels, i % pixels);
            let ours = (image[*i] * 255.0) as i64;
            let gap = (ours - recorded[3 * pixel + 2 - channel]).abs();
            assert!(gap <= 1, "{group}: {gap} at {i}");
            gap > 0
        });
        let off = off.count();
        assert!(off <= 5, "{group}: {off} of {} values", image.len());
    }
}

#[test]
fn a_mix_of_bits_embeds_between_them() {
    let tokenizer = tokenizer("patchify", true, schedule("3:4", 5));
    let file = file("patchify", "reference_b.safetensors");
    let tokens = tokens(&bits(&file, 3), schedule("3:4", 5).grid(3));
    let ones: Tensor<4> = tokens.clone().float().unsqueeze_dim(3);
    let pairs = Tensor::cat(vec![1.0 - ones.clone(), ones], 3).reshape([1, 48, 24]);
    let hard = tokenizer.embed(&Draw::tokens(tokens.clone()), 3).unwrap();
    let mixed = Draw { tokens: tokens.clone(), weights: Some(pairs) };
    assert_eq!(floats(tokenizer.embed(&mixed, 3).unwrap()), floats(hard.clone()));
    let even = Draw { tokens, weights: Some(Tensor::full([1, 48, 24], 0.5, &tokenizer.device())) };
    assert!(floats(tokenizer.embed(&even, 3).unwrap()).iter().all(|value| value.abs() < 1e-7));
}

#[test]
fn the_same_tokenizer_takes_other_scales() {
    for (group, patches) in GROUPS {
        let square = tokenizer(group, patches, schedule("1:1", 5));
        let lying = square.on_scales(&schedule("2:1", 7)).unwrap();
        let reduction = square.config().reduction() * if patches { 2 } else { 1 };
        assert_eq!(lying.image_size(), (11 * reduction, 22 * reduction));
        assert_eq!(lying.canvas_channels(), square.config().bits);
        let images = Tensor::<4>::ones([1, 3, 11 * reduction, 22 * reduction], &square.device()) * 0.25;
        let tokens = lying.encode(images).unwrap();
        let positions: Vec<usize> = tokens.iter().map(|tokens| tokens.dims()[1]).collect();
        assert_eq!(positions, [1, 4, 8, 18, 50, 128, 242]);
        assert_eq!(tokens[6].dims()[2], square.token_bits());
        // And back again.
        let back = lying.on_scales(square.schedule()).unwrap();
        assert_eq!(back.image_size(), square.image_size());
    }
}

#[test]
fn what_does_not_fit_a_scale_is_refused_by_name() {
    let tokenizer = tokenizer("patchify", true, schedule("1:1", 5));
    let draw = |positions, bits| {
        Draw::tokens(burn::tensor::Tensor::zeros([1, positions, bits], &tokenizer.device()))
    };
    let told = |result: nextscale_core::Result<Tensor<4>>| result.unwrap_err().to_string();
    assert_eq!(
        told(tokenizer.embed(&draw(4, 3), 1)),
        "tokens of scale 1 has shape [1, 4, 3], expected [batch, 4, 12]"
    );
    assert!(told(tokenizer.embed(&draw(4, 12), 5)).contains("scale 5 of a schedule of 5 scales"));
    let embedding = tokenizer.embed(&draw(4, 12), 1).unwrap();
    let error = tokenizer.accumulate(tokenizer.blank(1), embedding, 2).unwrap_err().to_string();
    assert!(error.contains("the embedding of scale 2 has shape [1, 3, 4, 4]"), "{error}");
    assert!(tokenizer.next_input(&tokenizer.blank(1), 0).is_err());
    let small = Tensor::<4>::zeros([1, 3, 30, 32], &tokenizer.device());
    let error = tokenizer.encode(small).unwrap_err().to_string();
    assert!(error.contains("images has shape [1, 3, 30, 32], expected [batch, 3, 32, 32]"), "{error}");
}
