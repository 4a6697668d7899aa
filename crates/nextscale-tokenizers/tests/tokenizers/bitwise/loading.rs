use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::{Device, TensorData};
use nextscale_core::{Canvas, ScaleSchedule};
use nextscale_tokenizers::Tokenizer;
use nextscale_tokenizers::bitwise::{BsqVaeConfig, MultiScaleBsq};
use nextscale_weights::{Error, LoadError, Precision, WeightFile, save_safetensors};

use super::fixtures::{GROUPS, file, path, schedule, tokenizer};
use crate::support::{floats, images, tensor};

#[test]
fn the_architecture_is_read_from_the_tensors() {
    let base = BsqVaeConfig {
        encoder_blocks: vec![1; 3],
        decoder_blocks: vec![2; 3],
        ..BsqVaeConfig::new(32, &[1, 2, 1], 6)
    };
    let patchify = BsqVaeConfig {
        encoder_blocks: vec![1; 2],
        decoder_blocks: vec![2; 2],
        ..BsqVaeConfig::new(32, &[1, 1], 3)
    };
    for (group, name, expected) in [
        ("base", "vae.pth", &base),
        ("base", "vae.safetensors", &base),
        ("patchify", "vae.safetensors", &patchify),
    ] {
        let file = file(group, name);
        assert!(BsqVaeConfig::is_of(&file));
        let config = BsqVaeConfig::infer(&file, None).unwrap();
        assert_eq!(&config, expected);
        config.check_file(&file, true).unwrap();
    }
    let vq = WeightFile::open(super::super::vq::fixtures::path("vae.safetensors")).unwrap();
    assert!(!BsqVaeConfig::is_of(&vq));
}

