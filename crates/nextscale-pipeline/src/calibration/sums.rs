use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nextscale_core::{Grid, LogitMap};
use nextscale_files::{unfinished_path, write_atomically};
use nextscale_weights::serialize;
use safetensors::{Dtype, SafeTensors};

use crate::{Error, Result};
use nextscale_generate::floats;

/// Sums of logits over images and positions, in f64. Images are added in the order of their numbers, so that
/// the sums are the same, bit for bit, for every batch size and after any number of interruptions.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sums {
    /// The number of images so far.
    pub images: u64,
    grids: BTreeMap<(usize, usize), Sum>,
}

/// Separate sums over images with even and odd numbers: their difference shows whether there are enough.
#[derive(Debug, Clone, Default, PartialEq)]
struct Sum {
    halves: [Half; 2],
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Half {
    positions: u64,
    channels: Vec<f64>,
}

impl Half {
    fn add(&mut self, positions: &[f32], channels: usize) {
        for position in positions.chunks_exact(channels) {
            self.positions += 1;
            self.channels.iter_mut().zip(position).for_each(|(sum, &value)| *sum += f64::from(value));
        }
    }

    /// The average minus its mean over the channels, which does not affect a distribution.
    fn centred(&self) -> Vec<f64> {
        let mean = self.channels.iter().sum::<f64>() / self.channels.len() as f64;
        self.channels.iter().map(|sum| (sum - mean) / self.positions as f64).collect()
    }
}

impl Sums {
    /// The file of an unfinished calibration's sums.
    pub fn place(target: &Path) -> PathBuf {
        unfinished_path(target)
    }

    /// Adds a scale of a batch, whose first image follows those already counted.
    pub fn add(&mut self, logits: &LogitMap) -> Result<()> {
        let (grid, channels) = (logits.grid(), logits.alphabet().channels());
        let values = floats(logits.values().clone())?;
        let sum = self.grids.entry((grid.height, grid.width)).or_default();
        sum.halves.iter_mut().for_each(|half| half.channels.resize(channels, 0.0));
        for (image, positions) in values.chunks_exact(channels * grid.positions()).enumerate() {
            sum.halves[(self.images as usize + image) % 2].add(positions, channels);
        }
        Ok(())
    }

    /// Adds the sums over the positions of each image of a batch, whose first image follows those already counted.
    pub fn add_sums(&mut self, grid: Grid, channels: usize, sums: &[f32]) {
        let sum = self.grids.entry((grid.height, grid.width)).or_default();
        sum.halves.iter_mut().for_each(|half| half.channels.resize(channels, 0.0));
        for (image, sums) in sums.chunks_exact(channels).enumerate() {
            let half = &mut sum.halves[(self.images as usize + image) % 2];
            half.positions += grid.positions() as u64;
            half.channels.iter_mut().zip(sums).for_each(|(sum, &value)| *sum += f64::from(value));
        }
    }

    /// The averages, grid by grid.
    pub fn averages(&self) -> impl Iterator<Item = (Grid, Vec<f32>)> {
        self.grids.iter().map(|(&(height, width), sum)| {
            let [even, odd] = &sum.halves;
            let positions = (even.positions + odd.positions) as f64;
            let average = |(a, b): (&f64, &f64)| ((a + b) / positions) as f32;
            (Grid::new(height, width), even.channels.iter().zip(&odd.channels).map(average).collect())
        })
    }

    /// The difference between the averages over even and over odd images: the root mean square of the
    /// difference divided by that of the mean, both over all grids and channels, each average centred over
    /// its channels. `None` for one image.
    pub fn halves(&self) -> Option<f64> {
        let (mut apart, mut size) = (0.0, 0.0);
        for Sum { halves: [even, odd] } in self.grids.values() {
            if even.positions == 0 || odd.positions == 0 {
                return None;
            }
            for (a, b) in even.centred().iter().zip(odd.centred()) {
                apart += (a - b).powi(2);
                size += ((a + b) / 2.0).powi(2);
            }
        }
        (size > 0.0).then(|| (apart / size).sqrt())
    }

