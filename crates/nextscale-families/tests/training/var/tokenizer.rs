//! Trainings of a tokenizer: from weights, of its decoder, and in mixed precision.

use std::path::Path;

use burn::tensor::{Device, TensorData};
use nextscale_backbones::Backbone;
use nextscale_backbones::var::Var;
use nextscale_core::{Dtype, Grid, ScaleSchedule};
use nextscale_families::var::training::{
    TrainBackbone, TrainTokenizer, open_tokenizer, train_backbone, train_tokenizer,
};
use nextscale_tokenizers::Tokenizer;
use nextscale_tokenizers::vq::VqvaeConfig;
use nextscale_train::config::{AdversarialTerm, Learn, PerceptualTerm, TrainClassifier};
use nextscale_train::{Options, Training, checkpoint, train_classifier};
use nextscale_weights::{Precision, WeightFile, save_safetensors};

use super::super::common::{assert_same, column, options, training};
use super::{backbone_config, classifier_config, tokenizer_config};

#[test]
fn a_tokenizer_goes_on_from_weights_under_a_perceptual_loss() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let (straight, resumed) = (folder.path().join("c-straight"), folder.path().join("c-resumed"));
    let config = classifier_config(folder.path());
    let outcome = train_classifier(&config, &options(straight.clone()), &device).unwrap();
    let stopping = Options { max_minutes: Some(0.0), ..options(resumed.clone()) };
    for step in 1..config.steps {
        assert_eq!(train_classifier(&config, &stopping, &device).unwrap().step, step);
    }
    assert_eq!(train_classifier(&config, &stopping, &device).unwrap().evaluation, outcome.evaluation);
    let weights = "classifier.safetensors";
    assert_same(&straight, &resumed, &[checkpoint::FILE, "evaluation.csv", "samples.png", weights]);
    let classifier = straight.join(weights);

    let first = folder.path().join("first");
    let config = TrainTokenizer { steps: 3, ..tokenizer_config(folder.path()) };
    train_tokenizer(&config, &options(first.clone()), &device).unwrap();
    let start = first.join("tokenizer.safetensors");
    let config = TrainTokenizer {
        steps: 4,
        perceptual: Some(PerceptualTerm { classifier, weight: 0.3 }),
        start: Some(start.clone()),
        ..tokenizer_config(folder.path())
    };
    let (straight, resumed) = (folder.path().join("straight"), folder.path().join("resumed"));
    train_tokenizer(&config, &options(straight.clone()), &device).unwrap();
    let stopping = Options { max_minutes: Some(0.0), ..options(resumed.clone()) };
    for _ in 0..config.steps {
        train_tokenizer(&config, &stopping, &device).unwrap();
    }
    assert_same(&straight, &resumed, &[checkpoint::FILE, "tokenizer.safetensors"]);
    assert!(column(&straight, "perceptual")[0] > 0.0);
    assert_eq!(column(&first, "perceptual")[0], 0.0);

    let faults = |config: &TrainTokenizer, name: &str| {
        train_tokenizer(config, &options(folder.path().join(name)), &device).unwrap_err().to_string()
    };
    let wider = VqvaeConfig { latent_channels: 8, ..config.model.clone() };
    let message = faults(&TrainTokenizer { model: wider, ..config.clone() }, "wider");
    assert!(message.contains("start") && message.contains("latent_channels"), "{message}");
    let term = PerceptualTerm { classifier: start, weight: 0.3 };
    let message = faults(&TrainTokenizer { perceptual: Some(term), ..config.clone() }, "no-classifier");
    assert!(message.contains("train classifier"), "{message}");

    // A file with the right header but no stages, and one whose channels no norm divides.
    for (channels, told) in [("8", "0 stages"), ("7", "multiple of 8")] {
        let broken = folder.path().join(format!("broken-{channels}.safetensors"));
        let header = [("channels".to_owned(), channels.to_owned()), ("classes".to_owned(), "10".to_owned())];
        save_safetensors(
            &broken,
            [("head_bias".to_owned(), TensorData::new(vec![0.0f32; 10], [10]))],
            Precision::F32,
            &header.into(),
        )
        .unwrap();
        let term = PerceptualTerm { classifier: broken, weight: 0.3 };
        let message = faults(&TrainTokenizer { perceptual: Some(term), ..config.clone() }, "broken");
        assert!(message.contains("broken-") && message.contains(told), "{message}");
    }
}

