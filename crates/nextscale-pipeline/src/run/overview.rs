//! Files that are written when all images exist: a labelled grid, and npz files.

use std::fmt::Write as _;

use nextscale_core::Condition;
use nextscale_files::run::{RunFolder, image_name};
use nextscale_files::write_atomically;
use serde::{Deserialize, Serialize};

use crate::images::{LabelledGrid, read, write_npz, write_png};
use crate::{Error, Prepared, Result};

/// The most columns of a grid.
const COLUMNS: usize = 16;
/// The most images of a grid of one rule.
const IMAGES: usize = 100;

/// What these files say besides the images themselves.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Overview {
    /// The rows of `images.csv`.
    table: String,
    /// What each image shows, in words.
    labels: Vec<String>,
    /// The class of each image, if all have one.
    classes: Option<Vec<i64>>,
    /// The names of the rules, if they have names.
    rules: Vec<String>,
    /// The folder of each rule's images.
    folders: Vec<String>,
    /// Whether an npz file of each is written.
    npz: bool,
}

impl Overview {
    pub fn of(prepared: &Prepared) -> Self {
        let conditions = &prepared.conditions;
        Self {
            table: table(prepared),
            labels: (0..conditions.len() as u64).map(|image| prepared.label(image)).collect(),
            classes: conditions.iter().map(|condition| class(condition).map(|class| class as i64)).collect(),
            rules: prepared.config.methods.iter().filter_map(|method| method.name.clone()).collect(),
            folders: prepared.folders(),
            npz: prepared.config.npz,
        }
    }
}

pub(super) fn write(overview: &Overview, folder: &RunFolder) -> Result<()> {
    write_png(&folder.path().join("grid.png"), &grid(overview, folder)?.draw())?;
    let path = folder.path().join("images.csv");
    write_atomically(&path, overview.table.as_bytes()).map_err(Error::io("write", &path))?;
    if overview.npz {
        let images = overview.labels.len();
        for (variant, name) in overview.folders.iter().enumerate() {
            let (width, height) = read(&folder.image(variant, 0))?.dimensions();
            let path = folder.path().join(format!("{name}.npz"));
            let picture = |index: usize| read(&folder.image(variant, index as u64));
            let labels = overview.classes.as_deref();
            write_npz(&path, images, (height as usize, width as usize), labels, picture)?;
        }
    }
    Ok(())
}

/// The number of an image's class, if it has one.
fn class(condition: &Condition) -> Option<usize> {
    match condition.shown() {
        Condition::Class(class) => Some(*class),
        _ => None,
    }
}

/// One row per image, the same in every rule's folder: file, seed, class, and what it shows in words.
fn table(prepared: &Prepared) -> String {
    let mut text = String::from("file,seed,image,class,shows,condition\n");
    for (image, condition) in (0..).zip(&prepared.conditions) {
        let class = class(condition).map_or(String::new(), |class| class.to_string());
        let seed = prepared.config.seed;
        let [shows, condition] = [prepared.label(image), condition.to_string()].map(|field| quoted(&field));
        let _ = writeln!(text, "{},{seed},{image},{class},{shows},{condition}", image_name(image));
    }
    text
}

/// A field of a CSV file, quoted if necessary.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.into()
    }
}

/// Rules against images; with one rule, classes against images if every class has the same number, otherwise
/// one image after the other.
fn grid(overview: &Overview, folder: &RunFolder) -> Result<LabelledGrid> {
    let labels = &overview.labels;
    let images = labels.len();
    let cells = |variant: usize, images: std::ops::Range<usize>| {
        images.map(|image| read(&folder.image(variant, image as u64))).collect::<Result<Vec<_>>>()
    };
    let names = &overview.rules;
    if !names.is_empty() {
        let shown = images.min(COLUMNS);
        let cells = (0..names.len()).map(|variant| cells(variant, 0..shown)).collect::<Result<_>>()?;
        return Ok(LabelledGrid { columns: labels[..shown].to_vec(), rows: names.clone(), cells });
    }
    let each = labels.iter().take_while(|label| **label == labels[0]).count();
    let even =
        labels.chunks(each).all(|group| group.len() == each && group.iter().all(|label| *label == group[0]));
    if even && each > 1 && images > each {
        let shown = each.min(COLUMNS);
        let starts: Vec<usize> = (0..images).step_by(each).take(IMAGES / shown).collect();
        let rows = starts.iter().map(|&start| labels[start].clone()).collect();
        let cells = starts.iter().map(|&start| cells(0, start..start + shown)).collect::<Result<_>>()?;
        return Ok(LabelledGrid { columns: Vec::new(), rows, cells });
    }
    if images <= COLUMNS {
        return Ok(LabelledGrid {
            columns: labels.clone(),
            rows: Vec::new(),
            cells: vec![cells(0, 0..images)?],
        });
    }
    let shown = images.min(IMAGES);
    let across = (shown as f64).sqrt().ceil() as usize;
    let cells = (0..shown).step_by(across).map(|start| cells(0, start..shown.min(start + across)));
    Ok(LabelledGrid { columns: Vec::new(), rows: Vec::new(), cells: cells.collect::<Result<_>>()? })
}