    /// Writes the sums.
    pub fn save(&self, path: &Path, identity: &str) -> Result<()> {
        let tensors: Vec<(String, Vec<u8>, Vec<usize>)> = (self.grids.iter())
            .map(|((height, width), sum)| {
                let row =
                    |half: &Half| half.channels.iter().copied().chain([half.positions as f64]).collect();
                let rows: [Vec<f64>; 2] = [row(&sum.halves[0]), row(&sum.halves[1])];
                let bytes = rows.iter().flatten().copied().flat_map(f64::to_le_bytes).collect();
                (format!("{height}x{width}"), bytes, vec![2, rows[0].len()])
            })
            .collect();
        let tensors =
            tensors.iter().map(|(name, bytes, shape)| (name, Dtype::F64, shape.clone(), &bytes[..]));
        let about = [("images", self.images.to_string()), ("calibration", identity.into())];
        let bytes = serialize(tensors, about)
            .map_err(|error| Error::Folder(format!("cannot write {}: {error}", path.display())))?;
        write_atomically(path, &bytes).map_err(Error::io("write", path))
    }

    /// The sums of an unfinished calibration, or empty ones.
    ///
    /// # Errors
    /// If the file belongs to another calibration, or is not such a file.
    pub fn load(path: &Path, identity: &str) -> Result<Self> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        Self::decode(&bytes, identity).ok_or_else(|| {
            Error::Folder(format!(
                "{} belongs to another unfinished calibration; delete it, or name another file with --out",
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
            let numbers: Vec<f64> = numbers.collect();
            let &[2, width_of_row] = tensor.shape() else { return None };
            let half = |row: &[f64]| {
                let (&positions, channels) = row.split_last()?;
                Some(Half { positions: positions as u64, channels: channels.to_vec() })
            };
            let (even, odd) = numbers.split_at_checked(width_of_row)?;
            let sum = Sum { halves: [half(even)?, half(odd)?] };
            sums.grids.insert((height.parse().ok()?, width.parse().ok()?), sum);
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
    fn sums_of_positions_count_as_the_positions_do() {
        let (grid, values) = (Grid::new(1, 2), [1.0, -1.0, 3.0, 5.0, 2.0, 8.0, 2.0, 0.0]);
        let (mut one, mut other) =
            (Sums { images: 3, ..Sums::default() }, Sums { images: 3, ..Sums::default() });
        one.add(&map(&values, grid)).unwrap();
        other.add_sums(grid, 2, &[4.0, 4.0, 4.0, 8.0]);
        assert_eq!(one, other);
    }

    #[test]
    fn halves_of_the_images_are_told_apart_across_batches_and_constants_do_not_count() {
        let grid = Grid::square(1);
        let of = |batches: &[&[f32]]| {
            let mut sums = Sums::default();
            for batch in batches {
                sums.add(&map(batch, grid)).unwrap();
                sums.images += batch.len() as u64 / 2;
            }
            sums.halves()
        };
        // Images (1, -1), (3, 1), (2, -2), (0, -4): centred ±1, ±1, ±2, ±2, so 1.5 and 1.5 in the halves.
        let values = [1.0, -1.0, 3.0, 1.0, 2.0, -2.0, 0.0, -4.0];
        assert_eq!(of(&[&values]), Some(0.0));
        assert_eq!(of(&[&values[..2], &values[2..]]), Some(0.0));
        // ±1 and ±3: different by ±2, around ±2.
        assert_eq!(of(&[&[1.0, -1.0], &[3.0, -3.0]]), Some(1.0));
        assert_eq!(of(&[&[1.0, -1.0]]), None);
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
        assert!(Sums::load(&path, "that").unwrap_err().to_string().contains(".a.safetensors.unfinished"));
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert!(Sums::load(&path, "this").unwrap_err().to_string().contains("delete it"));
    }
}
