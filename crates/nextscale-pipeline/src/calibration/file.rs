use std::path::Path;

use nextscale_core::Grid;
use nextscale_priors::averages;
pub use nextscale_priors::averages::Averages;

use super::Identity;
use super::sums::Sums;
use crate::{Error, Prepared, Result};

/// Writes the averages, with what they were measured on.
pub(super) fn write(path: &Path, sums: &Sums, prepared: &Prepared, identity: &Identity) -> Result<()> {
    let measured: Vec<(Grid, Vec<f32>)> = sums.averages().collect();
    let about = [
        ("calibration", identity.text()),
        ("weights", prepared.model.fingerprint().to_owned()),
        ("scales", prepared.model.schedule().to_string()),
        ("images", sums.images.to_string()),
        ("halves", sums.halves().map_or(String::new(), |halves| format!("{halves:.4}"))),
        ("config", prepared.resolved().to_ron_string()),
    ];
    Ok(averages::write(path, &measured, about)?)
}

/// The difference between the halves of a file's images, if the file holds the averages of this very
/// calibration.
pub(super) fn expect(path: &Path, identity: &Identity) -> Result<Option<f64>> {
    let found = read(path)?;
    let said = found.about.get("calibration").map(String::as_str);
    let Some(difference) = identity.difference(said) else { return Ok(found.halves) };
    Err(Error::Folder(format!(
        "{} exists already and {difference}; name another file with --out, or remove it",
        path.display()
    )))
}

/// Reads a calibration's file.
///
/// # Errors
/// If the file cannot be read, is of another kind, or is damaged.
pub fn read(path: &Path) -> Result<Averages> {
    Ok(averages::read(path)?)
}
