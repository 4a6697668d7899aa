//! The ablation file: a base config, variants and axes over it, seeds, and measures.

mod axes;
mod cell;
pub(crate) mod fields;
mod pixels;

use axes::fits;
pub use axes::{Axis, Point, label, product};
pub use cell::Cell;
pub use fields::{Completion, Tune};
pub use pixels::Pixels;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use nextscale_config::{Field, Node, Value};
use nextscale_pipeline::Registry;

use crate::Result;
use crate::judge::{Context, Judge, Judges};
use crate::reference::Reference;

/// An ablation file that has been read, whose configs all fit their models.
pub struct Ablation {
    /// The cells, before tuning.
    pub cells: Vec<Cell>,
    /// The cell that the others are compared with.
    pub baseline: usize,
    /// The seeds of the measurement.
    pub seeds: Vec<u64>,
    /// Images per cell and seed.
    pub samples: u64,
    /// What every cell chooses for itself first.
    pub tune: Option<Tune>,
    /// The measures.
    pub measures: Vec<Node>,
    /// The images that others are compared with.
    pub reference: Option<Reference>,
    /// Images per cell that are analysed scale by scale.
    pub traces: u64,
    /// Real images that are completed from their coarse scales.
    pub completion: Option<Completion>,
    /// Images that every cell generates at once for timing; 0 for no timing.
    pub timing: u64,
    folder: PathBuf,
    registry: Registry,
    hash: String,
}

impl Ablation {
    /// Applies a tree's own `quick`, the smallest useful numbers. The user's settings are applied afterwards,
    /// and win.
    ///
    /// # Errors
    /// If `quick` is not a map of paths and values, or a path leads nowhere.
    pub fn quicken(node: &mut Node) -> Result<()> {
        for (path, value) in fields::quick(node)? {
            node.set_node(&path, value)?;
        }
        Ok(())
    }

    /// Reads a tree to which overrides have been applied; paths in it are relative to `folder`.
    ///
    /// # Errors
    /// If it or the config of a cell is wrong, with the place; if a model's file is missing or wrong.
    pub fn from_node(node: &Node, folder: &Path, registry: &Registry, judges: &Judges) -> Result<Self> {
        let mut node = node.clone();
        // Its form is checked even if it is not used.
        fields::quick(&mut node)?;
        let mut given = node.fields()?;
        let base = given.node("base")?;
        let tune = given.node_option("tune").map(Tune::read).transpose()?;
        let (variants, axes) = (given.node("variants")?, given.node_option("axes"));
        let cells = cells(base, variants, axes, tune.is_some(), folder, registry)?;
        let baseline_node = given.node("baseline")?;
        let seeds_node = given.node("seeds")?;
        let seeds = fields::seeds(seeds_node)?;
        let samples = fields::samples(given.node("samples")?)?;
        let reference =
            given.node_option("reference").map(|node| Reference::read(node, folder)).transpose()?;
        let measures = match given.node_option("measures") {
            Some(node) => fields::measures(node)?,
            None => {
                let shown: Vec<String> = cells.iter().flat_map(Cell::shows).collect();
                judges.default_for(reference.as_ref(), &shown)?
            }
        };
        let traces = given.node_option("traces").map(fields::traces).transpose()?.unwrap_or(0);
        let timing = given.take_or("timing", 4)?;
        let completion =
            given.node_option("completion").map(|node| Completion::read(node, folder)).transpose()?;
        // Removed above; read here so that it is among the allowed fields.
        given.node_option("quick");
        given.finish()?;
        let baseline = fields::baseline(baseline_node, &cells)?;
        if let Some(tune) = &tune {
            fields::apart(&tune.seeds, &seeds, seeds_node)?;
        }
        Ok(Self {
            cells,
            baseline,
            seeds,
            samples,
            tune,
            measures,
            reference,
            traces,
            completion,
            timing,
            folder: folder.into(),
            registry: registry.clone(),
            hash: node.hash(),
        })
    }

    /// One cell on one seed: nothing is compared, traced or timed. `node` is what the file says, for the hash.
    pub(crate) fn of_one(
        cell: Cell,
        (seed, samples): (u64, u64),
        (measures, reference): (Vec<Node>, Option<Reference>),
        node: &Node,
        folder: &Path,
        registry: &Registry,
    ) -> Self {
        Self {
            cells: vec![cell],
            baseline: 0,
            seeds: vec![seed],
            samples,
            tune: None,
            measures,
            reference,
            traces: 0,
            completion: None,
            timing: 0,
            folder: folder.into(),
            registry: registry.clone(),
            hash: node.hash(),
        }
    }

