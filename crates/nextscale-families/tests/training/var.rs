//! VAR's tokenizer and transformer.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, TensorData};
use nextscale_backbones::Backbone;
use nextscale_backbones::var::{AdaLn, AttentionKind, Var};
use nextscale_core::{Dtype, Grid, ScaleSchedule};
use nextscale_families::var::training::{
    BackboneModel, TrainBackbone, TrainTokenizer, open_tokenizer, train_backbone, train_tokenizer,
};
use nextscale_tokenizers::Tokenizer;
use nextscale_tokenizers::vq::{MultiScaleVq, PhiKind, VqvaeConfig};
use nextscale_train::config::{AdversarialTerm, Learn, PerceptualTerm, TrainClassifier};
use nextscale_train::{MuonConfig, Options, Training, checkpoint, train_classifier};
use nextscale_weights::{Precision, WeightFile, save_safetensors};

use super::common::{assert_same, column, data, options, training};

fn scales() -> ScaleSchedule {
    ScaleSchedule::square(&[1, 2, 4]).unwrap()
}

fn tokenizer_config(root: &Path) -> TrainTokenizer {
    TrainTokenizer {
        data: data(root),
        seed: 3,
        steps: 8,
        batch: 3,
        flips: true,
        model: VqvaeConfig {
            encoder_blocks: vec![0, 0, 0, 1],
            decoder_blocks: vec![0, 0, 0, 1],
            attention: vec![false; 4],
            latent_channels: 4,
            vocabulary: 16,
            phi: PhiKind::Nearest(2),
            norm_groups: 2,
            ..VqvaeConfig::new(4, &[1, 1, 1, 2])
        },
        learn: Learn::All,
        scales: scales(),
        gradient_weight: 0.05,
        perceptual: None,
        adversarial: None,
        start: None,
        quantiser_weight: 0.5,
        unquantised_steps: 2,
        restart_every: 2,
        restart_until: 1.0,
        dtype: Dtype::F32,
        training: training(),
    }
}

fn backbone_config(root: &Path, tokenizer: PathBuf) -> TrainBackbone {
    TrainBackbone {
        data: data(root),
        tokenizer,
        seed: 4,
        steps: 6,
        batch: 3,
        flips: true,
        shift: 0,
        model: BackboneModel {
            depth: 2,
            width: 16,
            heads: 2,
            hidden: None,
            ada_ln: AdaLn::Shared,
            attention: AttentionKind::L2,
            gate: 1e-3,
        },
        start: None,
        label_dropout: 0.3,
        dtype: Dtype::F32,
        training: training(),
    }
}

fn classifier_config(root: &Path) -> TrainClassifier {
    TrainClassifier {
        data: data(root),
        seed: 5,
        steps: 6,
        batch: 3,
        flips: true,
        channels: 8,
        stages: 3,
        dtype: Dtype::F32,
        training: training(),
    }
}

#[test]
fn a_tokenizer_and_a_backbone_stopped_after_every_step_equal_straight_ones() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let (straight, resumed) = (folder.path().join("straight"), folder.path().join("resumed"));

    let config = tokenizer_config(folder.path());
    let outcome = train_tokenizer(&config, &options(straight.clone()), &device).unwrap();
    assert!(outcome.finished);
    let stopping = Options { max_minutes: Some(0.0), ..options(resumed.clone()) };
    for step in 1..config.steps {
        let part = train_tokenizer(&config, &stopping, &device).unwrap();
        assert_eq!((part.step, part.finished), (step, false));
    }
    assert_eq!(train_tokenizer(&config, &stopping, &device).unwrap().evaluation, outcome.evaluation);
    let weights = "tokenizer.safetensors";
    assert_same(&straight, &resumed, &[checkpoint::FILE, "evaluation.csv", "samples-000004.png", weights]);

    let weights = straight.join(weights);
    let tokenizer = MultiScaleVq::open(&weights, scales(), None, true, &device).unwrap();
    assert_eq!((tokenizer.alphabet().classes, tokenizer.image_size()), (16, (32, 32)));

    let (straight, resumed) = (folder.path().join("b-straight"), folder.path().join("b-resumed"));
    let config = backbone_config(folder.path(), weights);
    let outcome = train_backbone(&config, &options(straight.clone()), &device).unwrap();
    let stopping = Options { max_minutes: Some(0.0), ..options(resumed.clone()) };
    for step in 1..config.steps {
        assert_eq!(train_backbone(&config, &stopping, &device).unwrap().step, step);
    }
    assert_eq!(train_backbone(&config, &stopping, &device).unwrap().evaluation, outcome.evaluation);
    let files =
        [checkpoint::FILE, "evaluation.csv", "samples.png", "backbone.safetensors", "tokens.safetensors"];
    assert_same(&straight, &resumed, &files);
    let model = Var::open(straight.join("backbone.safetensors"), None, &device).unwrap();
    assert_eq!((model.config().classes, model.config().depth), (10, 2));

    let mixed = TrainBackbone { dtype: Dtype::Bf16, ..config };
    let out = folder.path().join("b-mixed");
    match train_backbone(&mixed, &options(out.clone()), &device) {
        Ok(rounded) => {
            let stopping =
                Options { max_minutes: Some(0.0), ..options(folder.path().join("b-resumed-mixed")) };
            for _ in 0..mixed.steps {
                train_backbone(&mixed, &stopping, &device).unwrap();
            }
            assert_same(&out, &stopping.out, &files);
            // Other numbers, but the same course.
            let loss = |outcome: &nextscale_train::Outcome| outcome.evaluation[0].1;
            let gap = (loss(&rounded) - loss(&outcome)).abs();
            assert!(0.0 < gap && gap < 0.02 * loss(&outcome), "{} {}", loss(&rounded), loss(&outcome));
        }
        Err(error) => assert!(error.to_string().starts_with("dtype: this processor does not"), "{error}"),
    }
}

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

