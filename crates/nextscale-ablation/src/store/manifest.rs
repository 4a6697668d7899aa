//! What a report is of, without the models.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cost::Work;
use crate::plan::Pixels;
use crate::reference::Reference;

/// Everything about an ablation that was run, but its images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The file's name without its extension.
    pub name: String,
    /// The program's version.
    pub version: String,
    /// The kind of device that made the images: `cpu` or `cuda`.
    pub device: String,
    /// The scales, `(rows, columns)`.
    pub scales: Vec<(usize, usize)>,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// Images of a cell and seed.
    pub samples: u64,
    /// Which cell the others are compared with.
    pub baseline: usize,
    /// What is measured, as the file says it.
    pub measures: Vec<String>,
    /// The folder that paths of measures are relative to.
    pub folder: PathBuf,
    /// The images that others are compared with.
    pub reference: Option<Reference>,
    /// The measure, seeds and images by which the cells chose settings, in words; none where they did not.
    pub tuned: Option<String>,
    /// Images of every cell that were looked at scale by scale.
    pub traces: u64,
    /// The key of the completions; none where there are none.
    pub completion: Option<String>,
    /// The command that runs it again, without what changes no number: the folder and the device.
    #[serde(default)]
    pub command: Option<String>,
    /// The key of how long images took; none where they were not timed.
    #[serde(default)]
    pub times: Option<String>,
    /// The hash of the file's values, overrides being applied.
    #[serde(default)]
    pub file_hash: Option<String>,
    /// The cells, in the order of the file.
    pub cells: Vec<Planned>,
}

impl Manifest {
    /// What in it contradicts itself; `None` if nothing does. Everything that reads one takes places and counts in it as they are.
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

/// A cell that was run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// Its name.
    pub name: String,
    /// The variant that it is of: its name without what was swept. Empty where an earlier version wrote it.
    #[serde(default)]
    pub variant: String,
    /// What tells its images from others.
    pub id: String,
    /// Its model on one line.
    pub model: String,
    /// What tells the model's weights from others.
    pub weights: String,
    /// Its rule on one line.
    pub guidance: String,
    /// Its sampler on one line.
    pub sampling: String,
    /// What is done to its images.
    pub pixels: Pixels,
    /// What its images show, one a condition of the config, over and over: the class by name or number, a text, "null". Empty where an
    /// earlier version wrote it.
    #[serde(default)]
    pub shows: Vec<String>,
    /// The same as numbers of classes; none for an image that is of no class.
    #[serde(default)]
    pub classes: Vec<Option<u32>>,
    /// Its whole config but for the seed, as a file of `nextscale generate`. Empty where an earlier version wrote it.
    #[serde(default)]
    pub config: String,
    /// What its rule has the backbone do.
    #[serde(default)]
    pub work: Option<Work>,
    /// What was swept to get here: path and value of every axis.
    #[serde(default)]
    pub swept: Vec<(String, String)>,
    /// What was swept or chosen to get here: path and value.
    pub settings: Vec<(String, String)>,
    /// What it chose from, and what each came to.
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
