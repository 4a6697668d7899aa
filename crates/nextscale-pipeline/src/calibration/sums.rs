use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nextscale_core::{Grid, LogitMap};
use nextscale_weights::files::write_atomically;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::host::floats;
use crate::{Error, Result};

/// Sums of logits over images and positions, in f64. The order of the images is that of their numbers, so that the sums are
/// the same to the bit for every batch size and however often a calibration was interrupted.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sums {
    /// Images that are summed.
    pub images: u64,
    grids: BTreeMap<(usize, usize), Sum>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Sum {
    positions: u64,
    channels: Vec<f64>,
}

impl Sums {
    /// Where the sums of an unfinished calibration lie.
    pub fn place(target: &Path) -> PathBuf {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        target.with_file_name(format!(".{name}.partial"))
    }

    /// Adds a scale of a batch.
    pub fn add(&mut self, logits: &LogitMap) -> Result<()> {
        let (grid, channels) = (logits.grid(), logits.alphabet().channels());
        let values = floats(logits.values().clone())?;
        let sum = self.grids.entry((grid.height, grid.width)).or_default();
        sum.channels.resize(channels, 0.0);
        for position in values.chunks_exact(channels) {
            sum.positions += 1;
            sum.channels.iter_mut().zip(position).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        Ok(())
    }

    /// The averages, grid by grid.
    pub fn averages(&self) -> impl Iterator<Item = (Grid, Vec<f32>)> {
        self.grids.iter().map(|(&(height, width), sum)| {
            let average = |value: &f64| (value / sum.positions as f64) as f32;
            (Grid::new(height, width), sum.channels.iter().map(average).collect())
        })
    }

    /// Writes them as they are.
    pub fn save(&self, path: &Path, identity: &str) -> Result<()> {
        let tensors: Vec<(String, Vec<u8>, Vec<usize>)> = (self.grids.iter())
            .map(|((height, width), sum)| {
                let numbers = sum.channels.iter().copied().chain([sum.positions as f64]);
                let bytes = numbers.flat_map(f64::to_le_bytes).collect();
                (format!("{height}x{width}"), bytes, vec![sum.channels.len() + 1])
            })
            .collect();
        let failed = |error: safetensors::SafeTensorError| {
            Error::Folder(format!("cannot write {}: {error}", path.display()))
        };
        let views = (tensors.iter())
            .map(|(name, bytes, shape)| Ok((name, TensorView::new(Dtype::F64, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed)?;
        let about = [("images", self.images.to_string()), ("calibration", identity.into())];
        let about = about.map(|(key, value)| (key.to_owned(), value)).into();
        let bytes = safetensors::serialize(views, Some(about)).map_err(failed)?;
        write_atomically(path, &bytes).map_err(Error::io("write", path))
    }

    /// Those of an unfinished calibration, or none yet.
    ///
    /// # Errors
    /// If the file is of another calibration, or no such file.
    pub fn load(path: &Path, identity: &str) -> Result<Self> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        Self::decode(&bytes, identity).ok_or_else(|| {
            Error::Folder(format!(
                "{} is of another unfinished calibration; delete it, or name another file with --out",
                path.display()
            ))
        })
    }

    fn decode(bytes: &[u8], identity: &str) -> Option<Self> {
        let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
        let about = header.metadata().as_ref()?;
        if about.get("calibration")? != identity {
            return None;
        }
        let mut sums = Self { images: about.get("images")?.parse().ok()?, grids: BTreeMap::new() };
        for (name, tensor) in SafeTensors::deserialize(bytes).ok()?.tensors() {
            let (height, width) = name.split_once('x')?;
            let numbers = tensor.data().as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes));
            let mut channels: Vec<f64> = numbers.collect();
            let positions = channels.pop()? as u64;
            sums.grids.insert((height.parse().ok()?, width.parse().ok()?), Sum { positions, channels });
        }
        Some(sums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tensor, TensorData};
    use nextscale_core::Alphabet;

    fn map(values: &[f32], grid: Grid) -> LogitMap {
        let shape = [values.len() / (2 * grid.positions()), grid.positions(), 2];
        let values = Tensor::from_data(TensorData::new(values.to_vec(), shape), &Device::flex());
        LogitMap::new(values, grid, Alphabet::codes(2)).unwrap()
    }

    #[test]
    fn averages_are_over_images_and_positions_and_equal_grids_share_one() {
        let mut sums = Sums::default();
        sums.add(&map(&[1.0, -1.0, 3.0, 5.0], Grid::new(1, 2))).unwrap();
        sums.add(&map(&[2.0, 8.0, 2.0, 0.0, 0.0, 0.0, 1.0, 0.0], Grid::new(1, 2))).unwrap();
        sums.add(&map(&[7.0, 9.0], Grid::square(1))).unwrap();
        let averages: Vec<_> = sums.averages().collect();
        assert_eq!(averages, [(Grid::square(1), vec![7.0, 9.0]), (Grid::new(1, 2), vec![1.5, 2.0])]);
    }

    #[test]
    fn saved_sums_come_back_to_the_bit_and_to_their_own_calibration_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = Sums::place(&folder.path().join("a.safetensors"));
        assert_eq!(Sums::load(&path, "this").unwrap(), Sums::default());
        let mut sums = Sums { images: 3, ..Sums::default() };
        (0..9).for_each(|i| sums.add(&map(&[0.1 + i as f32, 1e-7], Grid::square(1))).unwrap());
        sums.save(&path, "this").unwrap();
        assert_eq!(Sums::load(&path, "this").unwrap(), sums);
        assert!(Sums::load(&path, "that").unwrap_err().to_string().contains(".a.safetensors.partial"));
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert!(Sums::load(&path, "this").unwrap_err().to_string().contains("delete it"));
    }
}