#[test]
fn a_backbone_moved_by_muon_resumes_and_another_begins_from_its_weights() {
    let root = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let path = |name: &str| root.path().join(name);
    let tokenizer = TrainTokenizer { steps: 3, ..tokenizer_config(root.path()) };
    train_tokenizer(&tokenizer, &options(path("tokenizer")), &device).unwrap();
    let by_adam_w = backbone_config(root.path(), path("tokenizer/tokenizer.safetensors"));
    let muon = |muon| Training { muon, ..training() };
    let config = TrainBackbone { training: muon(Some(MuonConfig::default())), ..by_adam_w.clone() };
    train_backbone(&by_adam_w, &options(path("adam-w")), &device).unwrap();
    train_backbone(&config, &options(path("straight")), &device).unwrap();
    let stopping = Options { max_minutes: Some(0.0), ..options(path("resumed")) };
    for step in 1..config.steps {
        assert_eq!(train_backbone(&config, &stopping, &device).unwrap().step, step);
    }
    assert!(train_backbone(&config, &stopping, &device).unwrap().finished);
    assert_same(&path("straight"), &path("resumed"), &[checkpoint::FILE, "backbone.safetensors"]);
    assert_ne!(column(&path("straight"), "loss"), column(&path("adam-w"), "loss"));

    // With a negligible learning rate, the loss is that of the initial weights, and not of fresh ones.
    let start = Some(path("straight/backbone.safetensors"));
    let training = Training { learning_rate: 1e-9, ema: 0.0, ..muon(None) };
    let still = TrainBackbone { steps: 1, start: start.clone(), training, ..config.clone() };
    let evaluated = |config: &TrainBackbone, name: &str| {
        train_backbone(config, &options(path(name)), &device).unwrap().evaluation[0].1
    };
    let (before, after) = (evaluated(&config, "straight"), evaluated(&still, "begun"));
    assert!((before - after).abs() < 1e-4, "{before} {after}");
    let deeper = BackboneModel { depth: config.model.depth + 1, ..config.model.clone() };
    let grown = evaluated(&TrainBackbone { model: deeper, ..still.clone() }, "grown");
    assert!((before - grown).abs() < 1e-4, "{before} {grown}");
    assert!((evaluated(&TrainBackbone { start: None, ..still.clone() }, "fresh") - after).abs() > 1e-2);

    let fault = |config: &TrainBackbone| {
        train_backbone(config, &options(path("fault")), &device).unwrap_err().to_string()
    };
    let wider = BackboneModel { width: 32, ..config.model.clone() };
    let message = fault(&TrainBackbone { model: wider, ..still.clone() });
    assert!(message.starts_with("start: ") && message.contains("width: 16 there, 32 here"), "{message}");
    let deep = Some(path("grown/backbone.safetensors"));
    let message = fault(&TrainBackbone { start: deep, ..still.clone() });
    assert!(message.starts_with("start: ") && message.contains("depth: 3 there, 2 here"), "{message}");
    let message = fault(&TrainBackbone { start: Some(path("none.safetensors")), ..still.clone() });
    assert!(message.starts_with("start: cannot read ") && message.matches("none.safetensors").count() == 1);
    let message = fault(&TrainBackbone { start: Some(path("tokenizer/tokenizer.safetensors")), ..still });
    assert!(message.contains("tokenizer.safetensors"), "{message}");
    let message = fault(&TrainBackbone {
        training: muon(Some(MuonConfig { momentum: 1.0, ..MuonConfig::default() })),
        ..config
    });
    assert!(message.starts_with("training.muon.momentum: "), "{message}");
    let classifier =
        TrainClassifier { training: muon(Some(MuonConfig::default())), ..classifier_config(root.path()) };
    let message = train_classifier(&classifier, &options(path("fault")), &device).unwrap_err().to_string();
    assert!(message.starts_with("training.muon: "), "{message}");
}