    /// The judges of its measures.
    ///
    /// # Errors
    /// If one is unknown or its settings are wrong, or it needs a reference and there is none, or more images
    /// than a cell has, or more of one condition.
    pub fn judges(&self, judges: &Judges, device: &Device) -> Result<Vec<Box<dyn Judge>>> {
        let context = Context { reference: self.reference.as_ref(), folder: &self.folder, device };
        let fewest = self.tune.as_ref().map_or(self.samples, |tune| tune.samples.min(self.samples));
        let build = |node: &Node| {
            let judge = judges.build(node, &context)?;
            let needed = judge.at_least();
            if fewest < needed {
                let name = node.name().unwrap_or("this measure");
                let error = node.error(format!(
                    "{name} needs at least {needed} images, and a cell has {fewest} per seed"
                ));
                return Err(error
                    .with_help(format!("give samples: {needed} or more, or leave {name} out"))
                    .into());
            }
            let alike = judge.of_one_condition();
            if let Some(cell) = self.cells.iter().find(|cell| cell.most_alike(fewest) < alike) {
                let name = node.name().unwrap_or("this measure");
                let (found, cell) = (cell.most_alike(fewest), &cell.name);
                let error = node.error(format!(
                    "{name} compares {alike} images of one condition or more, and of {fewest} images of `{cell}` each \
                     condition has {found}"
                ));
                let help = format!("give more samples or fewer conditions in `base`, or leave {name} out");
                return Err(error.with_help(help).into());
            }
            Ok(judge)
        };
        self.measures.iter().map(build).collect()
    }

    /// Warnings about the cells' conditions, without duplicates, to be shown before images are generated.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks: Vec<String> = Vec::new();
        for remark in self.cells.iter().flat_map(|cell| cell.prepared.remarks()) {
            if !remarks.contains(remark) {
                remarks.push(remark.clone());
            }
        }
        remarks
    }

    /// The folder that paths in the configs are relative to.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The hash of the file's values after overrides.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The names for use in configs.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}

/// Every variant at every point of its own axes and the common ones.
fn cells(
    base: &Node,
    variants: &Node,
    common: Option<&Node>,
    is_tuned: bool,
    folder: &Path,
    registry: &Registry,
) -> Result<Vec<Cell>> {
    let Value::List(items) = &variants.value else {
        let help = "write [(name: \"none\"), (name: \"ssg\", set: {\"guidance\": ..})]";
        return Err(variants.error("expected a list of variants").with_help(help).into());
    };
    let common = Axis::read_all(common)?;
    let (mut cells, mut names) = (Vec::new(), BTreeSet::new());
    for item in items {
        let mut given = item.fields()?;
        let name: String = given.take("name")?;
        let set = fields::map(given.node_option("set"))?;
        let pixels = Pixels::read(given.node_option("pixels"))?;
        let own = Axis::read_all(given.node_option("axes"))?;
        let tune_node = given.node_option("tune");
        let tune = Axis::read_all(tune_node)?;
        if let Some(node) = tune_node.filter(|_| !is_tuned) {
            let error = node.error("a variant has `tune`, but the ablation has none");
            return Err(error
                .with_help("add tune: (axes: [], seeds: [100], samples: 100, by: \"FD-Lite0\")")
                .into());
        }
        given.finish()?;
        let mut tree = base.clone();
        for (path, value) in set {
            tree.set_node(&path, value)?;
        }
        fits(own.iter().chain(&common), item)?;
        for point in product(own.iter().chain(&common)) {
            let mut tree = tree.clone();
            for (path, value) in &point {
                tree.set_node(path, value.clone())?;
            }
            let mut cell = Cell::new(name.clone(), tree, pixels, folder, registry)?.named(&point);
            cell.tune.clone_from(&tune);
            cell.variant.clone_from(&name);
            cell.swept = point.iter().map(|(path, value)| (path.clone(), value.to_string())).collect();
            cell.settings = cell.swept.clone();
            if !names.insert(cell.name.clone()) {
                return Err(item.error(format!("a second cell named `{}`", cell.name)).into());
            }
            cells.push(cell);
        }
    }
    if cells.is_empty() {
        return Err(variants.error("no variants; give at least one").into());
    }
    Ok(cells)
}

/// Removes a field from a struct.
fn take_out(node: &mut Node, name: &str) -> Option<Field> {
    let Value::Struct { fields, .. } = &mut node.value else { return None };
    let at = fields.iter().position(|field| field.name == name)?;
    Some(fields.remove(at))
}

#[cfg(test)]
pub(crate) mod tests;
