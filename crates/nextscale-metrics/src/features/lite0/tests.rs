use nextscale_weights::{Precision, save_safetensors};

use super::*;
use crate::features::formula::{fixture, images, worst};
use burn::tensor::TensorData;

fn shipped() -> Lite0 {
    Lite0::shipped(&Device::flex()).unwrap()
}

/// `tests/fixtures/features/lite0.safetensors` holds the pooled features of timm 1.0.31's
/// `tf_efficientnet_lite0` (PyTorch 2.15.0, the release's weights rounded to f16, run in f64) for images of
/// [`images`], resized with `interpolate(mode="bilinear", align_corners=False, antialias=True)`.
#[test]
fn pooled_features_are_timms() {
    let net = shipped();
    let fixture = fixture("lite0.safetensors");
    for (name, count, height, width) in [("small", 4, 32, 32), ("native", 2, 96, 96), ("large", 2, 150, 131)]
    {
        let (expected, shape) = fixture.values(name).unwrap();
        let features = net.extract(&images(count, height, width)).unwrap();
        assert_eq!([features.count, features.dims], *shape);
        assert!(features.spatial.is_none() && features.logits.is_none());
        let worst = worst(&features.pooled, &expected);
        println!("{name}: {worst:e}");
        assert!(worst <= 3e-5, "{name}: off by {worst:e}");
    }
}

#[test]
fn an_image_has_the_same_bits_alone_and_in_any_batch() {
    let net = shipped();
    let all = images(9, 32, 24);
    let together = net.extract(&all).unwrap();
    for size in [1, 2, 5] {
        let parts = all.pixels.chunks(size * 32 * 24 * 3);
        let apart: Vec<f32> = parts
            .flat_map(|part| net.extract(&ImageBatch::new(32, 24, part.to_vec()).unwrap()).unwrap().pooled)
            .collect();
        assert_eq!(together.pooled, apart);
    }
    let none = net.extract(&ImageBatch::new(32, 24, Vec::new()).unwrap()).unwrap();
    assert_eq!((none.count, none.pooled.len()), (0, 0));
}

#[test]
fn tensors_on_a_device_give_the_same() {
    let file = WeightFile::from_bytes(WEIGHTS, "shipped").unwrap();
    let network = Network::tensors(&Tower::Release, &file, &Device::flex()).unwrap();
    let images = images(3, 32, 32);
    let other = Lite0 { network, sha256: String::new() }.extract(&images).unwrap();
    let worst = worst(&shipped().extract(&images).unwrap().pooled, &other.pooled);
    assert!(worst <= 3e-5, "off by {worst:e}");
}

#[test]
fn timms_names_are_understood_and_a_classifier_is_passed_over() {
    let file = WeightFile::from_bytes(WEIGHTS, "shipped").unwrap();
    let specs = |tower: Tower| {
        let mut specs = Vec::new();
        tower
            .build::<()>(&mut |spec| {
                specs.push(spec);
                Ok(())
            })
            .unwrap();
        specs
    };
    let mut tensors = vec![("classifier.bias".to_owned(), TensorData::new(vec![0f32; 1000], [1000]))];
    for (from, to) in specs(Tower::Release).iter().zip(specs(Tower::Timm)) {
        let parts = ["weight", "bias", "running_mean", "running_var"];
        let norms = parts.map(|part| (format!("{}.{part}", from.norm), format!("{}.{part}", to.norm)));
        for (from, to) in
            [(format!("{}.weight", from.conv), format!("{}.weight", to.conv))].into_iter().chain(norms)
        {
            let (values, shape) = file.values(&from).unwrap();
            tensors.push((to, TensorData::new(values, shape)));
        }
    }
    let names: Vec<&str> = tensors.iter().map(|(name, _)| name.as_str()).collect();
    for name in
        ["blocks.0.0.conv_pw.weight", "blocks.1.1.bn3.bias", "blocks.6.0.conv_dw.weight", "bn2.weight"]
    {
        assert!(names.contains(&name), "{name}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("timm.safetensors");
    save_safetensors(&path, tensors, Precision::F16, &Default::default()).unwrap();
    let net = Lite0::load(&path, &Device::flex()).unwrap();
    let images = images(2, 32, 32);
    assert_eq!(net.extract(&images).unwrap(), shipped().extract(&images).unwrap());
    assert_ne!(net.protocol(), shipped().protocol());
}

#[test]
fn files_and_batches_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("short.safetensors");
    std::fs::write(&path, &WEIGHTS[..WEIGHTS.len() - 100]).unwrap();
    let error = Lite0::load(&path, &Device::flex()).err().unwrap().to_string();
    assert!(error.contains("short.safetensors") && error.contains("truncated"), "{error}");
    let error = Lite0::load(folder.path().join("none.pth"), &Device::flex()).err().unwrap().to_string();
    assert!(error.contains("none.pth"), "{error}");

    let lies = ImageBatch { count: 2, height: 4, width: 4, pixels: vec![0; 48] };
    let error = shipped().extract(&lies).unwrap_err().to_string();
    assert!(error.contains("48 bytes are not 2 RGB images of 4×4"), "{error}");
}
