use serde::{Deserialize, Serialize};

use crate::{Error, Grid, Result};

/// The most scales of a schedule, several times those of any published model. Every scale is a pass through
/// the model and a resampling to every other: thousands would seem to hang.
const MOST_SCALES: usize = 64;

/// The grids of a generation, coarse to fine. There are 1 to 64, none is empty, and none is smaller on an
/// axis than the one before.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<Grid>", into = "Vec<Grid>")]
pub struct ScaleSchedule {
    grids: Vec<Grid>,
}

impl ScaleSchedule {
    /// Checks a list of grids.
    ///
    /// # Errors
    /// [`Error::Schedule`] if the list is empty or has more than 64 scales, a side is 0, or a grid is smaller on an axis than the one
    /// before it.
    pub fn new(grids: Vec<Grid>) -> Result<Self> {
        if grids.is_empty() {
            return Err(Error::Schedule("the list is empty; give at least one scale, like [1, 2, 4]".into()));
        }
        if grids.len() > MOST_SCALES {
            return Err(Error::Schedule(format!(
                "{} scales are too many; give at most {MOST_SCALES}",
                grids.len()
            )));
        }
        for (k, grid) in grids.iter().enumerate() {
            if grid.height == 0 || grid.width == 0 {
                return Err(Error::Schedule(format!("scale {k} is {grid}; a side must be at least 1")));
            }
            if k > 0 && (grid.height < grids[k - 1].height || grid.width < grids[k - 1].width) {
                return Err(Error::Schedule(format!(
                    "scale {k} is {grid}, smaller on an axis than scale {} with {}; list them coarse to fine",
                    k - 1,
                    grids[k - 1]
                )));
            }
        }
        // The random numbers count positions in 32 bits.
        let most = u64::from(u32::MAX);
        let positions = grids.iter().try_fold(0_u64, |sum, grid| {
            sum.checked_add((grid.height as u64).checked_mul(grid.width as u64)?).filter(|&sum| sum <= most)
        });
        if positions.is_none() {
            return Err(Error::Schedule(format!(
                "its scales have more than {most} positions together; the largest is {}",
                grids[grids.len() - 1]
            )));
        }
        Ok(Self { grids })
    }

    /// A schedule of square grids.
    ///
    /// # Errors
    /// As [`ScaleSchedule::new`].
    pub fn square(sides: &[usize]) -> Result<Self> {
        Self::new(sides.iter().map(|&side| Grid::square(side)).collect())
    }

    /// The number of scales, K.
    #[allow(clippy::len_without_is_empty)] // never empty by construction
    pub fn len(&self) -> usize {
        self.grids.len()
    }

    /// The grid of scale `k`.
    ///
    /// # Panics
    /// If `k` is not below [`len`](Self::len).
    pub fn grid(&self, k: usize) -> Grid {
        self.grids[k]
    }

    /// All grids, coarse to fine.
    pub fn grids(&self) -> &[Grid] {
        &self.grids
    }

    /// The finest grid, which is the canvas's.
    pub fn last(&self) -> Grid {
        self.grids[self.grids.len() - 1]
    }

    /// The total number of positions of all scales, L.
    pub fn positions(&self) -> usize {
        self.grids.iter().map(|grid| grid.positions()).sum()
    }

    /// The index of scale `k`'s first position in the concatenated sequence.
    pub fn offset(&self, k: usize) -> usize {
        self.grids[..k].iter().map(|grid| grid.positions()).sum()
    }

    /// The relative position of scale `k`: x = k/(K-1) in [0, 1], or 0 if there is only one scale.
    pub fn progress(&self, k: usize) -> f64 {
        if self.len() == 1 { 0.0 } else { k as f64 / (self.len() - 1) as f64 }
    }
}

impl TryFrom<Vec<Grid>> for ScaleSchedule {
    type Error = Error;

    fn try_from(grids: Vec<Grid>) -> Result<Self> {
        Self::new(grids)
    }
}

impl From<ScaleSchedule> for Vec<Grid> {
    fn from(schedule: ScaleSchedule) -> Self {
        schedule.grids
    }
}

impl std::fmt::Display for ScaleSchedule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (k, grid) in self.grids.iter().enumerate() {
            let gap = if k == 0 { "" } else { " " };
            if grid.height == grid.width {
                write!(f, "{gap}{}", grid.height)?;
            } else {
                write!(f, "{gap}{grid}")?;
            }
        }
        Ok(())
    }
}

/// Parses what [`Display`](std::fmt::Display) prints: grids separated by spaces, as in `1 2×3 4`. `2x3` means
/// 2×3.
impl std::str::FromStr for ScaleSchedule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::new(text.split_whitespace().map(str::parse).collect::<Result<_>>()?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_printed_is_read(steps in prop::collection::vec((0usize..4, 0usize..4), 1..8)) {
            let mut grid = Grid::square(1);
            let grids = steps.into_iter().map(|(down, right)| {
                grid = Grid::new(grid.height + down, grid.width + right);
                grid
            });
            let schedule = ScaleSchedule::new(grids.collect()).unwrap();
            prop_assert_eq!(schedule.to_string().parse::<ScaleSchedule>().unwrap(), schedule);
        }
    }

    #[test]
    fn grids_are_written_with_either_cross() {
        let expected = ScaleSchedule::new(vec![Grid::square(1), Grid::new(2, 3), Grid::square(4)]).unwrap();
        for text in ["1 2×3 4", "1 2x3 4", "1x1  2×3\t4×4"] {
            assert_eq!(text.parse::<ScaleSchedule>().unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn text_that_is_no_schedule_is_refused_with_the_item() {
        for (text, told) in [
            ("1 two 4", "`two` is not a grid"),
            ("1 2× 4", "`2×` is not a grid"),
            ("1 2×3×4", "`2×3×4` is not a grid"),
            ("1 -2", "`-2` is not a grid"),
            ("1, 2", "`1,` is not a grid"),
            ("1 0", "scale 1 is 0×0"),
            ("3 2", "scale 1 is 2×2"),
            (" ", "the list is empty"),
        ] {
            let error = text.parse::<ScaleSchedule>().unwrap_err().to_string();
            assert!(error.starts_with("scales: ") && error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn counts_positions_and_offsets() {
        let schedule = ScaleSchedule::square(&[1, 2, 3, 4]).unwrap();
        assert_eq!(schedule.positions(), 30);
        assert_eq!((0..4).map(|k| schedule.offset(k)).collect::<Vec<_>>(), [0, 1, 5, 14]);
        assert_eq!(schedule.progress(3), 1.0);
        assert_eq!(ScaleSchedule::square(&[1]).unwrap().progress(0), 0.0);
    }

    #[test]
    fn a_schedule_that_shrinks_on_one_axis_is_refused_with_the_scale() {
        let error = ScaleSchedule::new(vec![Grid::new(2, 4), Grid::new(3, 3)]).unwrap_err();
        assert!(error.to_string().contains("scale 1 is 3×3"), "{error}");
    }

    #[test]
    fn more_scales_than_any_model_has_are_refused_at_once() {
        assert_eq!(ScaleSchedule::square(&[1; MOST_SCALES]).unwrap().len(), MOST_SCALES);
        let error = ScaleSchedule::square(&[1; MOST_SCALES + 1]).unwrap_err().to_string();
        assert_eq!(error, "scales: 65 scales are too many; give at most 64");
    }

    #[test]
    fn empty_and_zero_are_refused() {
        assert!(ScaleSchedule::new(vec![]).is_err());
        assert!(ScaleSchedule::square(&[0, 1]).is_err());
    }
}