#[test]
fn a_tokenizer_with_a_scale_that_is_no_square_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let scales = ScaleSchedule::new(vec![Grid::square(1), Grid::new(2, 3), Grid::square(4)]).unwrap();
    let out = folder.path().join("tokenizer");
    let config = TrainTokenizer { steps: 2, scales: scales.clone(), ..tokenizer_config(folder.path()) };
    assert!(train_tokenizer(&config, &options(out.clone()), &device).unwrap().finished);
    let trained = out.join("tokenizer.safetensors");
    assert_eq!(open_tokenizer(&trained, &device).unwrap().schedule(), &scales);

    let saved = folder.path().join("saved.safetensors");
    config.model.init(scales.clone(), 1, &device).unwrap().save(&saved, Precision::F32).unwrap();
    assert_eq!(open_tokenizer(&saved, &device).unwrap().schedule(), &scales);

    let out = folder.path().join("backbone");
    let config = TrainBackbone { steps: 2, ..backbone_config(folder.path(), trained) };
    assert!(train_backbone(&config, &options(out.clone()), &device).unwrap().finished);
    let backbone = Var::open(out.join("backbone.safetensors"), Some(&scales), &device).unwrap();
    assert_eq!(backbone.schedule(), &scales);

    let about = [("norm_groups", "2"), ("phi_ratio", "0.5"), ("scales", "1 2×three 4")];
    let about = about.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    save_safetensors(&saved, [("a".to_owned(), TensorData::new(vec![0.0f32], [1]))], Precision::F32, &about)
        .unwrap();
    let error = open_tokenizer(&saved, &device).err().unwrap().to_string();
    assert!(error.contains("saved.safetensors: scales: `2×three` is not a grid"), "{error}");

    // Other files in a tokenizer's place are called what they are.
    let about = [("classes".to_owned(), "3".to_owned())].into();
    let widen = [("stages.0.widen.weight".to_owned(), TensorData::new(vec![0.0f32], [1]))];
    save_safetensors(&saved, widen, Precision::F32, &about).unwrap();
    let error = open_tokenizer(&saved, &device).err().unwrap().to_string();
    assert!(error.contains("is a classifier, not a tokenizer"), "{error}");
    let error = open_tokenizer(&out.join("backbone.safetensors"), &device).err().unwrap().to_string();
    assert!(error.contains("is not a VQVAE"), "{error}");
    std::fs::write(&saved, "(model: Shipped(\"cifar10\"))").unwrap();
    let error = open_tokenizer(&saved, &device).err().unwrap().to_string();
    assert!(error.contains("it is text, like a config"), "{error}");
}

#[test]
fn a_decoder_learns_under_a_discriminator_and_leaves_encoder_and_codes_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let first = folder.path().join("first");
    let config = TrainTokenizer { steps: 20, ..tokenizer_config(folder.path()) };
    train_tokenizer(&config, &options(first.clone()), &device).unwrap();
    let start = first.join("tokenizer.safetensors");
    let config = TrainTokenizer {
        steps: 40,
        learn: Learn::Decoder,
        start: Some(start.clone()),
        adversarial: Some(AdversarialTerm { weight: 1e-3, from_step: 6, channels: 8 }),
        training: Training { log_every: 4, sample_every: 20, ..training() },
        ..tokenizer_config(folder.path())
    };
    let (straight, resumed) = (folder.path().join("straight"), folder.path().join("resumed"));
    let outcome = train_tokenizer(&config, &options(straight.clone()), &device).unwrap();
    let stopping = Options { max_minutes: Some(0.0), ..options(resumed.clone()) };
    for step in 1..10 {
        assert_eq!(train_tokenizer(&config, &stopping, &device).unwrap().step, step);
    }
    let rest = train_tokenizer(&config, &options(resumed.clone()), &device).unwrap();
    assert_eq!(rest.evaluation, outcome.evaluation);
    let files = [checkpoint::FILE, "evaluation.csv", "samples-000020.png", "tokenizer.safetensors"];
    assert_same(&straight, &resumed, &files);

    let values = |path: &Path| {
        let file = WeightFile::open(path).unwrap();
        let names: Vec<String> = file.names().map(String::from).collect();
        let bits = |name: &String| -> Vec<u32> {
            file.values(name).unwrap().0.into_iter().map(f32::to_bits).collect()
        };
        names.iter().map(|name| (name.clone(), bits(name))).collect::<Vec<_>>()
    };
    let (before, after) = (values(&start), values(&straight.join("tokenizer.safetensors")));
    let mut kept = 0;
    for ((name, before), (other, after)) in before.iter().zip(&after) {
        assert_eq!(name, other);
        let stays = !name.starts_with("decoder.") && !name.starts_with("post_quant_conv.");
        kept += usize::from(stays);
        assert!(!stays || before == after, "{name} moved");
    }
    assert!(kept > 10 && before.len() == after.len());
    let conv =
        |values: &[(String, Vec<u32>)], key: &str| values.iter().find(|(n, _)| n == key).unwrap().1.clone();
    for key in ["decoder.conv_out.weight", "post_quant_conv.weight"] {
        assert_ne!(conv(&before, key), conv(&after, key), "{key} stayed");
    }

    let (squared, hinge) = (column(&straight, "squared_error"), column(&straight, "discriminator"));
    assert!(squared.last() < squared.first(), "{squared:?}");
    assert!(hinge.iter().all(|&loss| loss > 0.0));
    assert!(column(&straight, "quantiser").iter().all(|&loss| loss == 0.0));
    let total = |i: usize, weight: f64| {
        let part = |name: &str| column(&straight, name)[i];
        let rest = part("squared_error") + 0.05 * part("gradient_error") + part("discriminator");
        (part("loss") - rest - weight * part("adversarial")).abs()
    };
    // The first window is before the discriminator affects the generator, the last one after.
    assert!(total(0, 0.0) < 1e-5 && total(9, 1e-3) < 1e-5, "{} {}", total(0, 0.0), total(9, 1e-3));
    assert!(total(9, 0.0) > 1e-5);

    let missing = TrainTokenizer { start: None, ..config };
    let message = train_tokenizer(&missing, &options(folder.path().join("x")), &device).unwrap_err();
    assert!(message.to_string().starts_with("start: `learn: Decoder`"), "{message}");
}

