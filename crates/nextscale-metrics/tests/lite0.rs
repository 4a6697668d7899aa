//! EfficientNet-Lite0 against timm.
//!
//! `tests/fixtures/features/lite0.safetensors` holds the pooled features of timm 1.0.31's `tf_efficientnet_lite0` (PyTorch
//! 2.15.0, the release's weights rounded to f16, run in f64) for the images of [`image`], resized with
//! `interpolate(mode="bilinear", align_corners=False, antialias=True)`.

use std::path::Path;

use burn::tensor::Device;
use nextscale_metrics::{FeatureNet, ImageBatch, Lite0};
use nextscale_weights::WeightFile;

/// Slopes under hashed noise: image `index`, `[height, width, 3]`.
fn image(index: u32, height: u32, width: u32) -> Vec<u8> {
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            for c in 0..3 {
                let mut z = ((y * width + x) * 3 + c + index * 1_000_003).wrapping_mul(2_654_435_761);
                z ^= z >> 15;
                z = z.wrapping_mul(2_246_822_519);
                z ^= z >> 13;
                let across = x * (5 + index) * 8 / width * (c + 1) * 9;
                let down = y * (3 + 2 * index) * 8 / height * (3 - c) * 7;
                pixels.push(((across + down) % 192 + z % 64) as u8);
            }
        }
    }
    pixels
}

fn images(count: u32, height: u32, width: u32) -> ImageBatch {
    let pixels = (0..count).flat_map(|index| image(index, height, width)).collect();
    ImageBatch::new(height as usize, width as usize, pixels).unwrap()
}

fn fixture() -> WeightFile {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/features");
    WeightFile::open(folder.join("lite0.safetensors")).unwrap()
}

#[test]
fn pooled_features_are_timms() {
    let net = Lite0::shipped(&Device::flex()).unwrap();
    let fixture = fixture();
    for (name, count, height, width) in [("small", 4, 32, 32), ("native", 2, 96, 96), ("large", 2, 150, 131)]
    {
        let (expected, shape) = fixture.values(name).unwrap();
        let features = net.extract(&images(count, height, width)).unwrap();
        assert_eq!([features.count, features.dims], *shape);
        assert!(features.spatial.is_none() && features.logits.is_none());
        let worst = features.pooled.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max);
        println!("{name}: {worst:e}");
        assert!(worst <= 5e-5, "{name}: off by {worst:e}");
    }
}
