//! The file that [`Marginal`] reads: average logits, one tensor per coarse grid, and what they were measured
//! on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::TensorData;
use nextscale_config::Value;
use nextscale_config::settings::schema::leaf;
use nextscale_config::settings::{self, Description, Form, Reader, Settings};
use nextscale_core::Grid;
use nextscale_macros::Settings;
use nextscale_weights::{Precision, WeightFile, save_safetensors};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Marginal;

const FORMAT: &str = "nextscale marginals";
const PREFIX: &str = "marginal.";

/// The contents of a file of averages.
#[derive(Debug, Clone, PartialEq)]
pub struct Averages {
    /// The prior.
    pub prior: Marginal,
    /// The file's sha256.
    pub sha256: String,
    /// The fingerprint of the calibrated model's weights.
    pub weights: String,
    /// The relative difference between the averages over even and over odd images; `None` for one image.
    pub halves: Option<f64>,
    /// The file's own description.
    pub about: BTreeMap<String, String>,
}

/// A file of averages that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum AveragesError {
    /// The file cannot be read or written, or is not a checkpoint.
    #[error(transparent)]
    Weights(#[from] nextscale_weights::Error),
    /// It holds something else, or the averages are not valid.
    #[error("{}: {message}", file.display())]
    Other {
        /// The file.
        file: PathBuf,
        /// What is wrong, and the remedy.
        message: String,
    },
}

/// Reads a file written by `nextscale calibrate`.
///
/// # Errors
/// If the file cannot be read, is of another kind, or is damaged.
pub fn read(path: &Path) -> Result<Averages, AveragesError> {
    let bytes =
        std::fs::read(path).map_err(|source| nextscale_weights::Error::Read { path: path.into(), source })?;
    of_bytes(bytes, path)
}

/// The averages of a shipped model, by its name in configs.
///
/// # Errors
/// If none of that name are shipped: those that are, in the message.
pub fn shipped(name: &str) -> Result<Averages, AveragesError> {
    let file = Path::new(name);
    let Some((_, bytes)) = SHIPPED.iter().find(|(known, _)| *known == name) else {
        let known = SHIPPED.iter().map(|(known, _)| format!("`{known}`")).collect::<Vec<_>>().join(", ");
        let message = format!("no averages of this name are shipped; there is {known}");
        return Err(AveragesError::Other { file: file.into(), message });
    };
    of_bytes(bytes.to_vec(), file)
}

/// What `configs/calibrate-cifar10.ron` made of the shipped model; 50 kB.
const SHIPPED: [(&str, &[u8]); 1] =
    [("cifar10", include_bytes!("../../../models/cifar10/marginal.safetensors"))];

fn of_bytes(bytes: Vec<u8>, path: &Path) -> Result<Averages, AveragesError> {
    let other = |message: String| AveragesError::Other { file: path.into(), message };
    let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let file = WeightFile::from_bytes(bytes, path.display().to_string())?;
    let about = file.metadata().clone();
    if about.get("format").map(String::as_str) != Some(FORMAT) {
        return Err(other(
            "it holds no averages of logits; write such a file with `nextscale calibrate`".into(),
        ));
    }
    let weights = about.get("weights").cloned();
    let weights =
        weights.ok_or_else(|| other("it does not name the calibrated weights; calibrate again".into()))?;
    let mut averages = Vec::new();
    for tensor in file.names() {
        let side = |text: &str| text.parse::<usize>().ok().filter(|&side| side > 0);
        let grid = tensor.strip_prefix(PREFIX).and_then(|grid| grid.split_once('x'));
        let grid = grid.and_then(|(height, width)| Some(Grid::new(side(height)?, side(width)?)));
        let grid = grid.ok_or_else(|| other(format!("`{tensor}` is not a grid; calibrate again")))?;
        averages.push((grid, file.values(tensor)?.0));
    }
    let prior = Marginal::new(averages).map_err(|error| other(error.to_string()))?;
    let prior = prior.read_from(&path.display().to_string());
    let halves = about.get("halves").and_then(|halves| halves.parse().ok());
    Ok(Averages { prior, sha256, weights, halves, about })
}

