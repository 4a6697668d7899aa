//! Trainings of a backbone: by Muon, from weights, and on images that move.

use burn::tensor::Device;
use nextscale_families::var::training::{
    BackboneModel, TrainBackbone, TrainTokenizer, train_backbone, train_tokenizer,
};
use nextscale_train::config::TrainClassifier;
use nextscale_train::{MuonConfig, Options, Training, checkpoint, train_classifier};
use nextscale_weights::WeightFile;

use super::super::common::{assert_same, column, options, training};
use super::{backbone_config, classifier_config, tokenizer_config};

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
    assert!(
        message.starts_with("start: there is no file ") && message.matches("none.safetensors").count() == 1
    );
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
