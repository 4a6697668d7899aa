//! Features by a formula that the reference scripts repeat, and a small network.

use std::path::Path;

use nextscale_core::random::splitmix64;
use npyz::WriterBuilder;

use crate::{FeatureNet, Features, ImageBatch, Origin, Result};

/// SplitMix64's first number from a seed.
fn mix(z: u64) -> u64 {
    splitmix64(z, 1)
}

/// Correlated features, `[n, dims]`. With h(i, j) the low 12 bits of splitmix64's finaliser of `seed·2⁴⁸ +
/// i·2²⁰ + j`: `(h(i, j)·(1 + j mod 4) + 2·h(i, j mod 8 + 2¹⁹) + shift·(1 + j mod 3)) / 4096`, exact in f32.
pub(crate) fn features(n: usize, dims: usize, seed: u64, shift: u64) -> Vec<f32> {
    let low = |i: usize, j: usize| mix((seed << 48) + ((i as u64) << 20) + j as u64) & 0xFFF;
    let value = |i: usize, j: usize| {
        low(i, j) * (1 + j as u64 % 4) + 2 * low(i, j % 8 + (1 << 19)) + shift * (1 + j as u64 % 3)
    };
    (0..n).flat_map(|i| (0..dims).map(move |j| value(i, j) as f32 / 4096.0)).collect()
}

#[test]
fn the_formula_gives_what_the_scripts_have() {
    let rows = features(400, 48, 2, 400);
    assert_eq!((rows[3 * 48 + 5], features(300, 48, 1, 0)[299 * 48 + 47]), (2.474_121, 3.898_437_5));
}

/// A picture that differs with `seed`.
pub(crate) fn picture(seed: u64, width: u32, height: u32) -> image::RgbImage {
    image::RgbImage::from_fn(width, height, |x, y| {
        let bytes = mix((seed << 32) + (u64::from(y) << 16) + u64::from(x)).to_le_bytes();
        image::Rgb([bytes[0], bytes[1], bytes[2]])
    })
}

pub(crate) type Writer = npyz::npz::NpzWriter<std::io::BufWriter<std::fs::File>>;

pub(crate) fn add_array<T: npyz::AutoSerialize + Copy>(
    writer: &mut Writer,
    name: &str,
    shape: &[u64],
    values: &[T],
) {
    let array = writer.array::<T>(name, Default::default()).unwrap().default_dtype().shape(shape);
    let mut array = array.begin_nd().unwrap();
    array.extend(values.iter().copied()).unwrap();
    array.finish().unwrap();
}

/// An `.npz` file of one array.
pub(crate) fn write_array<T: npyz::AutoSerialize + Copy>(
    path: &Path,
    name: &str,
    shape: &[u64],
    values: &[T],
) {
    add_array(&mut npyz::npz::NpzWriter::create(path).unwrap(), name, shape, values);
}

/// An `.npz` batch of pictures of one size.
pub(crate) fn write_npz(path: &Path, pictures: &[image::RgbImage]) {
    let (width, height) = pictures[0].dimensions();
    let pixels: Vec<u8> = pictures.iter().flat_map(|picture| picture.as_raw().clone()).collect();
    write_array(path, "arr_0", &[pictures.len() as u64, u64::from(height), u64::from(width), 3], &pixels);
}

/// A network of random projections of pixel histograms, with every kind of feature; by default it passes for
/// Inception.
#[derive(Debug, Clone)]
pub(crate) struct Toy {
    pub name: &'static str,
    /// A value to insert among the features.
    pub fault: Option<f32>,
}

impl Default for Toy {
    fn default() -> Self {
        Self { name: "inception", fault: None }
    }
}

impl FeatureNet for Toy {
    fn name(&self) -> &str {
        self.name
    }

    fn protocol(&self) -> String {
        format!("{} (toy)", self.name)
    }

    fn dims(&self) -> usize {
        12
    }

    fn spatial_dims(&self) -> Option<usize> {
        (self.name == "inception").then_some(5)
    }

    fn classes(&self) -> Option<usize> {
        (self.name == "inception").then_some(4)
    }

    fn extract(&self, images: &ImageBatch) -> Result<Features> {
        let project = |dims: usize, salt: u64| -> Vec<f32> {
            let size = images.height * images.width * 3;
            let one = |pixels: &[u8], j: usize| {
                let sign = |i: usize| (mix(salt + (i * dims + j) as u64) & 0xFF) as f32 / 255.0 - 0.5;
                pixels.iter().enumerate().map(|(i, &p)| f32::from(p) / 255.0 * sign(i)).sum::<f32>()
            };
            images.pixels.chunks_exact(size).flat_map(|p| (0..dims).map(move |j| one(p, j))).collect()
        };
        let mut pooled = project(12, 1);
        if let (Some(fault), Some(value)) = (self.fault, pooled.get_mut(3)) {
            *value = fault;
        }
        Ok(Features {
            count: images.count,
            dims: 12,
            pooled,
            spatial: self.spatial_dims().map(|dims| project(dims, 1000)),
            logits: self.classes().map(|classes| project(classes, 2000)),
        })
    }
}

/// A possible origin of statistics of 8-bit images.
pub(crate) fn origin(name: &str) -> Origin {
    Origin {
        name: name.into(),
        images: Some(100),
        size: Some([32, 32]),
        sha256: nextscale_files::sha256(name),
        split: None,
        config: None,
        jpegs: 0,
        resized: None,
        left_out: Default::default(),
    }
}
