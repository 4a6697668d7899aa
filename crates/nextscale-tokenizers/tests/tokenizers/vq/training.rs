use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};
use nextscale_core::ScaleSchedule;
use nextscale_tokenizers::vq::{MultiScaleVq, PhiKind, VqvaeConfig};

use super::fixtures::{GROUPS, assert_close, file, floats, ints, schedule, tensor, tokens};

fn trainable() -> MultiScaleVq {
    let device = Device::flex().autodiff();
    MultiScaleVq::load(&file("vae.safetensors"), schedule(), GROUPS, true, &device).unwrap()
}

#[test]
fn the_loss_and_what_passes_through_agree_with_upstream() {
    let reference = file("reference_vae.safetensors");
    for vq in [trainable(), trainable().valid()] {
        let output = vq.quantize_train(tensor(&reference, "f"));
        assert_close(&reference, "vqtrain.loss", output.loss.inner(), 1e-5);
        assert_close(&reference, "vqtrain.f_hat", output.f_hat.inner(), 1e-5);
        for (k, (found, expected)) in output.tokens.into_iter().zip(tokens(&reference, "idx", 4)).enumerate()
        {
            assert_eq!(ints(found), ints(expected), "scale {k}");
            let [batch, positions, channels] = output.residuals[k].dims();
            assert_eq!([batch, positions, channels], [2, (k + 1) * (k + 1), 8]);
        }
    }
}

#[test]
fn gradients_reach_features_codes_and_phi_and_pass_straight_through() {
    let vq = trainable();
    let device = Device::flex().autodiff();
    let f = Tensor::<4>::from_inner(tensor(&file("reference_vae.safetensors"), "f")).require_grad();
    let output = vq.quantize_train(f.clone());

    // Through f_hat alone, the gradient reaches f unchanged, and nothing else.
    let weights: Vec<f32> = (0..256).map(|i| (i as f32 * 0.7).sin()).collect();
    let seed = Tensor::<4>::from_data(TensorData::new(weights.clone(), [2, 8, 4, 4]), &device);
    let gradients = (output.f_hat.clone() * seed).sum().backward();
    assert_eq!(floats(f.grad(&gradients).unwrap()), weights);
    let codes = vq.vqvae.quantize.embedding.weight.val();
    assert!(codes.grad(&gradients).is_none());

    let gradients = output.loss.backward();
    let size = |values: Vec<f32>| values.iter().map(|x| x * x).sum::<f32>();
    assert!(size(floats(f.grad(&gradients).unwrap())) > 0.0);
    assert!(size(floats(codes.grad(&gradients).unwrap())) > 0.0);
    for conv in &vq.vqvae.quantize.quant_resi.convs {
        assert!(size(floats(conv.weight.val().grad(&gradients).unwrap())) > 0.0);
    }
}

#[test]
fn the_codes_gradient_is_the_slope_of_their_loss() {
    let vq = trainable();
    let f = Tensor::<4>::from_inner(tensor(&file("reference_vae.safetensors"), "f"));
    let output = vq.quantize_train(f.clone());
    let used = ints(output.tokens[0].clone())[0] as usize;
    let gradients = output.loss.backward();
    let slope = floats(vq.vqvae.quantize.embedding.weight.val().grad(&gradients).unwrap())[used * 8 + 2];

    // The commitment term treats the code as constant, but its value moves with it: 1.25 times the codes'
    // term.
    let loss = |step: f32| {
        let mut vq = vq.clone();
        let mut code = floats(vq.vqvae.quantize.embedding.weight.val().narrow(0, used, 1));
        code[2] += step;
        vq.restart_codes(&[used], Tensor::from_data(TensorData::new(code, [1, 8]), &Device::flex())).unwrap();
        floats(vq.quantize_train(f.clone()).loss)[0]
    };
    let numeric = (loss(2e-3) - loss(-2e-3)) / 4e-3 / 1.25;
    assert!((numeric - slope).abs() < 2e-3 * slope.abs().max(0.1), "{numeric} {slope}");
}

#[test]
fn one_step_down_the_gradient_lowers_the_loss_of_a_fresh_model() {
    let config = VqvaeConfig {
        encoder_blocks: vec![1, 1],
        decoder_blocks: vec![1, 0],
        latent_channels: 4,
        vocabulary: 32,
        norm_groups: 8,
        // Three scales choose three of four φ: the fourth would have no gradient.
        phi: PhiKind::PerScale,
        ..VqvaeConfig::new(16, &[1, 2])
    };
    let device = Device::flex().autodiff();
    let mut vq = config.init(ScaleSchedule::square(&[1, 2, 4]).unwrap(), 1, &device).unwrap();
    let images = Tensor::<4>::from_inner(super::fixtures::images(2, 8) * 2.0 - 1.0);
    let loss = |vq: &MultiScaleVq| {
        let output = vq.quantize_train(vq.encode_features(images.clone()).unwrap());
        (vq.vqvae.images(output.f_hat) - images.clone()).square().mean() + output.loss
    };
    let before = loss(&vq);
    let gradients = before.backward();
    let gradients = burn::optim::GradientsParams::from_grads(gradients, &vq);
    let trained = gradients.len();
    vq = burn::optim::SgdConfig::new().init().step(0.02, vq, gradients);
    assert_eq!(trained, vq.vqvae.num_tensors());
    assert!(floats(loss(&vq)) < floats(before));
}

/// Counts parameters.
trait NumTensors {
    fn num_tensors(&self) -> usize;
}

impl<M: Module> NumTensors for M {
    fn num_tensors(&self) -> usize {
        struct Count(usize);
        impl burn::module::ModuleVisitor for Count {
            fn visit_float<const D: usize>(&mut self, _: &burn::module::Param<Tensor<D>>) {
                self.0 += 1;
            }
        }
        let mut count = Count(0);
        self.visit(&mut count);
        count.0
    }
}

#[test]
fn restarted_codes_take_their_values_and_stay_trained() {
    let mut vq = trainable();
    let id = vq.vqvae.quantize.embedding.weight.id;
    let before = floats(vq.vqvae.quantize.embedding.weight.val());
    let values: Vec<f32> = (0..16).map(|i| i as f32).collect();
    let rows = |rows: usize| {
        Tensor::<2>::from_data(TensorData::new(values[..rows * 8].to_vec(), [rows, 8]), &Device::flex())
    };
    vq.restart_codes(&[5, 63], rows(2)).unwrap();
    let weight = &vq.vqvae.quantize.embedding.weight;
    let after = floats(weight.val());
    assert_eq!(after[40..48], values[..8]);
    assert_eq!(after[63 * 8..], values[8..]);
    assert_eq!(after[..40], before[..40]);
    assert!(weight.id == id && weight.val().is_require_grad());

    assert!(vq.restart_codes(&[64], rows(1)).unwrap_err().to_string().contains("0 to 63"));
    assert!(vq.restart_codes(&[1], rows(2)).is_err());
}
