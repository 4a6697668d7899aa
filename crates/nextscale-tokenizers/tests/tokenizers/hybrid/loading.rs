use std::collections::BTreeMap;

use burn::tensor::{Device, TensorData};
use nextscale_tokenizers::Tokenizer;
use nextscale_tokenizers::hybrid::HybridVq;
use nextscale_tokenizers::vq::{PhiKind, VqvaeConfig};
use nextscale_weights::{LoadError, Precision, WeightFile, save_safetensors};

use super::fixtures::{file, schedule, tokenizer};
use crate::support::{floats, images};

const NAME: &str = "tokenizer/model.safetensors";

fn load(file: &WeightFile, with_encoder: bool) -> Result<HybridVq, LoadError> {
    let config = HybridVq::infer(file, None)?;
    HybridVq::load(file, config, schedule(), with_encoder, &Device::flex())
}

/// The fixture's file without the names that `keep` refuses, and with other tensors beside it.
fn changed(keep: impl Fn(&str) -> bool, added: &[(&str, &[usize])]) -> (tempfile::TempDir, WeightFile) {
    let upstream = file(NAME);
    let tensors = upstream.names().filter(|name| keep(name)).map(|name| {
        let (values, shape) = upstream.values(name).unwrap();
        (name.to_owned(), TensorData::new(values, shape))
    });
    let added = added.iter().map(|(name, shape)| ((*name).into(), TensorData::zeros::<f32, _>(*shape)));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    save_safetensors(&path, tensors.chain(added), Precision::F32, &BTreeMap::new()).unwrap();
    let file = WeightFile::open(&path).unwrap();
    (folder, file)
}

#[test]
fn the_architecture_is_read_from_the_tensors() {
    let config = HybridVq::infer(&file(NAME), None).unwrap();
    let expected = VqvaeConfig { latent_channels: 8, vocabulary: 96, ..VqvaeConfig::new(32, &[2, 1]) };
    assert_eq!(config, expected);
    assert_eq!(config.phi, PhiKind::Nearest(4));
    assert!(HybridVq::is_of(&file(NAME)));
    let var = WeightFile::open(super::super::vq::fixtures::path("vae.safetensors")).unwrap();
    assert!(!HybridVq::is_of(&var));
}

#[test]
fn a_discriminator_and_a_second_decoder_are_left_out() {
    let beside: &[(&str, &[usize])] = &[
        ("disc.blocks.0.weight", &[3, 2]),
        ("vae.decoder2.conv_in.weight", &[8]),
        ("vae.post_quant_conv2.bias", &[8]),
    ];
    let (_folder, file) = changed(|_| true, beside);
    assert!(HybridVq::is_of(&file));
    let images = images(1, 16);
    let features = |tokenizer: HybridVq| floats(Tokenizer::features(&tokenizer, images.clone()).unwrap());
    assert_eq!(features(load(&file, true).unwrap()), features(tokenizer()));
}

#[test]
fn what_is_missing_or_too_many_is_named() {
    let told = |file: &WeightFile, with_encoder| load(file, with_encoder).unwrap_err().to_string();
    let (_folder, without) =
        changed(|name| !name.starts_with("vae.encoder") && !name.starts_with("vae.quant_conv"), &[]);
    load(&without, false).unwrap();
    assert!(told(&without, true).contains("missing tensor `encoder.conv_in.bias` [32]"));
    let (_folder, without) = changed(|name| name != "vae.post_quant_conv.bias", &[]);
    assert!(told(&without, false).contains("missing tensor `post_quant_conv.bias` [8]"));
    let (_folder, other) = changed(|_| true, &[("vae.decoder3.weight", &[2])]);
    assert!(told(&other, false).contains("unexpected tensor `decoder3.weight` [2]"));
}

#[test]
fn a_saved_tokenizer_opens_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.safetensors");
    let config =
        VqvaeConfig { latent_channels: 4, vocabulary: 16, norm_groups: 4, ..VqvaeConfig::new(8, &[1, 2]) };
    let tokenizer = HybridVq::init(&config, schedule(), 3, &Device::flex()).unwrap();
    tokenizer.save(&path, Precision::F32).unwrap();
    let again = HybridVq::load_own(&WeightFile::open(&path).unwrap(), &Device::flex()).unwrap();
    assert_eq!((again.schedule(), again.config()), (tokenizer.schedule(), &config));
    assert!(again.tensors().eq(tokenizer.tensors()));
    let error = HybridVq::load_own(&file(NAME), &Device::flex()).unwrap_err().to_string();
    assert!(error.contains("says none"), "{error}");
}