/// Wide enough for the convolutions that are rounded.
#[test]
fn a_tokenizer_in_mixed_precision_takes_the_course_of_one_in_f32_and_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let classifier =
        TrainClassifier { channels: 32, steps: 3, dtype: Dtype::Bf16, ..classifier_config(folder.path()) };
    let base = tokenizer_config(folder.path());
    let model = VqvaeConfig {
        encoder_blocks: vec![0, 0, 1],
        decoder_blocks: vec![0, 0, 1],
        attention: vec![false; 3],
        norm_groups: 8,
        ..VqvaeConfig { multipliers: vec![1, 1, 2], channels: 32, ..base.model.clone() }
    };
    let scales = ScaleSchedule::square(&[1, 2, 4, 8]).unwrap();
    let whole = TrainTokenizer { model, scales, adversarial: None, ..base };
    let mixed = TrainTokenizer { dtype: Dtype::Bf16, ..whole.clone() };
    let out = |name: &str| options(folder.path().join(name));
    if !nextscale_kernels::rounds() {
        let error = train_tokenizer(&mixed, &out("mixed"), &device).unwrap_err().to_string();
        assert!(error.starts_with("dtype: this processor does not"), "{error}");
        return nextscale_kernels::skip_test("bf16");
    }
    train_classifier(&classifier, &out("classifier"), &device).unwrap();
    let classifier = folder.path().join("classifier/classifier.safetensors");
    let perceptual = Some(PerceptualTerm { classifier, weight: 0.1 });
    let adversarial = Some(AdversarialTerm { weight: 1e-3, from_step: 2, channels: 16 });
    let [whole, mixed] = [whole, mixed].map(|config| TrainTokenizer {
        perceptual: perceptual.clone(),
        adversarial: adversarial.clone(),
        ..config
    });
    let in_f32 = train_tokenizer(&whole, &out("whole"), &device).unwrap();
    let in_bf16 = train_tokenizer(&mixed, &out("mixed"), &device).unwrap();
    let stopping = Options { max_minutes: Some(0.0), ..out("resumed") };
    for _ in 0..mixed.steps {
        train_tokenizer(&mixed, &stopping, &device).unwrap();
    }
    assert_same(&out("mixed").out, &stopping.out, &[checkpoint::FILE, "tokenizer.safetensors"]);
    let psnr = |outcome: &nextscale_train::Outcome| outcome.evaluation[0].1;
    let gap = (psnr(&in_f32) - psnr(&in_bf16)).abs();
    assert!(0.0 < gap && gap < 0.2, "{} {}", psnr(&in_f32), psnr(&in_bf16));
}
