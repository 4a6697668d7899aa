//! The bitwise tokenizer.

use std::path::Path;

use burn::tensor::Device;
use nextscale_config::{Document, Node};
use nextscale_core::{Alphabet, Dtype, ScaleSchedule};
use nextscale_families::Error;
use nextscale_families::infinity::training::tokenizer::{
    QuantiserLoss, TrainBitwise, architecture, train_bitwise,
};
use nextscale_tokenizers::Tokenizer;
use nextscale_tokenizers::bitwise::{BsqVaeConfig, MultiScaleBsq};
use nextscale_train::config::Learn;
use nextscale_train::{Options, Training, checkpoint};

use super::common::{assert_same, column, data, options, training};

fn config(root: &Path) -> TrainBitwise {
    TrainBitwise {
        data: data(root),
        seed: 3,
        steps: 6,
        batch: 3,
        flips: true,
        model: BsqVaeConfig {
            encoder_blocks: vec![0, 0, 0, 1],
            decoder_blocks: vec![0, 0, 0, 1],
            norm_groups: Some(2),
            ..BsqVaeConfig::new(4, &[1, 1, 1, 2], 6)
        },
        learn: Learn::All,
        scales: ScaleSchedule::square(&[1, 2, 3, 4]).unwrap(),
        gradient_weight: 0.05,
        perceptual: None,
        adversarial: None,
        start: None,
        quantiser_weight: 0.5,
        quantiser: QuantiserLoss::default(),
        dtype: Dtype::F32,
        training: Training { log_every: 4, ..training() },
    }
}

#[test]
fn a_bitwise_tokenizer_stopped_after_every_step_equals_a_straight_one() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let path = |name: &str| folder.path().join(name);
    let config = config(folder.path());
    let outcome = train_bitwise(&config, &options(path("straight")), &device).unwrap();
    let stopping = Options { max_minutes: Some(0.0), ..options(path("resumed")) };
    for step in 1..config.steps {
        assert_eq!(train_bitwise(&config, &stopping, &device).unwrap().step, step);
    }
    assert_eq!(train_bitwise(&config, &stopping, &device).unwrap().evaluation, outcome.evaluation);
    let files = [checkpoint::FILE, "evaluation.csv", "samples-000004.png", "tokenizer.safetensors"];
    assert_same(&path("straight"), &path("resumed"), &files);
    assert!(column(&path("straight"), "bit_entropy").iter().all(|entropy| (0.0..=1.0).contains(entropy)));
    assert!(column(&path("straight"), "quantiser").iter().all(|loss| *loss != 0.0));

    let weights = path("straight/tokenizer.safetensors");
    let opened = MultiScaleBsq::open(&weights, config.scales.clone(), false, true, &device).unwrap();
    assert_eq!((opened.alphabet(), opened.image_size()), (Alphabet::bits(6), (32, 32)));
    assert_eq!(opened.config(), &config.model);

    // Another run starts from these weights; with a negligible learning rate it reproduces their numbers.
    let still = Training { learning_rate: 1e-9, ema: 0.0, ..training() };
    let begun = TrainBitwise { steps: 1, start: Some(weights.clone()), training: still, ..config.clone() };
    let again = train_bitwise(&begun, &options(path("begun")), &device).unwrap().evaluation;
    assert!((again[0].1 - outcome.evaluation[0].1).abs() < 0.05, "{again:?} {outcome:?}");
    let wider = BsqVaeConfig { bits: 8, ..config.model.clone() };
    let error = train_bitwise(&TrainBitwise { model: wider, ..begun.clone() }, &options(path("x")), &device);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("tokenizer.safetensors"), "{error}");

    // Only its decoder is trained, on the existing bits.
    let decoder = TrainBitwise { steps: 3, learn: Learn::Decoder, training: training(), ..begun };
    train_bitwise(&decoder, &options(path("decoder")), &device).unwrap();
    let after = path("decoder/tokenizer.safetensors");
    let after = MultiScaleBsq::open(after, config.scales.clone(), false, true, &device).unwrap();
    let values = |model: &MultiScaleBsq, part: &str| {
        let of = model.tensors().into_iter().filter(|(key, _)| key.starts_with(part));
        of.map(|(_, values)| values).collect::<Vec<_>>()
    };
    assert_eq!(values(&opened, "encoder."), values(&after, "encoder."));
    assert_ne!(values(&opened, "decoder."), values(&after, "decoder."));
}

#[test]
fn a_bitwise_tokenizer_learns_to_reconstruct_and_uses_its_bits() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let config = TrainBitwise {
        steps: 100,
        batch: 6,
        model: BsqVaeConfig {
            encoder_blocks: vec![0, 0, 1],
            decoder_blocks: vec![0, 0, 1],
            norm_groups: Some(4),
            ..BsqVaeConfig::new(16, &[1, 1, 2], 8)
        },
        scales: ScaleSchedule::square(&[1, 2, 4, 8]).unwrap(),
        training: Training { learning_rate: 4e-3, log_every: 20, sample_every: 0, ..training() },
        ..config(folder.path())
    };
    train_bitwise(&config, &options(folder.path().join("out")), &device).unwrap();
    let errors = column(&folder.path().join("out"), "squared_error");
    assert!(errors[4] < 0.8 * errors[0], "{errors:?}");
    let entropy = column(&folder.path().join("out"), "bit_entropy");
    assert!(entropy[4] > 0.9, "{entropy:?}");
}

#[test]
fn the_config_that_comes_with_the_program_is_read_up_to_its_data() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/train");
    let mut node = Document::read(&folder.join("cifar10-bitwise-tokenizer.ron")).unwrap();
    for change in ["data=Cifar10(\"nowhere\")", "dtype=f32"] {
        node.assign(change).unwrap();
    }
    let out = tempfile::tempdir().unwrap();
    let train =
        |node: &Node| architecture().train(node, out.path(), &options(out.path().into()), &Device::flex());
    let error = train(&node).unwrap_err();
    assert!(matches!(error, Error::Train(_)) && error.to_string().contains("nowhere"), "{error}");
    for (change, told) in [
        ("quantiser.entropy=-1", "quantiser.entropy"),
        ("model.bit=3", "unknown field `bit`"),
        ("steps=0", "steps"),
    ] {
        let mut wrong = node.clone();
        wrong.assign(change).unwrap();
        let error = train(&wrong).unwrap_err().to_string();
        assert!(error.contains(told), "{change}: {error}");
    }
}
