//! VAR's tokenizer and transformer.

mod backbone;
mod tokenizer;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use nextscale_backbones::var::{AdaLn, AttentionKind, Var};
use nextscale_core::{Dtype, ScaleSchedule};
use nextscale_families::var::training::{
    BackboneModel, TrainBackbone, TrainTokenizer, train_backbone, train_tokenizer,
};
use nextscale_tokenizers::Tokenizer;
use nextscale_tokenizers::vq::{MultiScaleVq, PhiKind, VqvaeConfig};
use nextscale_train::config::{AdversarialTerm, Learn, PerceptualTerm, TrainClassifier};
use nextscale_train::{Options, Training, checkpoint, train_classifier};

use super::common::{assert_same, column, data, options, training};

pub(super) fn scales() -> ScaleSchedule {
    ScaleSchedule::square(&[1, 2, 4]).unwrap()
}

pub(super) fn tokenizer_config(root: &Path) -> TrainTokenizer {
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

pub(super) fn backbone_config(root: &Path, tokenizer: PathBuf) -> TrainBackbone {
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

pub(super) fn classifier_config(root: &Path) -> TrainClassifier {
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
        Err(error) => {
            assert!(error.to_string().starts_with("dtype: this processor does not"), "{error}");
            nextscale_kernels::skip_test("bf16");
        }
    }
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
