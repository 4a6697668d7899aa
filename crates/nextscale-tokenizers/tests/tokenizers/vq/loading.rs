use std::collections::BTreeMap;

use burn::tensor::{Device, TensorData};
use nextscale_core::ScaleSchedule;
use nextscale_tokenizers::{
    Tokenizer,
    vq::{MultiScaleVq, PhiKind, VqvaeConfig},
};
use nextscale_weights::{Error, LoadError, Precision, WeightFile, save_safetensors};

use super::fixtures::{GROUPS, file, floats, images, json, schedule, tensor, tokenizer};

#[test]
fn the_published_config_expects_exactly_the_published_tensors() {
    let shapes = json("shapes.json");
    let expected = VqvaeConfig::published().expected(10, true);
    let mut ours: BTreeMap<String, Vec<u64>> = expected
        .iter()
        .map(|(name, shape)| (name.to_owned(), shape.iter().map(|&n| n as u64).collect()))
        .collect();
    // The buffer that nothing reads.
    ours.insert("quantize.ema_vocab_hit_SV".into(), vec![10, 4096]);
    let upstream: BTreeMap<String, Vec<u64>> = shapes["vae16"]["vae"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, entry)| {
            (name.clone(), entry[0].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect())
        })
        .collect();
    assert_eq!(upstream.len(), 324);
    assert_eq!(ours, upstream);
}

#[test]
fn the_architecture_is_read_from_the_tensors() {
    let expected = VqvaeConfig {
        latent_channels: 8,
        vocabulary: 64,
        norm_groups: GROUPS,
        ..VqvaeConfig::new(8, &[1, 1, 2, 2, 4])
    };
    for name in ["vae.pth", "vae.safetensors"] {
        assert_eq!(VqvaeConfig::infer(&file(name), Some(GROUPS)).unwrap(), expected);
    }
}

/// What a saved model of `config` is read as, and whether it computes the same.
fn round_trip(config: &VqvaeConfig, precision: Precision) -> (VqvaeConfig, f32) {
    let schedule = ScaleSchedule::square(&[1, 2, 4]).unwrap();
    let device = Device::flex();
    let vq = config.init(schedule.clone(), 9, &device).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vae.safetensors");
    vq.save(&path, precision).unwrap();
    let read = MultiScaleVq::open(&path, schedule, None, true, &device).unwrap();
    let images = images(1, 4 * config.reduction()) * 2.0 - 1.0;
    let [a, b] = [&vq, &read].map(|vq| {
        let f = vq.encode_features(images.clone()).unwrap();
        floats(vq.decode_features(f))
    });
    let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    (read.config().clone(), worst)
}

#[test]
fn saved_models_of_many_shapes_read_back_as_they_were() {
    let base = VqvaeConfig {
        encoder_blocks: vec![1, 2],
        decoder_blocks: vec![2, 1],
        latent_channels: 4,
        vocabulary: 16,
        norm_groups: 4,
        ..VqvaeConfig::new(8, &[1, 2])
    };
    for config in [
        base.clone(),
        VqvaeConfig { phi: PhiKind::Identity, ..base.clone() },
        VqvaeConfig { phi: PhiKind::One, phi_ratio: 0.25, ..base.clone() },
        VqvaeConfig { phi: PhiKind::PerScale, ..base.clone() },
        VqvaeConfig { phi: PhiKind::Nearest(2), ..base.clone() },
        VqvaeConfig { attention: vec![true, false], mid_attention: false, ..base.clone() },
        VqvaeConfig { encoder_blocks: vec![0, 1], decoder_blocks: vec![0, 2], ..base.clone() },
        VqvaeConfig { encoder_blocks: vec![1, 0], decoder_blocks: vec![1, 1], ..base.clone() },
        VqvaeConfig {
            encoder_blocks: vec![1, 1],
            decoder_blocks: vec![1, 0],
            attention: vec![false; 2],
            ..base.clone()
        },
        VqvaeConfig {
            encoder_blocks: vec![2],
            decoder_blocks: vec![1],
            attention: vec![true],
            multipliers: vec![1],
            ..base.clone()
        },
    ] {
        let (read, worst) = round_trip(&config, Precision::F32);
        assert_eq!(read, config);
        assert_eq!(worst, 0.0, "{config:?}");
    }
    let (_, worst) = round_trip(&base, Precision::F16);
    assert!(worst > 0.0 && worst < 2e-2, "{worst}");
}

#[test]
fn a_saved_file_has_upstreams_keys_and_shapes() {
    let vq = tokenizer("vae.pth", schedule());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("again.safetensors");
    vq.save(&path, Precision::F32).unwrap();
    let (saved, upstream) = (WeightFile::open(&path).unwrap(), file("vae.safetensors"));
    assert!(saved.names().eq(upstream.names()));
    for name in upstream.names() {
        assert_eq!(saved.info(name), upstream.info(name), "{name}");
        if name != "quantize.ema_vocab_hit_SV" {
            assert_eq!(saved.values(name).unwrap(), upstream.values(name).unwrap(), "{name}");
        }
    }
    assert_eq!(saved.metadata()["norm_groups"], "4");
}

