use burn::tensor::{Int, Tensor};
use nextscale_core::{Canvas, Draw};
use nextscale_tokenizers::Tokenizer;

use crate::fixtures::{assert_close, file, ints, schedule, tensor, tokenizer, tokens};

const TOLERANCE: f32 = 1e-4;
const FILES: [&str; 2] = ["vae.pth", "vae.safetensors"];

#[test]
fn every_activation_of_the_encoder_agrees_with_upstream() {
    let reference = file("reference_vae.safetensors");
    for name in FILES {
        let vq = tokenizer(name, schedule());
        let encoder = vq.vqvae.encoder.as_ref().unwrap();
        let mut h = encoder.conv_in.forward(tensor(&reference, "image"));
        assert_close(&reference, "enc.conv_in", h.clone(), TOLERANCE);
        for (i, level) in encoder.down.iter().enumerate() {
            h = level.forward(h);
            assert_close(&reference, &format!("enc.down{i}"), h.clone(), TOLERANCE);
        }
        assert_close(&reference, "enc.mid", encoder.mid.forward(h), TOLERANCE);
        let out = encoder.forward(tensor(&reference, "image"));
        assert_close(&reference, "enc.out", out, TOLERANCE);
        assert_close(&reference, "f", vq.encode_features(tensor(&reference, "image")).unwrap(), TOLERANCE);
    }
}

#[test]
fn every_activation_of_the_decoder_agrees_with_upstream() {
    let reference = file("reference_vae.safetensors");
    for name in FILES {
        let vq = tokenizer(name, schedule());
        let decoder = &vq.vqvae.decoder;
        let latents = vq.vqvae.post_quant_conv.forward(tensor(&reference, "f_hat.s3"));
        assert_close(&reference, "post_quant", latents.clone(), TOLERANCE);
        let mut h = decoder.mid.forward(decoder.conv_in.forward(latents.clone()));
        assert_close(&reference, "dec.mid", h.clone(), TOLERANCE);
        for (i, level) in decoder.up.iter().enumerate().rev() {
            h = level.forward(h);
            assert_close(&reference, &format!("dec.up{i}"), h.clone(), TOLERANCE);
        }
        assert_close(&reference, "dec.out_unclamped", decoder.forward(latents), TOLERANCE);
    }
}

#[test]
fn tokens_pyramid_and_reconstructions_agree_with_upstream() {
    let reference = file("reference_vae.safetensors");
    for name in FILES {
        let vq = tokenizer(name, schedule());
        // The trait takes [0, 1].
        let images = (tensor::<4>(&reference, "image") + 1.0) / 2.0;
        let expected = tokens(&reference, "idx", 4);
        let found = vq.encode(images).unwrap();
        assert_eq!(found.len(), 4);
        for (k, (found, expected)) in found.into_iter().zip(&expected).enumerate() {
            assert_eq!(ints(found), ints(expected.clone()), "scale {k}");
        }
        for (k, canvas) in vq.pyramid(&expected).unwrap().into_iter().enumerate() {
            assert_close(&reference, &format!("f_hat.s{k}"), canvas.clone(), TOLERANCE);
            let image = vq.decode_features(canvas);
            assert_close(&reference, &format!("rec.s{k}"), image.clone(), TOLERANCE);
            if k == 3 {
                assert_close(&reference, "rec_from_idx", image, TOLERANCE);
            }
        }
        assert_close(&reference, "var_input", vq.features(&expected).unwrap(), TOLERANCE);
        assert_close(&reference, "var_input", vq.features(&expected[..3]).unwrap(), TOLERANCE);
        for (k, canvas) in vq.pyramid_native(&expected).unwrap().into_iter().enumerate() {
            assert_close(&reference, &format!("rec_native.s{k}"), vq.decode_features(canvas), TOLERANCE);
        }
    }
}

#[test]
fn the_steps_of_generation_build_the_same_canvas_and_inputs() {
    let reference = file("reference_aln.safetensors");
    let vq = tokenizer("vae.safetensors", schedule());
    for run in ["greedy", "sampled", "smooth"] {
        let mut canvas = vq.blank(2);
        for k in 0..4 {
            let name = |part: &str| format!("{run}.s{k}.{part}");
            let chosen: Tensor<2, Int> = reference.int_tensor(&name("idx"), &vq.device()).unwrap();
            let mut draw = Draw::tokens(chosen.unsqueeze_dim(2));
            if run == "smooth" {
                draw.weights = Some(tensor(&reference, &name("soft_weights")));
            }
            let embedding = vq.embed(&draw, k).unwrap();
            assert_close(&reference, &name("h"), embedding.clone(), 5e-5);
            canvas = vq.accumulate(canvas, embedding, k).unwrap();
            assert_close(&reference, &name("f_hat"), canvas.features.clone(), TOLERANCE);
            if k < 3 {
                let [batch, channels, height, width] = tensor::<4>(&reference, &name("next_input")).dims();
                let input = vq.next_input(&canvas, k + 1).unwrap();
                let input = input.swap_dims(1, 2).reshape([batch, channels, height, width]);
                assert_close(&reference, &name("next_input"), input, TOLERANCE);
            }
        }
        // The image is in [0, 1], so half of what differs in [-1, 1].
        assert_close(&reference, &format!("{run}.image"), vq.decode(&canvas).unwrap(), TOLERANCE);
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let vq = tokenizer("vae.safetensors", schedule());
    let device = vq.device();
    let says = |error: nextscale_core::Error, words: &str| {
        assert!(error.to_string().contains(words), "{error}");
    };
    says(vq.encode(Tensor::zeros([1, 3, 32, 32], &device)).unwrap_err(), "[batch, 3, 64, 64]");
    let small = Canvas { features: Tensor::zeros([1, 8, 2, 2], &device) };
    says(vq.decode(&small).unwrap_err(), "the canvas");
    says(vq.next_input(&vq.blank(1), 0).unwrap_err(), "scale 0 has no input");
    says(vq.next_input(&vq.blank(1), 4).unwrap_err(), "scale 4");
    says(vq.accumulate(vq.blank(1), Tensor::zeros([1, 8, 3, 3], &device), 1).unwrap_err(), "scale 1");
    let draw = Draw::tokens(Tensor::zeros([1, 5, 1], &device));
    says(vq.embed(&draw, 1).unwrap_err(), "tokens of scale 1");
    says(vq.features(&[]).unwrap_err(), "teacher forcing");
}
