//! A cell: one config whose images are generated for every seed.

use std::collections::BTreeMap;
use std::path::Path;

use nextscale_config::{Field, Node, Value};
use nextscale_core::Condition;
use nextscale_files::Hash;
use nextscale_pipeline::{Config, Prepared, Registry, version};

use super::Pixels;
use super::axes::{self, Axis, Point};
use crate::Result;

/// A config of the pipeline without a seed, with the filter on its images.
pub struct Cell {
    /// The name in reports.
    pub name: String,
    /// Its variant: its name without swept values.
    pub variant: String,
    /// The swept values: path and value of every axis.
    pub swept: Vec<(String, String)>,
    /// The swept or tuned values, in words.
    pub settings: Vec<(String, String)>,
    /// Additional axes of which only its variant chooses a point.
    pub tune: Vec<Axis>,
    /// The filter on finished images.
    pub pixels: Pixels,
    /// The config, checked against the model's headers; its seed is 0 and not used.
    pub prepared: Prepared,
    /// The config as a tree.
    tree: Node,
}

impl Cell {
    /// Checks a config; paths in it are relative to `folder`.
    ///
    /// # Errors
    /// If the config is wrong or contains what an ablation decides: a seed, variants.
    pub fn new(name: String, tree: Node, pixels: Pixels, folder: &Path, registry: &Registry) -> Result<Self> {
        for (field, help) in [
            ("seed", "give the ablation's `seeds`"),
            ("variants", "give the ablation's `variants`, and here one `guidance`"),
            ("npz", "leave it out: images are kept beside the report"),
            ("trace", "leave it out: `traces` says how many images are looked at, scale by scale"),
        ] {
            if let Ok(node) = tree.get(field)
                && node.name() != Some("None")
            {
                return Err(node
                    .error(format!("`{field}` has no place in an ablation's config"))
                    .with_help(help)
                    .into());
            }
        }
        let prepared = Config::from_node(&tree, folder, registry)?.prepare()?;
        let variant = name.clone();
        let (swept, settings, tune) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { name, variant, swept, settings, tune, pixels, prepared, tree })
    }

    /// The same with other values at some paths.
    ///
    /// # Errors
    /// If a path leads nowhere or the config is wrong with it.
    pub fn with(&self, point: &Point, folder: &Path, registry: &Registry) -> Result<Self> {
        let mut tree = self.tree.clone();
        for (path, value) in point {
            tree.set_node(path, value.clone())?;
        }
        let mut cell = Self::new(self.name.clone(), tree, self.pixels, folder, registry)?;
        cell.variant.clone_from(&self.variant);
        cell.swept = self.swept.clone();
        cell.tune.clone_from(&self.tune);
        cell.settings = self.settings.clone();
        cell.settings.extend(point.iter().map(|(path, value)| (path.clone(), value.to_string())));
        Ok(cell)
    }

    /// The same, named after a point of a sweep.
    pub fn named(mut self, point: &Point) -> Self {
        if !point.is_empty() {
            self.name = format!("{}, {}", self.name, axes::label(point));
        }
        self
    }

    /// Identifies its images, for every seed: the hash of the resolved config, the weights, the kind of
    /// device with its arithmetic, and the program's version. Neither the number of images nor the batch matters, nor filters on
    /// finished pixels.
    pub fn id(&self, device: &str) -> String {
        self.id_under(device, &version::words())
    }

    /// As [`id`](Self::id), for a program of another version.
    pub(crate) fn id_under(&self, device: &str, version: &str) -> String {
        let mut hash = Hash::from(self.prepared.identity());
        for part in [device, version] {
            hash.update_part(part);
        }
        hash.short(8)
    }

    /// What image `i` shows: the conditions of the config repeat, so that more images do not change earlier
    /// ones.
    pub fn condition(&self, image: u64) -> Condition {
        let conditions = &self.prepared.conditions;
        conditions[(image % conditions.len() as u64) as usize].clone()
    }

    /// What its images show, one entry per condition of the config, repeating: classes by name or number,
    /// texts, "null".
    pub fn shows(&self) -> Vec<String> {
        (0..self.prepared.conditions.len() as u64).map(|image| self.prepared.label(image)).collect()
    }

    /// The most images of one condition among the first `images`.
    pub fn most_alike(&self, images: u64) -> u64 {
        let shows = self.shows();
        let each = shows.len().max(1) as u64;
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for (at, shows) in (0..).zip(&shows) {
            // Whole rounds over the config's conditions, and this condition's share of the last one.
            *counts.entry(shows).or_default() += images / each + u64::from(at < images % each);
        }
        counts.into_values().max().unwrap_or(0)
    }

    /// A field of the resolved config on one line.
    pub fn said(&self, field: &str) -> String {
        self.prepared.resolved().get(field).map(ToString::to_string).unwrap_or_default()
    }

    /// The resolved config, without a seed.
    pub fn resolved(&self) -> Node {
        let mut node = self.prepared.resolved().clone();
        if let Value::Struct { fields, .. } = &mut node.value {
            fields.retain(|field: &Field| !["seed", "npz"].contains(&field.name.as_str()));
        }
        node
    }
}
