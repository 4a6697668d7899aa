use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use burn::tensor::{DType, Tensor, TensorData};
use nextscale_core::{Alphabet, Error, Grid, Result, ScaleSchedule};

use crate::conformance::PriorClaims;
use crate::{Operator, Prior, check_grids};

/// Each channel's average logit at the coarse scale: a constant that was measured beforehand, used as a
/// control.
///
/// It knows which codes are likely at a scale, over all images and positions, and nothing of the coarse map
/// that it is applied to: out(i, ·) = m for every position i, where m `[channels]` is the average of the
/// logits on the coarse grid over images and positions. Scales on equal grids share one average.
#[derive(Clone)]
pub struct Marginal {
    channels: usize,
    averages: BTreeMap<(usize, usize), Arc<[f32]>>,
    /// Where they were read, for messages.
    source: Option<Arc<str>>,
}

/// Equality ignores where it was read.
impl PartialEq for Marginal {
    fn eq(&self, other: &Self) -> bool {
        (self.channels, &self.averages) == (other.channels, &other.averages)
    }
}

impl Marginal {
    /// From the average logits `[channels]` of each coarse grid.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there are no averages, a grid occurs twice, the lengths differ, or a value
    /// is not finite.
    pub fn new(averages: impl IntoIterator<Item = (Grid, Vec<f32>)>) -> Result<Self> {
        let refuse = |message: String| Err(Error::Unsupported(format!("averages of logits: {message}")));
        let mut prior = Self { channels: 0, averages: BTreeMap::new(), source: None };
        for (grid, average) in averages {
            if prior.averages.is_empty() {
                prior.channels = average.len();
            }
            if average.is_empty() || average.len() != prior.channels {
                let (found, first) = (average.len(), prior.channels);
                return refuse(format!(
                    "{found} channels on the grid {grid} and {first} on another; all must have the same number"
                ));
            }
            if let Some(value) = average.iter().find(|value| !value.is_finite()) {
                return refuse(format!(
                    "{value} on the grid {grid}; calibrate again with a rule that masks nothing"
                ));
            }
            if prior.averages.insert((grid.height, grid.width), average.into()).is_some() {
                return refuse(format!("the grid {grid} occurs twice"));
            }
        }
        if prior.averages.is_empty() { refuse("there are none".into()) } else { Ok(prior) }
    }

    /// The same average on several grids, for tests.
    pub(crate) fn of_grids<const N: usize>(grids: [Grid; N], average: &[f32]) -> Self {
        let averages = grids.map(|grid| ((grid.height, grid.width), average.into()));
        Self { channels: average.len(), averages: averages.into(), source: None }
    }

    /// The same, whose messages say that it was read from `source`.
    #[must_use]
    pub fn read_from(self, source: &str) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// What messages call it.
    fn words(&self) -> String {
        match &self.source {
            Some(source) => format!("the averages of Marginal in {source}"),
            None => "the averages of Marginal".into(),
        }
    }

    /// The number of channels of the logits that it was measured on.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The coarse grids, in order of their size.
    pub fn grids(&self) -> impl Iterator<Item = Grid> {
        self.averages.keys().map(|&(height, width)| Grid::new(height, width))
    }

    /// The average logits `[channels]` on a grid.
    pub fn average(&self, grid: Grid) -> Option<&[f32]> {
        self.averages.get(&(grid.height, grid.width)).map(|average| &**average)
    }

    fn of(&self, from: Grid) -> Result<Arc<[f32]>> {
        self.averages.get(&(from.height, from.width)).cloned().ok_or_else(|| {
            let grids: Vec<String> = self.grids().map(|grid| grid.to_string()).collect();
            Error::Unsupported(format!(
                "{} have no grid {from}, only {}; calibrate the model of this run",
                self.words(),
                grids.join(", ")
            ))
        })
    }
}

impl Prior for Marginal {
    fn operator(&self, from: Grid, to: Grid) -> Result<Operator> {
        check_grids(from, to)?;
        let average = self.of(from)?;
        // On the device of the first map from then on: an operator stays on one.
        let held: OnceLock<Tensor<3>> = OnceLock::new();
        Ok(Operator::Function(Arc::new(move |x: Tensor<3>| {
            let [batch, positions, channels] = x.dims();
            if positions != from.positions() || channels != average.len() {
                return Err(Error::shape(
                    format!("the input of Marginal from {from} to {to}"),
                    format!("[batch, {}, {}]", from.positions(), average.len()),
                    &x.dims(),
                ));
            }
            let upload = || {
                let average = TensorData::new(average.to_vec(), [1, 1, channels]);
                Tensor::<3>::from_data(average, (&x.device(), DType::F32)).cast(x.dtype())
            };
            let place = |x: &Tensor<3>| (x.device(), x.device().is_autodiff(), x.dtype());
            let fits = |held: &&Tensor<3>| place(held) == place(&x);
            let average = Some(held.get_or_init(upload)).filter(fits).cloned().unwrap_or_else(upload);
            Ok(average.expand([batch, to.positions(), channels]))
        })))
    }

