use burn::tensor::Tensor;
use nextscale_core::{Canvas, Draw};
use nextscale_tokenizers::Tokenizer;

use super::fixtures::{file, schedule, tokenizer, tokens};
use crate::support::{assert_close, floats, ints, tensor};

/// Images of the fixtures are in [-1, 1].
fn images() -> Tensor<4> {
    (tensor::<4>(&file("tokenizer/reference.safetensors"), "image") + 1.0) / 2.0
}

#[test]
fn an_image_s_tokens_and_residual_are_upstreams() {
    let (reference, tokenizer) = (file("tokenizer/reference.safetensors"), tokenizer());
    let features = Tokenizer::features(&tokenizer, images()).unwrap();
    assert_close(&reference, "enc_f", features.clone(), 1e-4);
    let found = tokenizer.encode(images()).unwrap();
    let recorded = tokens(&reference);
    for (k, (found, recorded)) in found.into_iter().zip(&recorded).enumerate() {
        assert_eq!(ints(found), ints(recorded.clone()), "scale {k}");
    }
    assert_close(&reference, "teacher_forcing_input", tokenizer.vq().features(&recorded).unwrap(), 1e-4);

    // The last scale's token has a discrete and a continuous part.
    let last = Draw::tokens(recorded[5].clone().unsqueeze_dim(2));
    let code = tokenizer.embed(&last, 5).unwrap();
    let residual = tokenizer.residual(features.clone(), &recorded).unwrap();
    let whole = (code.clone() + residual.clone()).reshape([2, 8, 64]).swap_dims(1, 2);
    assert_close(&reference, "f_rest_before_last_discrete", whole, 1e-4);

    let before: Tensor<4> = tensor(&reference, "f_hat_before_last");
    let decoded = |embedding: Tensor<4>| {
        let canvas = Canvas { features: before.clone() };
        let canvas = tokenizer.accumulate(canvas, embedding, 5).unwrap();
        tokenizer.decode(&canvas).unwrap() * 2.0 - 1.0
    };
    assert_close(&reference, "recon_discrete", decoded(code.clone()), 1e-4);
    assert_close(&reference, "recon_continuous", decoded(code + residual), 1e-4);
    let directly = tokenizer.decode(&Canvas { features }).unwrap() * 2.0 - 1.0;
    assert_close(&reference, "recon_f", directly, 1e-4);
}

#[test]
fn canvases_inputs_and_images_of_recorded_tokens_are_upstreams() {
    let tokenizer = tokenizer();
    for group in ["main", "shared_aln", "ada_lin"] {
        let reference = file(&format!("{group}/reference.safetensors"));
        let tokens = tokens(&reference);
        let mut canvas = tokenizer.blank(2);
        for (k, tokens) in tokens.iter().enumerate() {
            if k > 0 {
                let input = tokenizer.next_input(&canvas, k).unwrap();
                let side = schedule().grid(k).height;
                let map = input.swap_dims(1, 2).reshape([2, 8, side, side]);
                assert_close(&reference, &format!("next_map.{k}"), map, 1e-5);
            }
            let draw = Draw::tokens(tokens.clone().unsqueeze_dim(2));
            let mut embedding = tokenizer.embed(&draw, k).unwrap();
            if k == 5 {
                let residual: Tensor<2> = tensor(&reference, "diff.out");
                embedding = embedding + residual.reshape([2, 64, 8]).swap_dims(1, 2).reshape([2, 8, 8, 8]);
            }
            canvas = tokenizer.accumulate(canvas, embedding, k).unwrap();
            let name = if k == 5 { "f_hat_final".into() } else { format!("f_hat.{k}") };
            assert_close(&reference, &name, canvas.features.clone(), 1e-5);
        }
        assert_close(&reference, "image01", tokenizer.decode(&canvas).unwrap(), 1e-4);
    }
}

#[test]
fn the_residual_needs_every_scale() {
    let (reference, tokenizer) = (file("tokenizer/reference.safetensors"), tokenizer());
    let features: Tensor<4> = tensor(&reference, "enc_f");
    let tokens = tokens(&reference);
    let error = tokenizer.residual(features, &tokens[..5]).unwrap_err().to_string();
    assert!(error.contains("all 6 scales, and has those of 5"), "{error}");
    let small = Tensor::zeros([2, 8, 4, 4], &tokenizer.device());
    assert!(tokenizer.residual(small, &tokens).unwrap_err().to_string().contains("the features"));
}

#[test]
fn the_same_tokenizer_takes_other_scales() {
    use nextscale_core::{Grid, ScaleSchedule};
    let tokenizer = tokenizer();
    let lying = ScaleSchedule::new(vec![Grid::square(1), Grid::new(2, 3), Grid::new(4, 6)]).unwrap();
    let lying = tokenizer.on_scales(&lying).unwrap();
    assert_eq!(lying.image_size(), (8, 12));
    let image = Tensor::<4>::ones([1, 3, 8, 12], &tokenizer.device()) * 0.25;
    let tokens = lying.encode(image).unwrap();
    assert_eq!(tokens.iter().map(|tokens| tokens.dims()[1]).collect::<Vec<_>>(), [1, 6, 24]);
    // The last scale's codes are added as they are.
    let draw = Draw::tokens(tokens[2].clone());
    let embedding = lying.embed(&draw, 2).unwrap();
    let canvas = lying.accumulate(lying.blank(1), embedding.clone(), 2).unwrap();
    assert_eq!(floats(canvas.features), floats(embedding));
    let back = lying.on_scales(tokenizer.schedule()).unwrap();
    assert_eq!(back.image_size(), (16, 16));
}
