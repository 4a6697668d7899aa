//! Comparisons with pytorch-fid, with weights that both sides compute by the same formula.
//!
//! `tests/fixtures/features/inception.safetensors` holds the f64 results of the `InceptionV3` class of
//! pytorch-fid 0.3.0 (PyTorch 2.15.0, torchvision 0.29.2) for the images and weights of
//! [`formula`](super::super::formula). For the TensorFlow protocol its input was resized by torch-fidelity
//! 0.4.0's `interpolate_bilinear_2d_like_tensorflow1x`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use burn::tensor::Device;
use nextscale_weights::WeightFile;
use safetensors::{Dtype, tensor::TensorView};

use super::*;
use crate::{
    Error,
    features::{
        formula::{fixture, images, weights, worst},
        network::expected,
    },
};

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

static TENSORS: LazyLock<Tensors> = LazyLock::new(|| {
    let tensor = |(name, shape): (&str, &[usize])| (name.to_owned(), (shape.to_vec(), weights(name, shape)));
    expected(&Tower).iter().map(tensor).collect()
});

fn file(tensors: &Tensors) -> WeightFile {
    let views = tensors.iter().map(|(name, (shape, values))| {
        (name, TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values)).unwrap())
    });
    WeightFile::from_bytes(safetensors::serialize(views, None).unwrap(), "formula.safetensors").unwrap()
}

fn network() -> Inception {
    Inception::from_file(&file(&TENSORS), "formula".into(), &Device::flex()).unwrap()
}

#[test]
fn features_are_pytorch_fids() {
    assert_eq!(TENSORS.len(), 94 * 5 + 2);
    let fixture = fixture("inception.safetensors");
    let mut net = network();
    for protocol in [InceptionProtocol::PytorchFid, InceptionProtocol::TensorFlow] {
        net = net.with_protocol(protocol);
        let (key, sizes) = match protocol {
            InceptionProtocol::PytorchFid => {
                ("pytorch_fid", vec![("small", 2, 32, 32), ("large", 1, 330, 310)])
            }
            InceptionProtocol::TensorFlow => ("tensorflow", vec![("small", 2, 32, 32)]),
        };
        for (size, count, height, width) in sizes {
            let features = net.extract(&images(count, height, width)).unwrap();
            assert_eq!((features.count, features.dims), (count as usize, net.dims()));
            for (part, got) in [
                ("pooled", &features.pooled),
                ("spatial", features.spatial.as_ref().unwrap()),
                ("logits", features.logits.as_ref().unwrap()),
            ] {
                let (expected, _) = fixture.values(&format!("{size}.{key}.{part}")).unwrap();
                let worst = worst(got, &expected);
                println!("{size}.{key}.{part}: {worst:e}");
                assert!(worst <= 3e-5, "{size}.{key}.{part}: off by {worst:e}");
            }
        }
    }
}

#[test]
fn an_image_has_the_same_bits_alone_and_in_a_batch() {
    let net = network();
    let together = net.extract(&images(3, 20, 24)).unwrap();
    let last = ImageBatch::new(20, 24, images(3, 20, 24).image(2).to_vec()).unwrap();
    let alone = net.extract(&last).unwrap();
    assert_eq!(together.pooled[2 * DIMS..], alone.pooled);
    assert_eq!(together.spatial.unwrap()[2 * SPATIAL..], alone.spatial.unwrap());
    assert_eq!(together.logits.unwrap()[2 * CLASSES..], alone.logits.unwrap());
}

#[test]
fn tensors_on_a_device_give_the_same() {
    let host = network();
    let tensors = Network::tensors(&Tower, &file(&TENSORS), &Device::flex()).unwrap();
    let other = Inception { network: tensors, ..network() };
    let images = images(2, 40, 32);
    let (a, b) = (host.extract(&images).unwrap(), other.extract(&images).unwrap());
    assert!(worst(&a.pooled, &b.pooled) <= 3e-5);
    assert!(worst(&a.spatial.unwrap(), &b.spatial.unwrap()) <= 3e-5);
}

#[test]
fn a_file_that_does_not_fit_is_refused_by_name() {
    let refused = |change: &dyn Fn(&mut Tensors)| {
        let mut tensors = TENSORS.clone();
        change(&mut tensors);
        match Inception::from_file(&file(&tensors), String::new(), &Device::flex()) {
            Err(Error::Weights(error)) => error.to_string(),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it was taken"),
        }
    };
    let missing = refused(&|tensors| drop(tensors.remove("Mixed_6d.branch7x7_2.bn.running_var")));
    assert!(missing.contains("missing tensor `Mixed_6d.branch7x7_2.bn.running_var` [160]"), "{missing}");
    let unexpected = refused(&|tensors| drop(tensors.insert("extra".into(), (vec![2], vec![0.0; 2]))));
    assert!(unexpected.contains("unexpected tensor `extra` [2]"), "{unexpected}");
    // torchvision's own classifier has 1000 classes.
    let shape = refused(&|tensors| drop(tensors.insert("fc.bias".into(), (vec![1000], vec![0.0; 1000]))));
    assert!(shape.contains("`fc.bias` has shape [1000], the model needs [1008]"), "{shape}");
    let other = refused(&|tensors| {
        *tensors = BTreeMap::from([("quant_conv.bias".into(), (vec![1], vec![0.0]))]);
    });
    assert!(
        other.contains("is not the FID Inception network") && other.contains("quant_conv.bias"),
        "{other}"
    );
}

#[test]
fn the_protocol_names_resize_and_range() {
    let net = network();
    let (first, second) = (net.protocol(), net.with_protocol(InceptionProtocol::TensorFlow).protocol());
    assert!(first.contains("half-pixel") && first.contains("2x/255 - 1"), "{first}");
    assert!(second.contains("TensorFlow 1") && second.contains("(x - 128)/128"), "{second}");
}
