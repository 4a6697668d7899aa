//! Interpolation compared with torch's, in priors and in the tokenizer, and DSE compared with its definition.

use burn::tensor::Tensor;
use nextscale_core::{Grid, resample};
use nextscale_pipeline::Result;
use nextscale_priors::{Bicubic, Dse, Nearest, Prior, dct};
use nextscale_tokenizers::Resize;

use crate::{Fixture, Gap, Line, Setting, host::floats};

/// The pair of grids in a name like `bicubic.3to4`.
fn pair<'a>(name: &'a str, kind: &str) -> Option<(Grid, Grid, &'a str)> {
    let sides = name.strip_prefix(kind)?.strip_prefix('.')?;
    let (from, to) = sides.split_once("to")?;
    Some((Grid::square(from.parse().ok()?), Grid::square(to.parse().ok()?), name))
}

fn pairs<'a>(file: &'a Fixture, kind: &'a str) -> impl Iterator<Item = (Grid, Grid, &'a str)> {
    file.file().names().filter_map(move |name| pair(name, kind))
}

/// `prior` applied to a map `[1, channels, h, w]`, on the map's device.
fn predicted(prior: &dyn Prior, from: Grid, to: Grid, map: Tensor<4>) -> Result<Tensor<4>> {
    let (device, [_, channels, ..]) = (map.device(), map.dims());
    let x = map.flatten::<3>(2, 3).swap_dims(1, 2);
    let y = prior.operator(from, to)?.to_device(&device).apply(&x)?;
    Ok(y.swap_dims(1, 2).reshape([1, channels, to.height, to.width]))
}

/// The tokenizer's bicubic and area resampling for every pair of the published scales.
///
/// # Errors
/// If a recorded tensor is missing.
pub fn resampled(setting: &Setting<'_>) -> Result<Gap> {
    let file = setting.fixtures.open("interpolate.safetensors")?;
    let mut gap = Gap::default();
    for kind in ["bicubic", "area"] {
        for (from, to, name) in pairs(&file, kind) {
            let resize = match kind {
                "bicubic" => Resize::bicubic(from, to, setting.device),
                _ => Resize::area(from, to, setting.device),
            };
            let map = file.tensor(&format!("in.{}", from.height), setting.device)?;
            gap.add(&resize.apply(map), &file, name)?;
        }
    }
    Ok(gap)
}

/// The interpolating priors, where torch's numbers were recorded: bicubic for every pair, nearest for a
/// doubling.
///
/// # Errors
/// As [`resampled`].
pub fn interpolated(setting: &Setting<'_>) -> Result<Gap> {
    let file = setting.fixtures.open("interpolate.safetensors")?;
    let mut gap = Gap::default();
    for (from, to, name) in pairs(&file, "bicubic") {
        let map = file.tensor(&format!("in.{}", from.height), setting.device)?;
        gap.add(&predicted(&Bicubic, from, to, map)?, &file, name)?;
    }
    let map: Tensor<4> = file.tensor("nearest2x.in", setting.device)?;
    let from = Grid::square(map.dims()[2]);
    let to = Grid::square(2 * from.height);
    gap.add(&predicted(&Nearest, from, to, map)?, &file, "nearest2x.out")?;
    Ok(gap)
}

/// DSE between neighbouring published scales compared with its definition, transform by transform in double
/// precision.
///
/// # Errors
/// As [`resampled`].
pub fn dse(setting: &Setting<'_>) -> Result<Gap> {
    let file = setting.fixtures.open("interpolate.safetensors")?;
    let mut gap = Gap::default();
    for (from, to, name) in pairs(&file, "bicubic").filter(|(from, to, _)| to.height <= from.height + 8) {
        let input = format!("in.{}", from.height);
        let found = predicted(&Dse::default(), from, to, file.tensor(&input, setting.device)?)?;
        let (n, m) = (from.height, to.height);
        let mut expected = Vec::new();
        for map in file.floats(&input)?.chunks(n * n) {
            let map: Vec<f64> = map.iter().map(|&value| f64::from(value)).collect();
            expected.extend(definition(&map, n, m).into_iter().map(|value| value as f32));
        }
        gap.add_floats(&floats(&found)?, &expected, name)?;
    }
    Ok(gap)
}

/// u = bilinear(x), with the low band of its spectrum replaced by x's times √(m²/n²), and back.
fn definition(x: &[f64], n: usize, m: usize) -> Vec<f64> {
    let (coarse, fine) = (dct::matrix(n), dct::matrix(m));
    let u = both_axes(&resample::bilinear(n, m), x, m, n);
    let mut spectrum = both_axes(&fine, &u, m, m);
    let low = both_axes(&coarse, x, n, n);
    for (row, low) in low.chunks(n).enumerate() {
        for (column, value) in low.iter().enumerate() {
            spectrum[row * m + column] = value * m as f64 / n as f64;
        }
    }
    let inverse: Vec<f64> = (0..m * m).map(|at| fine[at % m * m + at / m]).collect();
    both_axes(&inverse, &spectrum, m, m)
}

/// A x Aᵀ for A `[m, n]` and x `[n, n]`.
fn both_axes(a: &[f64], x: &[f64], m: usize, n: usize) -> Vec<f64> {
    let product = |row: usize, column: usize| {
        let inner = |i: usize| (0..n).map(|j| x[i * n + j] * a[column * n + j]).sum::<f64>();
        (0..n).map(|i| a[row * n + i] * inner(i)).sum()
    };
    (0..m * m).map(|at| product(at / m, at % m)).collect()
}

/// One line each.
pub fn lines(setting: &Setting<'_>) -> Result<Vec<Line>> {
    Ok(vec![
        setting.line("priors, bicubic and nearest", interpolated(setting)?),
        setting.line("priors, DSE against its definition", dse(setting)?),
        setting.line("tokenizer, bicubic and area resampling", resampled(setting)?),
    ])
}
