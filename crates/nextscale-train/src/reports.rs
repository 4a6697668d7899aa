//! The numbers of steps: on other devices than the CPU they stay there until a report is due, and all that have
//! gathered are then read together.
//!
//! A read makes the host wait for everything that it has asked the device for, and the device for what the host
//! asks next.

use burn::tensor::Tensor;

use crate::numbers::{Numbers, Unread};
use crate::optimiser::Norm;
use crate::{Error, Result};

/// As many steps wait at most, so that memory stays bounded if the log has few rows.
const MOST: usize = 100;

/// What is known of a step once it has been read.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The means over the step's images.
    pub numbers: Numbers,
    /// The norm of its gradients before clipping.
    pub norm: f64,
}

struct Step {
    step: u64,
    /// With each micro-batch's share of the images.
    numbers: Vec<(f64, Unread)>,
    norm: Norm,
}

/// The steps that wait to be read, in order.
#[derive(Default)]
pub struct Reports {
    steps: Vec<Step>,
}

impl Reports {
    /// Adds the step of number `step`, counted from 0.
    pub fn push(&mut self, step: u64, numbers: Vec<(f64, Unread)>, norm: Norm) {
        self.steps.push(Step { step, numbers, norm });
    }

    /// Whether so many wait that they must be read.
    pub fn are_many(&self) -> bool {
        self.steps.len() >= MOST
    }

    /// Reads all that wait, with one copy from the device, and leaves none. `width` is the number of numbers
    /// of a step.
    ///
    /// # Errors
    /// For the first step with a fault: [`Error::Parts`] if it has another number of parts, [`Error::Diverged`]
    /// if its loss is not finite, [`Error::NotFinite`] if the norm of its gradients is not.
    pub fn read(&mut self, width: usize) -> Result<Vec<Report>> {
        let steps = std::mem::take(&mut self.steps);
        let mut tensors = Vec::new();
        for step in &steps {
            tensors.extend(step.numbers.iter().filter_map(|(_, numbers)| numbers.values().cloned()));
            if let Norm::Squares(squares) = &step.norm {
                tensors.push(squares.clone());
            }
        }
        let lengths: Vec<usize> = tensors.iter().map(|tensor| tensor.dims()[0]).collect();
        let read: Vec<f32> = match tensors.len() {
            0 => Vec::new(),
            _ => Tensor::cat(tensors, 0).into_data().iter::<f32>().collect(),
        };
        let (mut rest, mut lengths) = (&read[..], lengths.into_iter());
        let mut next = || {
            let (values, after) = rest.split_at(lengths.next().unwrap_or(0));
            rest = after;
            values
        };
        let mut reports = Vec::with_capacity(steps.len());
        for Step { step, numbers, norm } in steps {
            let mut sum: Option<Numbers> = None;
            for (share, unread) in numbers {
                let values = if unread.values().is_some() { next() } else { &[] };
                let numbers = weighted(unread.of(values), share);
                sum = Some(match sum {
                    None => numbers,
                    Some(sum) => added(sum, &numbers),
                });
            }
            let norm = match norm {
                Norm::Known(norm) => norm,
                Norm::Squares(_) => Norm::of_squares(next()),
            };
            let numbers = sum.unwrap_or(Numbers { loss: 0.0, parts: Vec::new() });
            if numbers.parts.len() + 1 != width {
                return Err(Error::Parts { named: width - 1, given: numbers.parts.len(), step });
            }
            if !numbers.loss.is_finite() {
                return Err(Error::Diverged { step, loss: f64::from(numbers.loss) });
            }
            if !norm.is_finite() {
                return Err(Error::NotFinite { step: step + 1, what: "the norm of the gradients".into() });
            }
            reports.push(Report { numbers, norm });
        }
        Ok(reports)
    }
}

/// A micro-batch's part of the step's means.
fn weighted(numbers: Numbers, share: f64) -> Numbers {
    if share >= 1.0 {
        return numbers;
    }
    let weigh = |value: f32| (f64::from(value) * share) as f32;
    Numbers { loss: weigh(numbers.loss), parts: numbers.parts.into_iter().map(weigh).collect() }
}

fn added(mut sum: Numbers, more: &Numbers) -> Numbers {
    sum.loss += more.loss;
    sum.parts.iter_mut().zip(&more.parts).for_each(|(total, part)| *total += part);
    sum
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn tensor(values: &[f32]) -> Tensor<1> {
        Tensor::from_floats(values, &Device::flex())
    }

    fn unread(values: &[f32]) -> Unread {
        Unread::new(tensor(values), |values| Numbers { loss: values[0], parts: values[1..].to_vec() })
    }

    #[test]
    fn steps_that_are_read_together_keep_their_own_numbers() {
        let mut reports = Reports::default();
        reports.push(3, vec![(0.25, unread(&[8.0, 4.0])), (0.75, unread(&[4.0, 8.0]))], Norm::Known(2.0));
        reports.push(4, vec![(1.0, unread(&[1.5, 2.5]))], Norm::Squares(tensor(&[9.0, 16.0])));
        let known = Numbers { loss: 0.5, parts: vec![0.25] };
        reports.push(5, vec![(1.0, known.clone().into())], Norm::Squares(tensor(&[0.0])));
        let numbers = |loss, part| Numbers { loss, parts: vec![part] };
        let expected = [(numbers(5.0, 7.0), 2.0), (numbers(1.5, 2.5), 5.0), (known, 0.0)];
        let expected = expected.map(|(numbers, norm)| Report { numbers, norm });
        assert_eq!(reports.read(2).unwrap(), expected);
        assert_eq!(reports.read(2).unwrap(), []);
    }

    #[test]
    fn the_first_fault_is_told_with_its_step() {
        let read = |faulty: Vec<(f64, Unread)>, norm| {
            let mut reports = Reports::default();
            reports.push(6, vec![(1.0, unread(&[1.0, 1.0]))], Norm::Known(1.0));
            reports.push(7, faulty, norm);
            reports.push(8, vec![(1.0, unread(&[f32::INFINITY, 1.0]))], Norm::Known(1.0));
            reports.read(2).unwrap_err()
        };
        let sound = || vec![(1.0, unread(&[1.0, 1.0]))];
        let nan = read(vec![(1.0, unread(&[f32::NAN, 1.0]))], Norm::Known(f64::NAN));
        assert!(matches!(nan, Error::Diverged { step: 7, .. }), "{nan}");
        let norm = read(sound(), Norm::Squares(tensor(&[1.0, f32::INFINITY])));
        assert!(matches!(norm, Error::NotFinite { step: 8, .. }), "{norm}");
        let parts = read(vec![(1.0, unread(&[1.0]))], Norm::Known(1.0));
        assert!(matches!(parts, Error::Parts { named: 1, given: 0, step: 7 }), "{parts}");
        let later = read(sound(), Norm::Known(1.0));
        assert!(matches!(later, Error::Diverged { step: 8, .. }), "{later}");
    }
}