    /// Every scale but the last must have an average with the alphabet's channels.
    fn check(&self, schedule: &ScaleSchedule, alphabet: Alphabet) -> Result<()> {
        if alphabet.channels() != self.channels {
            return Err(Error::Unsupported(format!(
                "{} have {} channels and the model's logits {}; calibrate the model of this run",
                self.words(),
                self.channels,
                alphabet.channels()
            )));
        }
        schedule.grids()[..schedule.len() - 1].iter().try_for_each(|&grid| self.of(grid).map(drop))
    }

    /// Restricted to the grids and channels that it was measured on.
    fn claims(&self) -> PriorClaims {
        let finer = |grid: Grid| Grid::new(grid.height + 1, 2 * grid.width);
        let grids = self.grids().flat_map(|grid| [(grid, grid), (grid, finer(grid))]);
        PriorClaims::of(self).grids(grids).channels(self.channels)
    }
}

// Thousands of numbers would make a rule's Debug unreadable.
impl std::fmt::Debug for Marginal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let grids: Vec<String> = self.grids().map(|grid| grid.to_string()).collect();
        write!(f, "Marginal({} channels on {})", self.channels, grids.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn prior() -> Marginal {
        Marginal::new([(Grid::square(1), vec![1.0, -2.0]), (Grid::new(2, 3), vec![0.5, 4.0])]).unwrap()
    }

    #[test]
    fn every_position_of_every_image_takes_the_average_of_the_coarse_grid() {
        let (from, to) = (Grid::new(2, 3), Grid::new(3, 3));
        let operator = prior().operator(from, to).unwrap().to_device(&Device::flex());
        let x = Tensor::<3>::full([2, 6, 2], f32::NAN, &Device::flex());
        let y = operator.apply(&x).unwrap();
        assert_eq!(y.dims(), [2, 9, 2]);
        let y: Vec<f32> = y.into_data().try_to_vec().unwrap();
        assert!(y.chunks(2).all(|position| position == [0.5, 4.0]), "{y:?}");
    }

    #[test]
    fn half_precision_comes_back_in_half_precision() {
        let operator = prior().operator(Grid::square(1), Grid::square(2)).unwrap();
        let x = Tensor::<3>::zeros([1, 1, 2], (&Device::flex(), DType::F16));
        assert_eq!(operator.to_device(&Device::flex()).apply(&x).unwrap().dtype(), DType::F16);
    }

    #[test]
    fn other_scales_and_other_vocabularies_are_refused_before_anything_runs() {
        let schedule = |grids: &[Grid]| ScaleSchedule::new(grids.to_vec()).unwrap();
        let fits = schedule(&[Grid::square(1), Grid::new(2, 3), Grid::square(9)]);
        assert_eq!(prior().check(&fits, Alphabet::codes(2)), Ok(()));
        let other = schedule(&[Grid::square(1), Grid::square(2), Grid::square(3)]);
        let error = prior().check(&other, Alphabet::codes(2)).unwrap_err().to_string();
        assert!(error.contains("no grid 2×2, only 1×1, 2×3"), "{error}");
        let error = prior().check(&fits, Alphabet::codes(64)).unwrap_err().to_string();
        assert!(error.contains("have 2 channels and the model's logits 64"), "{error}");
    }

    #[test]
    fn averages_that_cannot_be_are_refused() {
        let one = || (Grid::square(1), vec![1.0, 2.0]);
        let two = |average: Vec<f32>| vec![one(), (Grid::square(2), average)];
        for (averages, part) in [
            (vec![], "there are none"),
            (vec![one(), one()], "1×1 occurs twice"),
            (two(vec![1.0]), "1 channels on the grid 2×2"),
            (two(vec![1.0, f32::NEG_INFINITY]), "-inf on the grid 2×2"),
            (vec![(Grid::square(1), vec![])], "0 channels"),
        ] {
            let error = Marginal::new(averages).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
