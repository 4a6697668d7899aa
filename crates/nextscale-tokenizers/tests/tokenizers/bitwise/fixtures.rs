use std::path::PathBuf;

use burn::tensor::{Bool, Device, Int, Tensor};
use nextscale_core::{Grid, ScaleSchedule};
use nextscale_tokenizers::bitwise::MultiScaleBsq;
use nextscale_weights::WeightFile;

/// The fixture models, and whether their tokens stand for 2 × 2 latents.
pub const GROUPS: [(&str, bool); 2] = [("base", false), ("patchify", true)];

pub fn path(group: &str, name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/infinity").join(group).join(name)
}

pub fn file(group: &str, name: &str) -> WeightFile {
    WeightFile::open(path(group, name)).unwrap()
}

/// The first scales of upstream's list for an aspect ratio, width to height.
pub fn schedule(aspect: &str, scales: usize) -> ScaleSchedule {
    let grids: &[(usize, usize)] = match aspect {
        "1:1" => &[(1, 1), (2, 2), (4, 4), (6, 6), (8, 8), (12, 12), (16, 16)],
        "3:4" => &[(1, 1), (2, 2), (4, 3), (8, 6), (12, 9), (16, 12), (20, 15)],
        "3:2" => &[(1, 1), (2, 2), (2, 3), (4, 6), (6, 9), (10, 15), (14, 21)],
        "2:1" => &[(1, 1), (2, 2), (2, 4), (3, 6), (5, 10), (8, 16), (11, 22)],
        "1:3" => &[(1, 1), (2, 2), (6, 2), (9, 3), (15, 5), (21, 7), (27, 9)],
        other => panic!("{other}"),
    };
    ScaleSchedule::new(grids[..scales].iter().map(|&(height, width)| Grid::new(height, width)).collect())
        .unwrap()
}

pub fn tokenizer(group: &str, patches: bool, schedule: ScaleSchedule) -> MultiScaleBsq {
    MultiScaleBsq::open(path(group, "vae.safetensors"), schedule, patches, true, &Device::flex()).unwrap()
}

/// The reference's bits of scale `k`, `[batch, h, w, bits per latent]`.
pub fn bits(file: &WeightFile, k: usize) -> Tensor<4, Int> {
    let bits: Tensor<5, Int> = file.int_tensor(&format!("bits.{k}"), &Device::flex()).unwrap();
    bits.squeeze_dim(1)
}

/// Bits on latents as tokens, written out independently: `[batch, h·w, bits per token]`.
pub fn tokens(bits: &Tensor<4, Int>, grid: Grid) -> Tensor<3, Int> {
    let [batch, height, _, channels] = bits.dims();
    let patch = height / grid.height;
    let values: Vec<i64> = bits.clone().try_into_vec_as().unwrap();
    let width = grid.width * patch;
    let mut tokens = Vec::new();
    for image in 0..batch {
        for (row, column) in (0..grid.height).flat_map(|row| (0..grid.width).map(move |column| (row, column)))
        {
            for channel in 0..channels {
                for (i, j) in (0..patch).flat_map(|i| (0..patch).map(move |j| (i, j))) {
                    let at = (image * height + row * patch + i) * width + column * patch + j;
                    tokens.push(values[at * channels + channel]);
                }
            }
        }
    }
    let shape = [batch, grid.positions(), channels * patch * patch];
    Tensor::from_data(burn::tensor::TensorData::new(tokens, shape), &Device::flex())
}

/// The flips of scale `k`, `[batch, bits, h, w]`.
pub fn flips(file: &WeightFile, k: usize) -> Tensor<4, Bool> {
    let mask: Tensor<5, Int> = file.int_tensor(&format!("bsc.flip_mask.{k}"), &Device::flex()).unwrap();
    mask.squeeze_dim::<4>(1).permute([0, 3, 1, 2]).equal_elem(1)
}
