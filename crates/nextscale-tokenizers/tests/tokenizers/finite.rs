//! Weights that are not finite draw black images without a word, so they are refused by name in every family.

use std::collections::BTreeMap;

use burn::tensor::{Device, TensorData};
use nextscale_tokenizers::bitwise::{BsqVaeConfig, MultiScaleBsq};
use nextscale_tokenizers::hybrid::HybridVq;
use nextscale_tokenizers::vq::MultiScaleVq;
use nextscale_weights::{Error, LoadError, Precision, WeightFile, save_safetensors};

use super::{bitwise, hybrid, vq};

type Loaded = Result<(), LoadError>;

fn vq_of(file: &WeightFile, with_encoder: bool) -> Loaded {
    let (schedule, groups) = (vq::fixtures::schedule(), vq::fixtures::GROUPS);
    MultiScaleVq::load(file, schedule, groups, with_encoder, &Device::flex()).map(drop)
}

fn bitwise_of(file: &WeightFile, with_encoder: bool) -> Loaded {
    let (config, schedule) = (BsqVaeConfig::infer(file, None)?, bitwise::fixtures::schedule("1:1", 5));
    MultiScaleBsq::load(file, config, schedule, false, with_encoder, &Device::flex()).map(drop)
}

fn hybrid_of(file: &WeightFile, with_encoder: bool) -> Loaded {
    let config = HybridVq::infer(file, None)?;
    HybridVq::load(file, config, hybrid::fixtures::schedule(), with_encoder, &Device::flex()).map(drop)
}

/// `file` with `value` as the last number of a tensor.
fn with(file: &WeightFile, damaged: &str, value: f32) -> (tempfile::TempDir, WeightFile) {
    let tensors = file.names().filter(|name| !name.ends_with("mask")).map(|name| {
        let (mut values, shape) = file.values(name).unwrap();
        if name == damaged {
            *values.last_mut().unwrap() = value;
        }
        (name.to_owned(), TensorData::new(values, shape))
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.safetensors");
    save_safetensors(&path, tensors, Precision::F32, &BTreeMap::new()).unwrap();
    let file = WeightFile::open(path).unwrap();
    (folder, file)
}

#[test]
fn a_weight_that_is_not_finite_is_refused_with_its_tensor() {
    type Load = fn(&WeightFile, bool) -> Loaded;
    let of_vq = vq::fixtures::file("vae.safetensors");
    let of_bits = bitwise::fixtures::file("base", "vae.safetensors");
    let of_hybrid = hybrid::fixtures::file("tokenizer/model.safetensors");
    for (file, load, codes) in [
        (&of_vq, vq_of as Load, Some("quantize.embedding.weight")),
        (&of_bits, bitwise_of as Load, None),
        (&of_hybrid, hybrid_of as Load, Some("quantize.embedding.weight")),
    ] {
        let name_of = |part: &str| file.names().find(|name| name.contains(part)).unwrap().to_owned();
        let parts = ["encoder.conv_in", "decoder.conv_out"].into_iter().chain(codes);
        for (part, value) in parts.flat_map(|part| [(part, f32::NAN), (part, f32::INFINITY)]) {
            let name = name_of(part);
            let (_folder, damaged) = with(file, &name, value);
            let error = load(&damaged, true).unwrap_err();
            let LoadError::Weights(Error::NotFinite { file, name: found, .. }) = &error else {
                panic!("{name}: {error}")
            };
            assert!(file.ends_with("damaged.safetensors") && name.ends_with(found), "{error}");
            // Generation does not read the encoder.
            assert_eq!(load(&damaged, false).is_ok(), part.starts_with("encoder"), "{name}");
        }
    }
}