/// The fixture model after `change`, which may drop a tensor or give it another shape.
fn changed(change: impl Fn(&str, Vec<usize>) -> Option<Vec<usize>>) -> (tempfile::TempDir, WeightFile) {
    let upstream = file("vae.safetensors");
    let tensors = upstream.names().filter_map(|name| {
        let (mut values, shape) = upstream.values(name).unwrap();
        let shape = change(name, shape)?;
        values.resize(shape.iter().product(), 0.0);
        Some((name.to_owned(), TensorData::new(values, shape)))
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changed.safetensors");
    save_safetensors(&path, tensors, Precision::F32, &BTreeMap::new()).unwrap();
    let file = WeightFile::open(path).unwrap();
    (folder, file)
}

fn without(prefixes: &[&str]) -> (tempfile::TempDir, WeightFile) {
    changed(|name, shape| (!prefixes.iter().any(|prefix| name.starts_with(prefix))).then_some(shape))
}

#[test]
fn generating_alone_needs_no_encoder() {
    let device = Device::flex();
    let (_folder, part) = without(&["encoder.", "quant_conv."]);
    let canvas = nextscale_core::Canvas { features: tensor(&file("reference_vae.safetensors"), "f_hat.s3") };
    let whole = tokenizer("vae.safetensors", schedule());
    for file in [&part, &file("vae.safetensors")] {
        let vq = MultiScaleVq::load(file, schedule(), GROUPS, false, &device).unwrap();
        assert!(vq.vqvae.encoder.is_none());
        assert_eq!(floats(vq.decode(&canvas).unwrap()), floats(whole.decode(&canvas).unwrap()));
        let error = vq.encode(images(1, 64)).unwrap_err();
        assert!(error.to_string().contains("without its encoder"), "{error}");
    }
    let error = MultiScaleVq::load(&part, schedule(), GROUPS, true, &device).unwrap_err();
    assert!(error.to_string().contains("missing tensor `encoder.conv_in.bias` [8]"), "{error}");
}

#[test]
fn files_that_do_not_fit_are_refused_with_names() {
    let device = Device::flex();
    let load =
        |file: &WeightFile, groups| MultiScaleVq::load(file, schedule(), groups, true, &device).unwrap_err();

    let error = load(&file("var_aln.safetensors"), GROUPS);
    assert!(matches!(error, LoadError::Weights(Error::OtherModel { .. })), "{error}");
    assert!(error.to_string().contains("is not a VQVAE"), "{error}");

    let error = load(&without(&["encoder.down.2.block.1.conv2"]).1, GROUPS);
    assert!(error.to_string().contains("missing tensor `encoder.down.2.block.1.conv2.bias` [16]"), "{error}");

    let reshaped = |name: &str, to: &[usize]| {
        changed(|found, shape| Some(if found == name { to.to_vec() } else { shape }))
    };
    let error = load(&reshaped("decoder.mid.attn_1.qkv.bias", &[95]).1, GROUPS);
    let says = "tensor `decoder.mid.attn_1.qkv.bias` has shape [95], the model needs [96]";
    assert!(error.to_string().contains(says), "{error}");

    let error = load(&reshaped("decoder.up.2.block.0.conv1.weight", &[12, 16, 3, 3]).1, GROUPS);
    let says = "`decoder.up.2.block.0.conv1.weight` has shape [12, 16, 3, 3], the model needs [16, 16, 3, 3]";
    assert!(error.to_string().contains(says), "{error}");

    let error = load(&reshaped("decoder.conv_in.weight", &[32, 72]).1, GROUPS);
    assert!(error.to_string().contains("decoder.conv_in.weight"), "{error}");

    let error = load(&file("vae.safetensors"), 32);
    assert!(error.to_string().starts_with("norm_groups"), "{error}");

    // Without a φ that the numbering needs, the rest are unexpected or fewer; a gap is reported by name.
    let error = load(&without(&["quantize.quant_resi.qresi_ls.1."]).1, GROUPS);
    assert!(error.to_string().contains("unexpected tensor `quantize.quant_resi.qresi_ls.2"), "{error}");
}

#[test]
fn a_tokenizer_inside_a_training_checkpoint_is_found() {
    let upstream = file("vae.safetensors");
    let tensors = upstream.names().map(|name| {
        let (values, shape) = upstream.values(name).unwrap();
        (format!("trainer.vae_local.{name}"), TensorData::new(values, shape))
    });
    let other = ("trainer.var_wo_ddp.head.bias".to_owned(), TensorData::new(vec![0.0f32], [1]));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ar-ckpt-last.safetensors");
    save_safetensors(&path, tensors.chain([other]), Precision::F32, &BTreeMap::new()).unwrap();
    let vq = MultiScaleVq::open(&path, schedule(), GROUPS, true, &Device::flex()).unwrap();
    assert_eq!(vq.alphabet().classes, 64);
}

#[test]
fn fresh_weights_are_the_seeds_alone() {
    let config = VqvaeConfig { norm_groups: 8, vocabulary: 16, ..VqvaeConfig::new(8, &[1]) };
    let values = |seed| {
        let vq = config.init(ScaleSchedule::square(&[1, 2]).unwrap(), seed, &Device::flex()).unwrap();
        vq.tensors()
            .into_iter()
            .map(|(key, data)| (key, data.try_to_vec_as::<f32>().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(values(1), values(1));
    assert_ne!(values(1), values(2));
    for (key, values) in values(1) {
        if key.ends_with("conv1.bias") {
            let bound = (8.0f32 * 9.0).powf(-0.5);
            assert!(values.iter().all(|x| x.abs() <= bound) && values.iter().any(|&x| x != 0.0), "{key}");
        }
    }
}
