//! Improved precision and recall, density and coverage: how two sets overlap, by nearest neighbours.

use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::distances::Points;
use crate::{Error, Result};

/// How many neighbours make a neighbourhood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbours {
    /// For precision and recall: 3 in the paper and in the ADM suite.
    pub precision_recall: usize,
    /// For density and coverage: 5 in the paper.
    pub density_coverage: usize,
}

impl Default for Neighbours {
    fn default() -> Self {
        Self { precision_recall: 3, density_coverage: 5 }
    }
}

/// How two sets overlap; every number except density lies in [0, 1].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Overlap {
    /// The fraction of samples within the neighbourhood of a reference image.
    pub precision: f64,
    /// The fraction of reference images within the neighbourhood of a sample.
    pub recall: f64,
    /// The mean number of reference neighbourhoods that contain a sample, divided by the number of
    /// neighbours.
    pub density: f64,
    /// The fraction of reference images whose neighbourhood contains a sample.
    pub coverage: f64,
}

/// A set with the neighbourhoods of its members.
///
/// Creating one computes all distances within the set; a reference is prepared once for many comparisons.
#[derive(Debug, Clone)]
pub struct Manifold<'a> {
    points: Points<'a>,
    dims: usize,
    neighbours: Neighbours,
    /// Squared distances to the last neighbour, for precision and recall, then for density and coverage.
    radii: Radii,
}

/// Squared distances from every member to its last neighbour.
#[derive(Debug, Clone, PartialEq)]
pub struct Radii {
    precision_recall: Vec<f64>,
    density_coverage: Vec<f64>,
}

impl<'a> Manifold<'a> {
    /// The set of `features`, `[images, dims]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if they are not whole images; [`Error::Setting`] for no neighbours; [`Error::TooFew`]
    /// if there are too few images.
    pub fn new(features: &'a [f32], dims: usize, neighbours: Neighbours) -> Result<Self> {
        let points = checked(features, dims, neighbours)?;
        let [precision_recall, density_coverage] =
            points.radii([neighbours.precision_recall, neighbours.density_coverage]);
        Ok(Self { points, dims, neighbours, radii: Radii { precision_recall, density_coverage } })
    }

    /// The same set, with radii computed earlier.
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`Error::Shape`] if the radii belong to another set.
    pub fn with_radii(
        features: &'a [f32],
        dims: usize,
        neighbours: Neighbours,
        radii: Radii,
    ) -> Result<Self> {
        let points = checked(features, dims, neighbours)?;
        for found in [radii.precision_recall.len(), radii.density_coverage.len()] {
            if found != points.len() {
                return Err(Error::Shape { what: "radii".into(), found, expected: points.len() });
            }
        }
        Ok(Self { points, dims, neighbours, radii })
    }

    /// The radii, for [`with_radii`](Self::with_radii).
    pub fn radii(&self) -> &Radii {
        &self.radii
    }
}

fn checked(features: &[f32], dims: usize, neighbours: Neighbours) -> Result<Points<'_>> {
    if dims == 0 || !features.len().is_multiple_of(dims) {
        let expected = features.len() / dims.max(1) * dims;
        return Err(Error::Shape { what: "features".into(), found: features.len(), expected });
    }
    let least = neighbours.precision_recall.min(neighbours.density_coverage);
    if least == 0 {
        return Err(Error::Setting { name: "neighbours", problem: "must be at least 1".into() });
    }
    let most = neighbours.precision_recall.max(neighbours.density_coverage);
    let points = Points::new(features, dims);
    if points.len() <= most {
        let what = format!("a neighbourhood of {most}");
        return Err(Error::TooFew { what, needed: most as u64 + 1, found: points.len() as u64 });
    }
    Ok(points)
}

