//! The fields of an ablation file, one by one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use nextscale_config::{Node, Value};
use nextscale_core::memory;

use super::axes::fits as axes_fit;
use super::{Axis, Cell, take_out};
use crate::Result;

/// What every cell chooses for itself before it is measured, on other seeds than those of the measurement.
#[derive(Debug, Clone)]
pub struct Tune {
    /// The grid.
    pub axes: Vec<Axis>,
    /// The seeds on which it is chosen.
    pub seeds: Vec<u64>,
    /// Images per point and seed.
    pub samples: u64,
    /// The measure that decides.
    pub by: String,
    /// Where the file names the measure, for errors.
    pub by_node: Node,
}

impl Tune {
    pub(super) fn read(node: &Node) -> Result<Self> {
        let mut fields = node.fields()?;
        let axes_node = fields.node("axes")?;
        let axes = Axis::read_all(Some(axes_node))?;
        axes_fit(&axes, axes_node)?;
        let seeds = seeds(fields.node("seeds")?)?;
        let samples = samples(fields.node("samples")?)?;
        let by_node = fields.node("by")?.clone();
        fields.finish()?;
        Ok(Self { axes, seeds, samples, by: by_node.decode()?, by_node })
    }
}

/// Real images that are completed from their coarse scales by every rule.
#[derive(Debug, Clone)]
pub struct Completion {
    /// A folder of PNG or JPEG files of the model's size.
    pub images: PathBuf,
    /// What they show: a config's `condition`, image by image over the sorted files.
    pub condition: Node,
    /// The place of `images` in the file, for errors.
    pub node: Node,
}

impl Completion {
    pub(super) fn read(node: &Node, folder: &Path) -> Result<Self> {
        let mut fields = node.fields()?;
        let place = fields.node("images")?.clone();
        let images: String = place.decode()?;
        let condition = fields.node("condition")?.clone();
        fields.finish()?;
        let images = absolute(&folder.join(images))?;
        // They are read after hours of other work.
        if !images.exists() {
            let error = place.error(nextscale_files::words_of_missing(&images));
            return Err(error.with_help("paths start at the ablation's folder").into());
        }
        Ok(Self { images, condition, node: place })
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(crate::Error::io("find", path))
}

/// The overrides of `--quick`, removed from the tree.
pub(super) fn quick(node: &mut Node) -> Result<Vec<(String, Node)>> {
    let quick = take_out(node, "quick");
    map(quick.as_ref().map(|field| &field.node))
}

/// `{"path": value}` in the order written.
pub(super) fn map(node: Option<&Node>) -> Result<Vec<(String, Node)>> {
    let Some(node) = node else { return Ok(Vec::new()) };
    let Value::Map(entries) = &node.value else {
        let error = node.error("expected paths and values");
        return Err(error.with_help("write {\"guidance.beta\": 0.5, \"samples\": 100}").into());
    };
    entries.iter().map(|(key, value)| Ok((key.decode()?, value.clone()))).collect()
}

pub(super) fn seeds(node: &Node) -> Result<Vec<u64>> {
    let seeds: Vec<u64> = node.decode()?;
    if seeds.is_empty() {
        return Err(node.error("no seeds; give at least one").into());
    }
    let mut known = BTreeSet::new();
    if let Some(twice) = seeds.iter().find(|seed| !known.insert(**seed)) {
        return Err(node.error(format!("the seed {twice} is given twice")).into());
    }
    Ok(seeds)
}

pub(crate) fn samples(node: &Node) -> Result<u64> {
    match node.decode()? {
        samples @ 2.. => {
            fits(samples, "samples", node)?;
            Ok(samples)
        }
        few => Err(node.error(format!("{few} images; give at least 2 a cell and seed")).into()),
    }
}

pub(super) fn traces(node: &Node) -> Result<u64> {
    let traces = node.decode()?;
    fits(traces, "traces", node)?;
    Ok(traces)
}

/// Refuses more images than memory could hold: an image's pixels and what a measure keeps of it are far more
/// than is counted here.
fn fits(images: u64, field: &str, node: &Node) -> Result<()> {
    memory::check(field, &format!("{images} images a cell and seed"), u128::from(images) * 128)
        .map_err(|error| node.error(error.to_string()).into())
}

/// A choice must not be measured on the seeds that it was made on.
pub(super) fn apart(tune: &[u64], seeds: &[u64], node: &Node) -> Result<()> {
    let tune: BTreeSet<u64> = tune.iter().copied().collect();
    match seeds.iter().find(|seed| tune.contains(*seed)) {
        None => Ok(()),
        Some(seed) => Err(node
            .error(format!("the seed {seed} is among those of `tune`"))
            .with_help("what is chosen on a seed looks better there; measure on others")
            .into()),
    }
}

pub(crate) fn measures(node: &Node) -> Result<Vec<Node>> {
    match &node.value {
        Value::List(items) if !items.is_empty() => Ok(items.clone()),
        _ => Err(node.error("expected a list of measures").with_help("write [Pixels, Spectrum]").into()),
    }
}

/// The cell that `baseline` names.
pub(super) fn baseline(node: &Node, cells: &[Cell]) -> Result<usize> {
    let name: String = node.decode()?;
    cells.iter().position(|cell| cell.name == name).ok_or_else(|| {
        let names: Vec<String> = cells.iter().map(|cell| format!("`{}`", cell.name)).collect();
        let error = node.error(format!("no cell is named `{name}`"));
        error.with_help(format!("available: {}", names.join(", "))).into()
    })
}
