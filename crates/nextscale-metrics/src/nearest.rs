//! The nearest images of a large set to a few, by their features.

use crate::distances::Points;
use crate::{Error, Features, Result};

/// An image of the large set, and its distance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// Its index in the large set, from 0.
    pub index: u64,
    /// The Euclidean distance of the pooled features.
    pub distance: f64,
}

/// Finds the nearest images of a large set, which arrives in batches, to each of a few. Memory does not grow
/// with the large set.
#[derive(Debug, Clone)]
pub struct NearestNeighbours {
    few: Vec<f32>,
    dims: usize,
    count: usize,
    seen: u64,
    found: Vec<Vec<Neighbour>>,
}

impl NearestNeighbours {
    /// The `count` nearest to each row of `few`, pooled features `[images, dims]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if they are not whole rows.
    pub fn new(few: Vec<f32>, dims: usize, count: usize) -> Result<Self> {
        if dims == 0 || !few.len().is_multiple_of(dims) {
            return Err(Error::Shape { what: "pooled features".into(), found: few.len(), expected: dims });
        }
        let found = vec![Vec::new(); few.len() / dims];
        Ok(Self { few, dims, count, seen: 0, found })
    }

    /// Adds the next batch of the large set.
    ///
    /// # Errors
    /// [`Error::Shape`] if they have another number of features.
    pub fn push(&mut self, features: &Features) -> Result<()> {
        if features.dims != self.dims {
            let what = "features of an image".into();
            return Err(Error::Shape { what, found: features.dims, expected: self.dims });
        }
        let many = Points::new(&features.pooled, self.dims);
        let (seen, count) = (self.seen, self.count);
        let near = Points::new(&self.few, self.dims).fold(
            &many,
            Vec::new,
            |near: &mut Vec<Neighbour>, _, first, distances| {
                let neighbour = |(i, distance): (usize, &f64)| Neighbour {
                    index: seen + (first + i) as u64,
                    distance: distance.sqrt(),
                };
                near.extend(distances.iter().enumerate().map(neighbour));
                keep(near, count);
            },
        );
        for (found, near) in self.found.iter_mut().zip(near) {
            found.extend(near);
            keep(found, count);
        }
        self.seen += features.count as u64;
        Ok(())
    }

    /// The neighbours so far of each of the few, nearest first; ties in order of index.
    pub fn found(&self) -> &[Vec<Neighbour>] {
        &self.found
    }
}

/// Keeps the nearest; a stable sort keeps ties in order.
fn keep(neighbours: &mut Vec<Neighbour>, count: usize) {
    neighbours.sort_by(|a, b| a.distance.total_cmp(&b.distance));
    neighbours.truncate(count);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::features;

    fn of(pooled: &[f32], dims: usize) -> Features {
        Features { count: pooled.len() / dims, dims, pooled: pooled.to_vec(), spatial: None, logits: None }
    }

    #[test]
    fn neighbours_are_those_of_a_search_through_all_whatever_the_batch() {
        let dims = 7;
        let (few, many) = (features(5, dims, 1, 0), features(700, dims, 2, 0));
        let whole = {
            let mut nearest = NearestNeighbours::new(few.clone(), dims, 3).unwrap();
            nearest.push(&of(&many, dims)).unwrap();
            nearest
        };
        for (row, found) in few.chunks(dims).zip(whole.found()) {
            let distance = |other: &[f32]| {
                row.iter().zip(other).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
            };
            let mut all: Vec<(f64, u64)> = many.chunks(dims).map(distance).zip(0..).collect();
            all.sort_by(|a, b| a.0.total_cmp(&b.0));
            for (found, (distance, index)) in found.iter().zip(all) {
                assert_eq!(found.index, index);
                assert!((found.distance - distance).abs() < 1e-6);
            }
            assert_eq!(found.len(), 3);
        }
        let mut parts = NearestNeighbours::new(few, dims, 3).unwrap();
        many.chunks(11 * dims).for_each(|part| parts.push(&of(part, dims)).unwrap());
        assert_eq!(parts.found(), whole.found());
    }

    #[test]
    fn a_copy_is_at_no_distance_and_of_two_the_earlier_comes_first() {
        let rows = features(3, 300, 1, 0);
        let mut nearest = NearestNeighbours::new(rows[..300].to_vec(), 300, 5).unwrap();
        nearest.push(&of(&rows, 300)).unwrap();
        nearest.push(&of(&rows[..300], 300)).unwrap();
        let found = &nearest.found()[0];
        assert_eq!((found.len(), found[0], found[1].index), (4, Neighbour { index: 0, distance: 0.0 }, 3));
        assert!(nearest.push(&of(&rows, 100)).is_err());
        assert!(NearestNeighbours::new(vec![0.0; 3], 2, 1).is_err());
    }
}
