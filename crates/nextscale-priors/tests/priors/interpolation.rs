use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Tensor, TensorData};
use nextscale_core::{Grid, resample};
use nextscale_priors::{Bicubic, Bilinear, Mean, Nearest, Prior, Zero};
use proptest::prelude::*;
use safetensors::SafeTensors;

use super::support::{apply, assert_near, grids, noise, plane};

/// The suggested tolerance of the reference's resampling.
const TOLERANCE: f64 = 1e-5;

fn with_reference(check: impl FnOnce(&SafeTensors)) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/var/interpolate.safetensors");
    check(&SafeTensors::deserialize(&std::fs::read(path).unwrap()).unwrap());
}

/// A square map `[1, channels, n, n]`, or one channel `[n, n]`: its maps and n.
fn maps(file: &SafeTensors, name: &str) -> (Vec<Vec<f64>>, usize) {
    let tensor = file.tensor(name).unwrap();
    let side = *tensor.shape().last().unwrap();
    let values: Vec<f32> = bytemuck::pod_collect_to_vec(tensor.data());
    let maps = values.chunks(side * side).map(|map| map.iter().map(|&v| f64::from(v)).collect()).collect();
    (maps, side)
}

/// R x Rᵀ of a square map.
fn resized(resample: fn(usize, usize) -> Vec<f64>, map: &[f64], from: usize, to: usize) -> Vec<f64> {
    let matrix = resample(from, to);
    let mut out = vec![0.0; to * to];
    for (at, value) in out.iter_mut().enumerate() {
        let (row, column) = (&matrix[at / to * from..][..from], &matrix[at % to * from..][..from]);
        for (i, r) in row.iter().enumerate() {
            *value += column.iter().zip(&map[i * from..]).map(|(c, x)| r * c * x).sum::<f64>();
        }
    }
    out
}

#[test]
fn bicubic_and_area_are_torchs_at_every_pair_of_the_published_scales() {
    with_reference(|file| {
        let mut compared = 0;
        for name in file.names() {
            let Some((kind, pair)) = name.split_once('.') else { continue };
            let Some((from, to)) = pair.split_once("to") else { continue };
            let resample = match kind {
                "bicubic" => resample::bicubic,
                "area" => resample::area,
                other => panic!("no resampling is named {other}"),
            };
            let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
            let (inputs, outputs) = (maps(file, &format!("in.{from}")).0, maps(file, name).0);
            for (input, output) in inputs.iter().zip(&outputs) {
                assert_near(&resized(resample, input, from, to), output, TOLERANCE);
                if kind == "bicubic" {
                    let x: Vec<f32> = input.iter().map(|&value| value as f32).collect();
                    let y = apply(&Bicubic, Grid::square(from), Grid::square(to), &x, 1);
                    assert_near(&plane(&y, Grid::square(to), 1, 0, 0), output, TOLERANCE);
                }
                compared += 1;
            }
        }
        // Three maps; 45 pairs of the 256 list and 9 of the 512 list, up and down.
        assert_eq!(compared, 3 * 2 * (45 + 9));
    });
}

#[test]
fn nearest_doubling_is_torchs() {
    with_reference(|file| {
        let ((inputs, from), (outputs, to)) = (maps(file, "nearest2x.in"), maps(file, "nearest2x.out"));
        for (input, output) in inputs.iter().zip(&outputs) {
            assert_eq!(&resized(resample::nearest, input, from, to), output);
        }
    });
}

#[test]
fn bilinear_resizes_the_edit_masks_as_torch_does() {
    with_reference(|file| {
        let mut compared = 0;
        for name in file.names() {
            let Some((mask, to)) = name.rsplit_once('.').filter(|(mask, _)| mask.starts_with('m')) else {
                continue;
            };
            // The first scale's mask is set by hand, whatever the resized one is.
            let Some(to) = to.parse().ok().filter(|&to: &usize| to > 1) else { continue };
            let (full, from) = maps(file, &format!("{mask}.full"));
            let small = resized(resample::bilinear, &full[0], from, to);
            let keep: Vec<f64> = small.iter().map(|&value| f64::from(u8::from(value > 0.5))).collect();
            assert_eq!(keep, maps(file, name).0[0], "{name}");
            compared += 1;
        }
        assert_eq!(compared, 4 * 9);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn interpolations_are_burns_with_half_pixel_centres(
        (from, to) in grids(), batch in 1..3_usize, channels in 1..4_usize, seed: u64,
    ) {
        let priors: [(&dyn Prior, _); 3] = [
            (&Nearest, InterpolateMode::Nearest),
            (&Bilinear, InterpolateMode::Bilinear),
            (&Bicubic, InterpolateMode::Bicubic),
        ];
        let x = noise(seed, batch * from.positions() * channels);
        for (prior, mode) in priors {
            let data = TensorData::new(x.clone(), [batch, from.height, from.width, channels]);
            let nchw = Tensor::<4>::from_data(data, &Device::flex()).permute([0, 3, 1, 2]);
            let options = InterpolateOptions::new(mode)
                .with_align_corners(false)
                .with_output_size([to.height, to.width]);
            let expected: Vec<f32> =
                interpolate(nchw, options).permute([0, 2, 3, 1]).into_data().try_to_vec().unwrap();
            for (found, expected) in apply(prior, from, to, &x, channels).into_iter().zip(expected) {
                prop_assert!((found - expected).abs() < 1e-5, "{prior:?}: {found} instead of {expected}");
            }
        }
    }

    #[test]
    fn the_mean_and_zero_controls_are_flat((from, to) in grids(), seed: u64) {
        let x = noise(seed, from.positions() * 2);
        let y = apply(&Mean, from, to, &x, 2);
        for channel in 0..2 {
            let mean = plane(&x, from, 2, 0, channel).iter().sum::<f64>() / from.positions() as f64;
            for value in plane(&y, to, 2, 0, channel) {
                prop_assert!((value - mean).abs() < 1e-5);
            }
        }
        prop_assert!(apply(&Zero, from, to, &x, 2).iter().all(|&value| value == 0.0));
    }
}

#[test]
fn a_grid_that_shrinks_on_an_axis_is_refused_with_both_grids() {
    for prior in
        [&Nearest as &dyn Prior, &Bilinear, &Bicubic, &Mean, &Zero, &nextscale_priors::Dse::default()]
    {
        let error = prior.operator(Grid::new(2, 3), Grid::new(4, 2)).unwrap_err().to_string();
        assert!(error.contains("from 2×3 to 4×2"), "{error}");
    }
}