/// Writes averages and what they were measured on: the fingerprint `weights`, and `halves` if known.
///
/// # Errors
/// If the averages are not valid, or the file cannot be written.
pub fn write(
    path: &Path,
    averages: &[(Grid, Vec<f32>)],
    about: impl IntoIterator<Item = (&'static str, String)>,
) -> Result<(), AveragesError> {
    // Invalid averages should fail here and not when they are used.
    Marginal::new(averages.iter().cloned())
        .map_err(|error| AveragesError::Other { file: path.into(), message: error.to_string() })?;
    let about: BTreeMap<String, String> = std::iter::once(("format", FORMAT.to_owned()))
        .chain(about)
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    let tensors = averages.iter().map(|(grid, average)| {
        let name = format!("{PREFIX}{}x{}", grid.height, grid.width);
        (name, TensorData::new(average.clone(), [average.len()]))
    });
    Ok(save_safetensors(path, tensors, Precision::F32, &about)?)
}

/// Control: each channel's average at the coarse scale over many images, from a file of `nextscale
/// calibrate`.
#[derive(Settings)]
#[setting(example = "Marginal(file: \"marginal.safetensors\")")]
struct Given {
    /// The averages, relative to the config's folder.
    file: PathBuf,
    /// The file's sha256. By default any file is accepted, and the resolved config records its hash.
    sha256: Option<String>,
}

impl Given {
    fn build(self, reader: &mut Reader<'_>) -> settings::Result<Marginal> {
        let file = self.file.display();
        let averages = match read(&self.file) {
            Err(AveragesError::Weights(error)) if error.missing().is_some() => {
                let help = "paths start at the config's folder; `nextscale calibrate` writes such a file";
                return Err(reader.error(error.to_string()).with_help(help));
            }
            read => reader.accept(read)?,
        };
        let Averages { prior, sha256, weights, .. } = averages;
        match self.sha256 {
            // Recorded so that a run is identified by the file's content and not only by its name.
            None => reader.write("sha256", &sha256)?,
            Some(expected) if expected != sha256 => {
                let message = format!("{file} has the sha256 {sha256}, not {expected}");
                let help = "calibrate again, or leave out `sha256` to accept the file as it is";
                return Err(reader.error(message).with_help(help));
            }
            Some(_) => {}
        }
        let remedy = "calibrate this model and name the resulting file, or remove the prior: `nextscale calibrate \
                      RUN.ron --out FILE --seed 1000`, where RUN.ron is a run of this model under the base of SSG";
        reader.measured_on(&weights, file.to_string(), remedy);
        Ok(prior)
    }
}

/// What the parentheses contain in place of a file.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
enum Named {
    /// The name of a shipped model.
    Shipped(String),
}

/// `Marginal(file: ..)`, or `Marginal(Shipped(".."))`.
impl Settings for Marginal {
    fn description() -> Description {
        let shipped = Form {
            example: "Marginal(Shipped(\"cifar10\"))",
            about: "The averages of a shipped model, without a file.",
            schema: leaf::<Named>,
        };
        Description { name: "Marginal", also: vec![shipped], ..Given::description() }
    }

    fn read(reader: &mut Reader<'_>) -> settings::Result<Self> {
        let item = match &reader.node().value {
            Value::Tuple { items, .. } => items.first(),
            _ => None,
        };
        let Some(item) = item else { return Given::read(reader)?.build(reader) };
        if let Value::Str(file) = &item.value {
            let help = format!("write Marginal(file: {file:?}), or Marginal(Shipped(\"cifar10\"))");
            return Err(reader.error("a file needs its name, `file`").with_help(help));
        }
        let Named::Shipped(name) = reader.item()?;
        let Averages { prior, weights, .. } = reader.accept(shipped(&name))?;
        let remedy = "`nextscale calibrate RUN.ron --out FILE` measures another model; then write Marginal(file: FILE)";
        reader.measured_on(&weights, format!("Shipped({name:?})"), remedy);
        Ok(prior)
    }

    /// An instance to try without a file: three channels on two grids.
    fn sample() -> Option<Self> {
        Some(Self::of_grids([Grid::square(1), Grid::new(2, 3)], &[0.5, -1.0, 2.0]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(
        tensors: &[(&str, Vec<f32>)],
        format: &str,
    ) -> (tempfile::TempDir, Result<Averages, AveragesError>) {
        saved_with(tensors, &[("format", format), ("weights", "c0ffee")])
    }

    fn saved_with(
        tensors: &[(&str, Vec<f32>)],
        about: &[(&str, &str)],
    ) -> (tempfile::TempDir, Result<Averages, AveragesError>) {
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
        let Averages { prior, sha256, weights, halves, .. } = first.unwrap();
        assert_eq!((weights.as_str(), halves), ("c0ffee", None));
        assert_eq!(prior.grids().collect::<Vec<_>>(), [Grid::square(1), Grid::new(2, 3)]);
        assert_eq!(prior.average(Grid::new(2, 3)), Some(&[2.0, 3.0][..]));
        let (_two, second) = saved(&[("marginal.1x1", vec![0.5, 1.5])], FORMAT);
        assert_ne!(sha256, second.unwrap().sha256);
    }

    #[test]
    fn the_shipped_averages_are_those_of_their_file() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/cifar10/marginal.safetensors");
        assert_eq!(shipped("cifar10").unwrap(), read(Path::new(file)).unwrap());
        let error = shipped("imagenet").unwrap_err().to_string();
        assert!(error.contains("imagenet") && error.contains("there is `cifar10`"), "{error}");
    }

    #[test]
    fn what_does_not_fit_names_its_file() {
        let (_folder, read) = saved(&[("marginal.1x1", vec![0.5, 1.0])], FORMAT);
        let prior = read.unwrap().prior;
        let schedule = nextscale_core::ScaleSchedule::square(&[1, 2, 4]).unwrap();
        for alphabet in [2, 3] {
            let error = crate::Prior::check(&prior, &schedule, nextscale_core::Alphabet::codes(alphabet));
            let error = error.unwrap_err().to_string();
            assert!(error.contains("a.safetensors"), "{error}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let averages = [(Grid::square(1), vec![0.5, 1.0]), (Grid::new(2, 3), vec![2.0, 3.0])];
        write(&path, &averages, [("weights", "c0ffee".into()), ("halves", "0.0625".into())]).unwrap();
        let found = read(&path).unwrap();
        assert_eq!(found.prior, Marginal::new(averages).unwrap());
        assert_eq!((found.weights.as_str(), found.halves), ("c0ffee", Some(0.0625)));
        let nothing = folder.path().join("b.safetensors");
        assert!(write(&nothing, &[], []).is_err());
        assert!(!nothing.exists());
    }

    #[test]
    fn what_is_no_such_file_is_named_with_the_remedy() {
        let fine = vec![0.5];
        let cases = [
            (saved(&[("marginal.1x1", fine.clone())], "something"), "nextscale calibrate"),
            (saved(&[("scale.0", fine.clone())], FORMAT), "`scale.0` is not a grid"),
            (saved(&[("marginal.0x1", fine)], FORMAT), "`marginal.0x1` is not a grid"),
            (saved(&[("marginal.1x1", vec![f32::NAN])], FORMAT), "NaN on the grid 1×1"),
            (saved(&[], FORMAT), "there are none"),
            (
                saved_with(&[("marginal.1x1", vec![0.5])], &[("format", FORMAT)]),
                "does not name the calibrated weights",
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
