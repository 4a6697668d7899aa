//! Images to bits and back, and a transformer's training material, compared with upstream's numbers.

use burn::tensor::{Device, Tensor, TensorData};
use nextscale_core::{Canvas, ScaleSchedule};
use nextscale_tokenizers::Tokenizer;
use nextscale_tokenizers::bitwise::{BsqVaeConfig, MultiScaleBsq};

use super::fixtures::{GROUPS, bits, file, flips, path, schedule, tokenizer, tokens};
use crate::support::{assert_close, floats, images, ints, tensor};

#[test]
fn images_are_encoded_and_decoded_as_upstream_does() {
    for (group, patches) in GROUPS {
        let file = file(group, "reference_vae_train.safetensors");
        let schedule = schedule("1:1", 5);
        let tokenizer = tokenizer(group, patches, schedule.clone());
        let image: Tensor<4> = tensor(&file, "image");
        assert_close(&file, "enc_out", tokenizer.encode_features(image.clone()).unwrap(), 1e-4);

        let found = tokenizer.encode((image + 1.0) / 2.0).unwrap();
        let quantized = tokenizer.quantize(tensor(&file, "enc_out")).unwrap();
        assert_close(&file, "quantized_out", quantized.f_hat, 1e-5);
        for (k, found) in found.into_iter().enumerate() {
            let recorded = bits(&file, k);
            let on_latents = quantized.bits[k].clone().int().permute([0, 2, 3, 1]);
            assert_eq!(ints(on_latents), ints(recorded.clone()), "{group} scale {k}");
            assert_eq!(ints(found), ints(tokens(&recorded, schedule.grid(k))), "{group} scale {k}");
        }
        let canvas = Canvas { features: tensor(&file, "quantized_out") };
        let image = tokenizer.decode(&canvas).unwrap() * 2.0 - 1.0;
        assert_close(&file, "recon", image.clone(), 1e-4);
        assert_close(&file, "recon_from_bits", image, 1e-4);
    }
}

#[test]
fn teaching_has_upstreams_labels_and_inputs_with_flips_and_without() {
    for (group, patches) in GROUPS {
        let file = file(group, "reference_vae_train.safetensors");
        let tokenizer = tokenizer(group, patches, schedule("1:1", 5));
        let f: Tensor<4> = tensor(&file, "enc_out");
        let flipped: Vec<_> = (0..3).map(|k| flips(&file, k)).collect();
        for (kind, flips) in [("tf", &flipped[..0]), ("bsc", &flipped)] {
            let teaching = tokenizer.teach(f.clone(), flips).unwrap();
            assert_close(&file, &format!("{kind}.x_wo_prefix"), teaching.inputs, 1e-5);
            for (k, labels) in teaching.labels.into_iter().enumerate() {
                let recorded = file.int_tensor::<3>(&format!("{kind}.gt_bits.{k}"), &Device::flex()).unwrap();
                assert_eq!(ints(labels), ints(recorded), "{group} {kind} scale {k}");
            }
        }
        let wrong = tokenizer.teach(f, &flipped[1..]).unwrap_err().to_string();
        assert!(wrong.contains("the flips of scale 0"), "{wrong}");
    }
}

/// Without gradients, the quantised sum is what the loop adds up from the encoded tokens.
#[test]
fn encoding_and_accumulating_are_inverse() {
    for (group, patches) in GROUPS {
        let tokenizer = tokenizer(group, patches, schedule("3:2", 6));
        let (height, width) = tokenizer.image_size();
        let images = images(2, width).slice([0..2, 0..3, 0..height]);
        let f = tokenizer.features(images.clone()).unwrap();
        let sum = floats(tokenizer.quantize(f.clone()).unwrap().f_hat);
        let mut canvas = tokenizer.blank(2);
        for (k, tokens) in tokenizer.encode(images).unwrap().into_iter().enumerate() {
            // On an image's own canvas, what is missing has its own bits.
            let again = tokenizer.requantise(f.clone(), &canvas, k).unwrap();
            assert_eq!(ints(again), ints(tokens.clone()), "{group} scale {k}");
            let embedding = tokenizer.embed(&nextscale_core::Draw::tokens(tokens), k).unwrap();
            canvas = tokenizer.accumulate(canvas, embedding, k).unwrap();
        }
        let gap = floats(canvas.features).iter().zip(&sum).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(gap <= 1e-5, "{group}: {gap:e}");
    }
}

#[test]
fn gradients_pass_straight_through_codes_to_the_features() {
    let device = Device::flex().autodiff();
    let tokenizer = MultiScaleBsq::open(
        path("base", "vae.safetensors"),
        ScaleSchedule::square(&[1, 4]).unwrap(),
        false,
        true,
        &device,
    )
    .unwrap();
    let values: Vec<f32> = (0..96).map(|i| (i as f32 * 0.71).sin()).collect();
    let f = Tensor::<4>::from_data(TensorData::new(values, [1, 6, 4, 4]), &device).require_grad();
    let seed: Vec<f32> = (0..96).map(|i| (i as f32 * 0.37).cos()).collect();
    let seed = Tensor::<4>::from_data(TensorData::new(seed, [1, 6, 4, 4]), &device);
    let quantized = tokenizer.quantize(f.clone()).unwrap();
    let found = floats(f.grad(&(quantized.f_hat * seed.clone()).sum().backward()).unwrap());

    // The same sums with codes replaced by the unit vectors that they stand for, which have a real gradient.
    // The residuals of later scales are taken as given.
    let rest = tokenizer.quantize(f.clone()).unwrap();
    let first = (f.clone().mean_dim(2)).mean_dim(3);
    let unit = |z: Tensor<4>| z.clone() / z.square().sum_dim(1).sqrt();
    let coarse = unit(first.clone()).expand([1, 6, 4, 4]);
    let corner = (rest.bits[0].clone().float() * 2.0 - 1.0) / 6f32.sqrt();
    let fine = unit(f.clone() - corner.expand([1, 6, 4, 4]));
    let expected = floats(f.grad(&((coarse + fine) * seed).sum().backward()).unwrap());
    let gap = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(gap < 1e-5, "{gap:e}");
    assert!(found.iter().any(|value| value.abs() > 1e-2));
}

#[test]
fn one_step_down_the_gradient_lowers_the_loss_of_a_fresh_model() {
    let device = Device::flex().autodiff();
    let config = BsqVaeConfig { norm_groups: Some(8), ..BsqVaeConfig::new(16, &[1, 2], 5) };
    let schedule = ScaleSchedule::square(&[1, 2, 4]).unwrap();
    let mut tokenizer = config.init(schedule, true, 3, &device).unwrap();
    let images = Tensor::<4>::from_inner(images(2, 16) * 2.0 - 1.0);
    let loss = |tokenizer: &MultiScaleBsq| {
        let quantized = tokenizer.quantize(tokenizer.encode_features(images.clone()).unwrap()).unwrap();
        (tokenizer.vae.images(quantized.f_hat) - images.clone()).square().mean()
    };
    let before = loss(&tokenizer);
    let gradients = burn::optim::GradientsParams::from_grads(before.backward(), &tokenizer);
    assert_eq!(gradients.len(), tokenizer.tensors().len(), "every parameter is trained");
    tokenizer = burn::optim::SgdConfig::new().init().step(0.02, tokenizer, gradients);
    assert!(floats(loss(&tokenizer)) < floats(before));
}
