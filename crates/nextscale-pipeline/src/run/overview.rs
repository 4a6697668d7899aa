//! Files that are written when all images exist: a labelled grid, and npz files.

use std::fmt::Write as _;

use nextscale_core::Condition;
use nextscale_files::run::{RunFolder, image_name};
use nextscale_files::write_atomically;

use crate::images::{LabelledGrid, read, write_npz, write_png};
use crate::{Error, Prepared, Result};

/// The most columns of a grid.
const COLUMNS: usize = 16;
/// The most images of a grid of one rule.
const IMAGES: usize = 100;

pub(super) fn write(prepared: &Prepared, folder: &RunFolder) -> Result<()> {
    write_png(&folder.path().join("grid.png"), &grid(prepared, folder)?.draw())?;
    let path = folder.path().join("images.csv");
    write_atomically(&path, table(prepared).as_bytes()).map_err(Error::io("write", &path))?;
    if prepared.config.npz {
        let images = prepared.conditions.len();
        let labels: Option<Vec<i64>> =
            prepared.conditions.iter().map(|condition| class(condition).map(|class| class as i64)).collect();
        for (variant, name) in prepared.folders().iter().enumerate() {
            let (width, height) = read(&folder.image(variant, 0))?.dimensions();
            let path = folder.path().join(format!("{name}.npz"));
            let picture = |index: usize| read(&folder.image(variant, index as u64));
            write_npz(&path, images, (height as usize, width as usize), labels.as_deref(), picture)?;
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
fn grid(prepared: &Prepared, folder: &RunFolder) -> Result<LabelledGrid> {
    let images = prepared.conditions.len();
    let labels: Vec<String> = (0..images).map(|image| prepared.label(image as u64)).collect();
    let cells = |variant: usize, images: std::ops::Range<usize>| {
        images.map(|image| read(&folder.image(variant, image as u64))).collect::<Result<Vec<_>>>()
    };
    let names: Vec<String> =
        prepared.config.methods.iter().filter_map(|method| method.name.clone()).collect();
    if !names.is_empty() {
        let shown = images.min(COLUMNS);
        let cells = (0..names.len()).map(|variant| cells(variant, 0..shown)).collect::<Result<_>>()?;
        return Ok(LabelledGrid { columns: labels[..shown].to_vec(), rows: names, cells });
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
        return Ok(LabelledGrid { columns: labels, rows: Vec::new(), cells: vec![cells(0, 0..images)?] });
    }
    let shown = images.min(IMAGES);
    let across = (shown as f64).sqrt().ceil() as usize;
    let cells = (0..shown).step_by(across).map(|start| cells(0, start..shown.min(start + across)));
    Ok(LabelledGrid { columns: Vec::new(), rows: Vec::new(), cells: cells.collect::<Result<_>>()? })
}