/// How samples and reference overlap.
///
/// Source of precision and recall: Kynkäänniemi et al., "Improved precision and recall metric for assessing
/// generative models" (2019), equations 1 and 2, where the ball is closed; of density and coverage: Naeem et
/// al., "Reliable fidelity and diversity metrics for generative models" (2020), equations 5 and 6, where it
/// is open.
///
/// # Errors
/// [`Error::Shape`] if the features have different dimensions, [`Error::Setting`] if the neighbours differ.
pub fn overlap(samples: &Manifold<'_>, reference: &Manifold<'_>) -> Result<Overlap> {
    if samples.dims != reference.dims {
        return Err(Error::Shape { what: "features".into(), found: samples.dims, expected: reference.dims });
    }
    if samples.neighbours != reference.neighbours {
        return Err(Error::Setting { name: "neighbours", problem: "must be the same for both sets".into() });
    }
    // Set by many tasks, only ever to true, so the order does not matter.
    let precise: Vec<AtomicBool> = (0..samples.points.len()).map(|_| AtomicBool::new(false)).collect();
    let of_samples = &samples.radii.precision_recall;
    #[derive(Default)]
    struct Seen {
        recalled: bool,
        inside: u64,
    }
    let seen = reference.points.fold(&samples.points, Seen::default, |seen, point, first, distances| {
        let closed = reference.radii.precision_recall[point];
        let open = reference.radii.density_coverage[point];
        for (i, &distance) in distances.iter().enumerate() {
            if distance <= closed {
                precise[first + i].store(true, Ordering::Relaxed);
            }
            seen.recalled |= distance <= of_samples[first + i];
            seen.inside += u64::from(distance < open);
        }
    });
    let share = |count: usize, of: usize| count as f64 / of as f64;
    let inside: u64 = seen.iter().map(|seen| seen.inside).sum();
    let k = reference.neighbours.density_coverage as f64;
    Ok(Overlap {
        precision: share(precise.iter().filter(|flag| flag.load(Ordering::Relaxed)).count(), precise.len()),
        recall: share(seen.iter().filter(|seen| seen.recalled).count(), seen.len()),
        density: inside as f64 / (k * samples.points.len() as f64),
        coverage: share(seen.iter().filter(|seen| seen.inside > 0).count(), seen.len()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::features;

    fn of(samples: &[f32], reference: &[f32], dims: usize, k: usize) -> Overlap {
        let neighbours = Neighbours { precision_recall: k, density_coverage: k };
        let manifold = |rows| Manifold::new(rows, dims, neighbours).unwrap();
        overlap(&manifold(samples), &manifold(reference)).unwrap()
    }

    fn same(found: Overlap, [precision, recall, density, coverage]: [f64; 4]) {
        let expected = Overlap { precision, recall, density, coverage };
        // Density is a quotient of integers that numpy divides in another order.
        assert!((found.density - density).abs() < 1e-15, "{found:?} {expected:?}");
        assert_eq!(Overlap { density, ..found }, expected);
    }

    /// prdc 0.2 on the same features; torch-fidelity 0.4.0 (k = 3) has the same precision and recall, in f32.
    #[test]
    fn equals_prdc_and_torch_fidelity() {
        let (a, b) = (features(300, 48, 1, 0), features(400, 48, 2, 400));
        same(of(&a, &b, 48, 3), [0.7666666666666667, 0.8125, 0.8044444444444445, 0.7025]);
        same(of(&a, &b, 48, 5), [0.87, 0.91, 0.7813333333333334, 0.8475]);
        let (a, b) = (features(500, 6, 4, 0), features(600, 6, 5, 300));
        same(of(&a, &b, 6, 3), [0.926, 0.9216666666666666, 0.9593333333333334, 0.8]);
        same(of(&a, &b, 6, 5), [0.962, 0.9683333333333334, 0.966, 0.9283333333333333]);
    }

    #[test]
    fn each_pair_has_its_own_neighbours() {
        let (a, b) = (features(300, 48, 1, 0), features(400, 48, 2, 400));
        let manifold = |rows| Manifold::new(rows, 48, Neighbours::default()).unwrap();
        let (samples, reference) = (manifold(&a), manifold(&b));
        let found = overlap(&samples, &reference).unwrap();
        same(found, [0.7666666666666667, 0.8125, 0.7813333333333334, 0.8475]);
        let radii = reference.radii().clone();
        let again = Manifold::with_radii(&b, 48, Neighbours::default(), radii.clone()).unwrap();
        assert_eq!(overlap(&samples, &again).unwrap(), found);
        assert!(matches!(
            Manifold::with_radii(&a, 48, Neighbours::default(), radii),
            Err(Error::Shape { .. })
        ));
    }

    #[test]
    fn a_set_covers_itself_and_far_sets_share_nothing() {
        let a = features(100, 5, 1, 0);
        let own = of(&a, &a, 5, 3);
        assert_eq!((own.precision, own.recall, own.coverage), (1.0, 1.0, 1.0));
        let far: Vec<f32> = a.iter().map(|value| value + 1000.0).collect();
        assert_eq!(of(&far, &a, 5, 3), Overlap { precision: 0.0, recall: 0.0, density: 0.0, coverage: 0.0 });
    }

    #[test]
    fn too_few_images_for_the_neighbours_are_named() {
        let rows = features(5, 4, 1, 0);
        let error = Manifold::new(&rows, 4, Neighbours::default()).unwrap_err().to_string();
        assert!(error.contains("at least 6 images; there are 5"), "{error}");
        let none = Neighbours { precision_recall: 0, density_coverage: 5 };
        assert!(matches!(Manifold::new(&rows, 4, none), Err(Error::Setting { .. })));
    }
}