#[test]
fn a_backbone_learns_from_images_that_move_and_resumes() {
    let root = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let path = |name: &str| root.path().join(name);
    let tokenizer = TrainTokenizer { steps: 3, ..tokenizer_config(root.path()) };
    train_tokenizer(&tokenizer, &options(path("tokenizer")), &device).unwrap();
    let still = backbone_config(root.path(), path("tokenizer/tokenizer.safetensors"));
    let config = TrainBackbone { shift: 5, ..still.clone() };
    let outcome = train_backbone(&config, &options(path("straight")), &device).unwrap();
    let stopping = Options { max_minutes: Some(0.0), ..options(path("resumed")) };
    for step in 1..config.steps {
        assert_eq!(train_backbone(&config, &stopping, &device).unwrap().step, step);
    }
    assert_eq!(train_backbone(&config, &stopping, &device).unwrap().evaluation, outcome.evaluation);
    let files = [checkpoint::FILE, "evaluation.csv", "backbone.safetensors", "tokens.safetensors"];
    assert_same(&path("straight"), &path("resumed"), &files);
    // In parts, the images are the same.
    let parts = TrainBackbone { training: Training { micro_batches: 2, ..training() }, ..config.clone() };
    train_backbone(&parts, &options(path("parts")), &device).unwrap();
    for (whole, parts) in column(&path("straight"), "loss").into_iter().zip(column(&path("parts"), "loss")) {
        assert!((whole - parts).abs() < 1e-4 * whole, "{whole} {parts}");
    }
    // Training uses other images; the held-out images are the same.
    train_backbone(&still, &options(path("still")), &device).unwrap();
    assert_ne!(column(&path("straight"), "loss"), column(&path("still"), "loss"));
    let rows = |name: &str, split: &str| {
        let file = WeightFile::open(path(name).join("tokens.safetensors")).unwrap();
        file.info(&format!("{split}.labels")).unwrap().shape[0]
    };
    assert_eq!([rows("straight", "train"), rows("still", "train")], [0, 40]);
    assert_eq!([rows("straight", "test"), rows("still", "test")], [4, 4]);
    let far = TrainBackbone { shift: 32, ..still };
    let message = train_backbone(&far, &options(path("far")), &device).unwrap_err().to_string();
    assert!(message.starts_with("shift: 32 pixels"), "{message}");
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
        return;
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

#[test]
fn every_training_in_micro_batches_takes_the_course_of_one_without() {
    let root = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let path = |name: &str| root.path().join(name);
    let near = |whole: &str, parts: &str, names: &[&str]| {
        for name in names {
            for (a, b) in column(&path(whole), name).into_iter().zip(column(&path(parts), name)) {
                assert!((a - b).abs() <= 2e-4 * a.abs(), "{name}: {a} whole, {b} in parts");
            }
        }
    };
    let in_parts = |micro_batches| Training { micro_batches, ..training() };

    let classifier = classifier_config(root.path());
    train_classifier(&classifier, &options(path("classifier")), &device).unwrap();
    let parts = TrainClassifier { training: in_parts(3), ..classifier };
    train_classifier(&parts, &options(path("classifier-parts")), &device).unwrap();
    near("classifier", "classifier-parts", &["loss"]);

    // Three images in two parts have weights of two thirds and one third. Every term of the loss is present,
    // and codes are redrawn.
    let whole = TrainTokenizer {
        perceptual: Some(PerceptualTerm {
            classifier: path("classifier/classifier.safetensors"),
            weight: 0.1,
        }),
        adversarial: Some(AdversarialTerm { weight: 0.1, from_step: 1, channels: 8 }),
        ..tokenizer_config(root.path())
    };
    train_tokenizer(&whole, &options(path("tokenizer")), &device).unwrap();
    let parts = TrainTokenizer { training: in_parts(2), ..whole.clone() };
    train_tokenizer(&parts, &options(path("tokenizer-parts")), &device).unwrap();
    let terms = ["loss", "squared_error", "quantiser", "perceptual", "adversarial", "discriminator"];
    near("tokenizer", "tokenizer-parts", &terms);
    assert_eq!(column(&path("tokenizer"), "codes_used"), column(&path("tokenizer-parts"), "codes_used"));

    let whole = backbone_config(root.path(), path("tokenizer/tokenizer.safetensors"));
    train_backbone(&whole, &options(path("backbone")), &device).unwrap();
    let parts = TrainBackbone { training: in_parts(2), ..whole.clone() };
    train_backbone(&parts, &options(path("backbone-parts")), &device).unwrap();
    near("backbone", "backbone-parts", &["loss", "scale_0", "scale_1", "scale_2"]);

    // A run can be resumed with another number of parts.
    let stopping = Options { max_minutes: Some(0.0), ..options(path("backbone-both")) };
    assert_eq!(train_backbone(&whole, &stopping, &device).unwrap().step, 1);
    assert!(train_backbone(&parts, &options(path("backbone-both")), &device).unwrap().finished);
    near("backbone", "backbone-both", &["loss"]);

    let none = TrainBackbone { training: in_parts(4), ..whole };
    let error = train_backbone(&none, &options(path("backbone-none")), &device).unwrap_err().to_string();
    assert!(error.contains("micro_batches") && error.contains("4 parts of 3 images"), "{error}");
}