/// The file `base/vae.safetensors` with names and shapes changed by `change`; `None` drops a tensor.
fn changed(
    change: impl Fn(&str, Vec<usize>) -> Option<(String, Vec<usize>)>,
) -> (tempfile::TempDir, WeightFile) {
    let upstream = file("base", "vae.safetensors");
    let tensors = upstream.names().filter(|name| !name.ends_with("mask")).filter_map(|name| {
        let (mut values, shape) = upstream.values(name).unwrap();
        let (name, shape) = change(name, shape)?;
        values.resize(shape.iter().product(), 0.0);
        Some((name, TensorData::new(values, shape)))
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vae.safetensors");
    save_safetensors(&path, tensors, Precision::F32, &BTreeMap::new()).unwrap();
    let file = WeightFile::open(&path).unwrap();
    (folder, file)
}

fn plain(name: &str) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    let (last, layers) = parts.split_last().unwrap();
    format!("{}.{last}", layers[..layers.len() - 1].join("."))
}

fn load(file: &WeightFile, with_encoder: bool) -> Result<MultiScaleBsq, LoadError> {
    let config = BsqVaeConfig::infer(file, None)?;
    MultiScaleBsq::load(file, config, schedule("1:1", 5), false, with_encoder, &Device::flex())
}

fn decoded(tokenizer: &MultiScaleBsq) -> Vec<f32> {
    let features = tensor(&file("base", "reference.safetensors"), "vae_dec_in");
    floats(tokenizer.decode(&Canvas { features }).unwrap())
}

#[test]
fn every_form_of_the_file_loads_the_same_model() {
    let whole = tokenizer("base", false, schedule("1:1", 5));
    let expected = decoded(&whole);
    let images = images(1, 32) * 2.0 - 1.0;
    let features = floats(whole.encode_features(images.clone()).unwrap());
    // Upstream's dictionary; without the wrapping; with only norms wrapped; under `vae` beside an average of
    // the weights.
    let without = changed(|name, shape| Some((plain(name), shape)));
    let half = changed(|name, shape| {
        Some((if name.contains(".conv.") { plain(name) } else { name.to_owned() }, shape))
    });
    let beside = changed(|name, shape| Some((format!("vae.{name}"), shape)));
    let upstream = file("base", "vae.safetensors");
    let twice = upstream.names().filter(|name| !name.ends_with("mask")).flat_map(|name| {
        let (values, shape) = upstream.values(name).unwrap();
        let average = values.iter().map(|value| value * 0.5).collect::<Vec<_>>();
        [("vae", values), ("ema", average)]
            .map(|(under, values)| (format!("{under}.{name}"), TensorData::new(values, shape.clone())))
    });
    let folder = tempfile::tempdir().unwrap();
    save_safetensors(folder.path().join("two"), twice, Precision::F32, &BTreeMap::new()).unwrap();
    let two = WeightFile::open(folder.path().join("two")).unwrap();
    for (what, file) in [
        ("pth", &file("base", "vae.pth")),
        ("plain", &without.1),
        ("half", &half.1),
        ("nested", &beside.1),
        ("two", &two),
    ] {
        let loaded = load(file, true).unwrap();
        assert_eq!(decoded(&loaded), expected, "{what}");
        assert_eq!(floats(loaded.encode_features(images.clone()).unwrap()), features, "{what}");
    }
}

#[test]
fn without_its_encoder_a_tokenizer_decodes_and_says_that_it_cannot_encode() {
    let expected = decoded(&tokenizer("base", false, schedule("1:1", 5)));
    let (_folder, part) =
        changed(|name, shape| (!name.starts_with("encoder.")).then(|| (name.to_owned(), shape)));
    for file in [&part, &file("base", "vae.safetensors")] {
        let tokenizer = load(file, false).unwrap();
        assert!(tokenizer.vae.encoder.is_none());
        assert_eq!(decoded(&tokenizer), expected);
        let error = tokenizer.encode(images(1, 32)).unwrap_err().to_string();
        assert!(error.contains("without its encoder"), "{error}");
    }
    let error = load(&part, true).unwrap_err().to_string();
    assert!(error.contains("missing tensor `encoder.conv_in.conv.bias` [32]"), "{error}");
}

#[test]
fn files_that_do_not_fit_are_refused_with_names() {
    let told = |file: &WeightFile| load(file, true).unwrap_err();
    let other = WeightFile::open(super::super::vq::fixtures::path("var_aln.safetensors")).unwrap();
    let error = told(&other);
    assert!(matches!(error, LoadError::Weights(Error::OtherModel { .. })), "{error}");
    assert!(error.to_string().contains("is not a bitwise tokenizer"), "{error}");

    let (_folder, file) = changed(|name, shape| {
        (name != "encoder.down.1.block.0.conv2.conv.bias").then(|| (name.to_owned(), shape))
    });
    let says = "missing tensor `encoder.down.1.block.0.conv2.conv.bias` [64]";
    assert!(told(&file).to_string().contains(says), "{}", told(&file));

    let reshaped = |which: &'static str, to: &'static [usize]| {
        changed(move |name, shape| Some((name.to_owned(), if name == which { to.to_vec() } else { shape })))
    };
    let (_folder, file) = reshaped("decoder.norm_out.norm.bias", &[31]);
    let says = "tensor `decoder.norm_out.norm.bias` has shape [31], the model needs [32]";
    assert!(told(&file).to_string().contains(says), "{}", told(&file));

    // Encoder and decoder of other bits.
    let (_folder, file) = reshaped("decoder.conv_in.conv.weight", &[32, 5, 3, 3]);
    let says = "`encoder.conv_out.conv.bias` has shape [6], the model needs [5]";
    assert!(told(&file).to_string().contains(says), "{}", told(&file));

    let (_folder, file) = changed(|name, shape| Some((name.replace("block_2", "attn_1"), shape)));
    assert!(told(&file).to_string().contains("missing tensor `decoder.mid.block_2"), "{}", told(&file));
}

#[test]
fn a_saved_model_is_read_again_with_upstreams_keys() {
    for (group, patches) in GROUPS {
        let tokenizer = tokenizer(group, patches, schedule("1:1", 5));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vae.safetensors");
        tokenizer.save(&path, Precision::F32).unwrap();
        let names = |file: &WeightFile| -> BTreeSet<String> {
            file.names().filter(|name| !name.ends_with("mask")).map(str::to_owned).collect()
        };
        let saved = WeightFile::open(&path).unwrap();
        assert_eq!(names(&saved), names(&file(group, "vae.safetensors")));
        assert_eq!(saved.metadata()["scales"], "1 2 4 6 8");
        let own = MultiScaleBsq::load_own(&saved, &Device::flex()).unwrap();
        assert_eq!((own.schedule(), own.alphabet()), (tokenizer.schedule(), tokenizer.alphabet()));
        let error = MultiScaleBsq::load_own(&file(group, "vae.safetensors"), &Device::flex()).unwrap_err();
        assert!(error.to_string().contains("says none"), "{error}");
        assert_eq!(BsqVaeConfig::infer(&saved, None).unwrap(), *tokenizer.config());
    }
    // Groups that follow no rule are kept.
    let config = BsqVaeConfig { norm_groups: Some(4), ..BsqVaeConfig::new(8, &[1, 2], 4) };
    let schedule = ScaleSchedule::square(&[1, 2]).unwrap();
    let fresh = config.init(schedule.clone(), false, 1, &Device::flex()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("vae.safetensors");
    fresh.save(&saved, Precision::F16).unwrap();
    let read = MultiScaleBsq::open(&saved, schedule, false, true, &Device::flex()).unwrap();
    assert_eq!(read.config(), &config);
    assert!(path("base", "vae.pth").exists());
}
