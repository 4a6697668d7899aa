use burn::tensor::Tensor;
use nextscale_core::{Canvas, Draw};
use nextscale_parity::tokenizer::{STEPPED, decoder, encoder, reference, steps, tokens};
use nextscale_parity::{Fixtures, Gap, Kind};
use nextscale_tokenizers::Tokenizer;

use super::fixtures::{schedule, tokenizer as vq};

const TOLERANCE: f64 = 1e-4;
const FILES: [&str; 2] = ["vae.pth", "vae.safetensors"];

#[track_caller]
fn within(gap: Gap, tensors: usize, tolerance: f64) {
    assert_eq!(gap.tensors, tensors);
    assert!(gap.largest <= tolerance, "off by {:e}, allowed {tolerance:e}", gap.largest);
}

#[test]
fn every_activation_agrees_with_upstream() {
    let reference = reference(&Fixtures::compiled_in()).unwrap();
    for name in FILES {
        let vq = vq(name, schedule());
        within(encoder(&vq, &reference).unwrap(), 9, TOLERANCE);
        within(decoder(&vq, &reference).unwrap(), 23, TOLERANCE);
    }
}

#[test]
fn tokens_agree_with_upstream() {
    let reference = reference(&Fixtures::compiled_in()).unwrap();
    for name in FILES {
        let gap = tokens(&vq(name, schedule()), &reference).unwrap();
        assert_eq!((gap.tensors, gap.values, gap.differing), (4, 60, 0), "{name}");
    }
}

#[test]
fn the_steps_of_generation_build_the_same_canvas_and_inputs() {
    let reference = Fixtures::compiled_in().reference(Kind::PerBlock).unwrap();
    let vq = vq("vae.safetensors", schedule());
    for run in STEPPED {
        let (embeddings, rest) = steps(&vq, &reference, run).unwrap();
        within(embeddings, 4, 5e-5);
        // The image is in [0, 1], so differences are half of those in [-1, 1].
        within(rest, 8, TOLERANCE);
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let vq = vq("vae.safetensors", schedule());
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
