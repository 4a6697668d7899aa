//! The description of a finished ablation, without the models.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cost::Work;
use crate::plan::Pixels;
use crate::reference::Reference;

/// Everything about a finished ablation except its images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The file's name without its extension.
    pub name: String,
    /// The program's version.
    pub version: String,
    /// The kind of device that generated the images, with a CPU's arithmetic: `cpu, avx512` or `cuda`.
    pub device: String,
    /// The scales, `(rows, columns)`.
    pub scales: Vec<(usize, usize)>,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// Images per cell and seed.
    pub samples: u64,
    /// The cell that the others are compared with.
    pub baseline: usize,
    /// The measures, as in the file.
    pub measures: Vec<String>,
    /// The folder that paths of measures are relative to.
    pub folder: PathBuf,
    /// The images that others are compared with.
    pub reference: Option<Reference>,
    /// The measure, seeds and images by which the cells chose settings, in words; `None` without tuning.
    pub tuned: Option<String>,
    /// Images per cell that were analysed scale by scale.
    pub traces: u64,
    /// The key of the completions, if there are any.
    pub completion: Option<String>,
    /// The command that repeats it, without options that change no number: the folder and the device.
    #[serde(default)]
    pub command: Option<String>,
    /// The key of the times, if there are any.
    #[serde(default)]
    pub times: Option<String>,
    /// The hash of the file's values after overrides.
    #[serde(default)]
    pub file_hash: Option<String>,
    /// The cells, in the order of the file.
    pub cells: Vec<Planned>,
}

impl Manifest {
    /// The first contradiction in it, if any. Readers rely on its indices and counts.
    pub(super) fn contradiction(&self) -> Option<&'static str> {
        let chosen =
            |cell: &Planned| cell.chosen.as_ref().is_none_or(|chosen| chosen.best < chosen.points.len());
        [
            (self.baseline < self.cells.len(), "has no cell where its baseline should be"),
            (!self.seeds.is_empty(), "has no seed"),
            (self.samples > 0, "is of no image"),
            (
                self.samples.checked_mul(self.seeds.len() as u64).is_some(),
                "is of more images than can be counted",
            ),
            (self.cells.iter().all(chosen), "has a choice beyond its points"),
        ]
        .into_iter()
        .find_map(|(sound, problem)| (!sound).then_some(problem))
    }
}

/// A cell of the ablation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// Its name.
    pub name: String,
    /// Its variant: its name without swept values. Empty if an earlier version wrote it.
    #[serde(default)]
    pub variant: String,
    /// Identifies its images.
    pub id: String,
    /// Its model on one line.
    pub model: String,
    /// The fingerprint of the model's weights.
    pub weights: String,
    /// Its rule on one line.
    pub guidance: String,
    /// Its sampler on one line.
    pub sampling: String,
    /// The filter on its images.
    pub pixels: Pixels,
    /// What its images show, one entry per condition of the config, repeating: the class by name or number, a
    /// text, "null". Empty if an earlier version wrote it.
    #[serde(default)]
    pub shows: Vec<String>,
    /// The same as numbers of classes; `None` for an image without a class.
    #[serde(default)]
    pub classes: Vec<Option<u32>>,
    /// Its whole config except the seed, as a file for `nextscale generate`. Empty if an earlier version
    /// wrote it.
    #[serde(default)]
    pub config: String,
    /// The work of its rule.
    #[serde(default)]
    pub work: Option<Work>,
    /// The swept values: path and value of every axis.
    #[serde(default)]
    pub swept: Vec<(String, String)>,
    /// The swept or chosen values: path and value.
    pub settings: Vec<(String, String)>,
    /// What it chose from, with the results.
    pub chosen: Option<Chosen>,
}

/// A choice that a cell made for itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chosen {
    /// The points of the grid in words, and the measure there.
    pub points: Vec<(String, f64)>,
    /// Which was best.
    pub best: usize,
}
