use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::TensorData;
use nextscale_core::Grid;
use nextscale_files::sha256;
use nextscale_priors::Marginal;
use nextscale_weights::{Precision, WeightFile, save_safetensors};

use super::sums::Sums;
use crate::{Error, Prepared, Result};

const FORMAT: &str = "nextscale marginals";
const PREFIX: &str = "marginal.";

fn name(grid: Grid) -> String {
    format!("{PREFIX}{}x{}", grid.height, grid.width)
}

/// Writes the averages, with what they are of.
pub(super) fn write(path: &Path, sums: &Sums, prepared: &Prepared, identity: &str) -> Result<()> {
    let averages: Vec<(Grid, Vec<f32>)> = sums.averages().collect();
    // What no prior could be made of is told now and not when it is used.
    Marginal::new(averages.clone())?;
    let about = [
        ("format", FORMAT.to_owned()),
        ("calibration", identity.into()),
        ("weights", prepared.model.fingerprint.clone()),
        ("scales", prepared.model.schedule().to_string()),
        ("images", sums.images.to_string()),
        ("halves", sums.halves().map_or(String::new(), |halves| format!("{halves:.4}"))),
        ("config", prepared.resolved().to_ron_string()),
    ];
    let about: BTreeMap<String, String> = about.map(|(key, value)| (key.to_owned(), value)).into();
    let tensors = averages.into_iter().map(|(grid, average)| {
        let channels = average.len();
        (name(grid), TensorData::new(average, [channels]))
    });
    Ok(save_safetensors(path, tensors, Precision::F32, &about)?)
}

/// How far the halves of a file's images lie apart, the file holding the averages of this very calibration.
pub(super) fn expect(path: &Path, identity: &str) -> Result<Option<f64>> {
    let (file, _) = open(path)?;
    if file.metadata().get("calibration").map(String::as_str) == Some(identity) {
        return Ok(halves(&file));
    }
    Err(Error::Folder(format!(
        "{} is there already and of another calibration; name another file with --out, or remove it",
        path.display()
    )))
}

fn halves(file: &WeightFile) -> Option<f64> {
    file.metadata().get("halves")?.parse().ok()
}

/// The file and its sha256.
fn open(path: &Path) -> Result<(WeightFile, String)> {
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    let sha256 = sha256(&bytes);
    let file = WeightFile::from_bytes(bytes, path.display().to_string())?;
    if file.metadata().get("format").map(String::as_str) != Some(FORMAT) {
        return Err(Error::Usage(format!(
            "{} holds no averages of logits; make such a file with `nextscale calibrate`",
            path.display()
        )));
    }
    Ok((file, sha256))
}

/// What a calibration's file holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Averages {
    /// The prior.
    pub prior: Marginal,
    /// The file's sha256.
    pub sha256: String,
    /// What identifies the weights of the model that was calibrated.
    pub weights: String,
    /// How far the averages over even and over odd images lie apart, as a share of the averages; none for one image.
    pub halves: Option<f64>,
}

/// Reads a calibration's file.
///
/// # Errors
/// If the file cannot be read, or is no such file, or damaged.
pub fn read(path: &Path) -> Result<Averages> {
    let (file, sha256) = open(path)?;
    let damaged = |message: String| Error::Usage(format!("{}: {message}", path.display()));
    let weights = file.metadata().get("weights").cloned();
    let weights =
        weights.ok_or_else(|| damaged("it does not say of which weights; calibrate again".into()))?;
    let mut averages = Vec::new();
    for tensor in file.names() {
        let side = |text: &str| text.parse::<usize>().ok().filter(|&side| side > 0);
        let grid = tensor.strip_prefix(PREFIX).and_then(|grid| grid.split_once('x'));
        let grid = grid.and_then(|(height, width)| Some(Grid::new(side(height)?, side(width)?)));
        let grid = grid.ok_or_else(|| damaged(format!("no grid is called `{tensor}`; calibrate again")))?;
        averages.push((grid, file.values(tensor)?.0));
    }
    let prior = Marginal::new(averages).map_err(|error| damaged(error.to_string()))?;
    Ok(Averages { prior, sha256, weights, halves: halves(&file) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(tensors: &[(&str, Vec<f32>)], format: &str) -> (tempfile::TempDir, Result<Averages>) {
        saved_with(tensors, &[("format", format), ("weights", "c0ffee")])
    }

    fn saved_with(
        tensors: &[(&str, Vec<f32>)],
        about: &[(&str, &str)],
    ) -> (tempfile::TempDir, Result<Averages>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let about = about.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let tensor = |(name, values): &(&str, Vec<f32>)| {
            (name.to_string(), TensorData::new(values.clone(), [values.len()]))
        };
        save_safetensors(&path, tensors.iter().map(tensor), Precision::F32, &about).unwrap();
        let read = read(&path);
        (folder, read)
    }

    #[test]
    fn a_file_of_averages_is_a_prior_and_its_hash_tells_it_from_others() {
        let (_one, first) =
            saved(&[("marginal.1x1", vec![0.5, 1.0]), ("marginal.2x3", vec![2.0, 3.0])], FORMAT);
        let Averages { prior, sha256, weights, halves } = first.unwrap();
        assert_eq!((weights.as_str(), halves), ("c0ffee", None));
        assert_eq!(prior.grids().collect::<Vec<_>>(), [Grid::square(1), Grid::new(2, 3)]);
        assert_eq!(prior.average(Grid::new(2, 3)), Some(&[2.0, 3.0][..]));
        let (_two, second) = saved(&[("marginal.1x1", vec![0.5, 1.5])], FORMAT);
        assert_ne!(sha256, second.unwrap().sha256);
    }

    #[test]
    fn what_is_no_such_file_is_named_with_the_remedy() {
        let fine = vec![0.5];
        let cases = [
            (saved(&[("marginal.1x1", fine.clone())], "something"), "nextscale calibrate"),
            (saved(&[("scale.0", fine.clone())], FORMAT), "no grid is called `scale.0`"),
            (saved(&[("marginal.0x1", fine)], FORMAT), "no grid is called `marginal.0x1`"),
            (saved(&[("marginal.1x1", vec![f32::NAN])], FORMAT), "NaN on the grid 1×1"),
            (saved(&[], FORMAT), "there are none"),
            (
                saved_with(&[("marginal.1x1", vec![0.5])], &[("format", FORMAT)]),
                "does not say of which weights",
            ),
        ];
        for ((_folder, read), part) in cases {
            let error = read.unwrap_err().to_string();
            assert!(error.contains("a.safetensors") && error.contains(part), "{error}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        assert!(read(&path).unwrap_err().to_string().contains("a.safetensors"));
        std::fs::write(&path, b"noise, and not little of it").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("a.safetensors"));
    }
}
