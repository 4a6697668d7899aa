//! A step's images in micro-batches, which run in parallel.

use std::collections::BTreeMap;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::Tensor;

use crate::params::{replace, take_gradients};
use crate::task::{Loss, Task, Unread};
use crate::{Error, Result};
use nextscale_core::Lanes;

/// What the passes of a step, or of a micro-batch, found.
pub struct StepResult<S> {
    /// The gradients by parameter name, flat.
    pub gradients: BTreeMap<String, Tensor<1>>,
    /// The numbers of every micro-batch, in order, with its share of the images.
    pub numbers: Vec<(f64, Unread)>,
    /// What each micro-batch reported, in order.
    pub seen: Vec<S>,
    /// Seconds of the forward and backward passes.
    pub seconds: [f64; 2],
}

/// Loss and gradients of a step's images in this many micro-batches. A micro-batch is weighted by its number
/// of images, and sums run in the order of micro-batches: the result does not depend on the number of
/// threads.
///
/// # Errors
/// Those of the task's loss.
pub fn pass<T: Task>(
    lanes: &Lanes,
    micro_batches: usize,
    task: &T,
    model: &T::Model,
    step: u64,
    picks: &[T::Pick],
) -> Result<StepResult<T::Seen>> {
    let parts = parts(picks, micro_batches);
    if let [whole] = parts[..] {
        return one(task, model, step, whole, 1.0);
    }
    let begun = Instant::now();
    let mut sum = None;
    // As many parts' gradients at a time as there are lanes: more would use the memory that parts are meant
    // to save.
    for group in parts.chunks(lanes.count()) {
        let share = |part: &[T::Pick]| part.len() as f64 / picks.len() as f64;
        for pass in lanes.map(group, |part| one(task, &copy(model), step, part, share(part))) {
            sum = Some(match sum {
                None => pass?,
                Some(sum) => add(sum, pass?),
            });
        }
    }
    let mut sum = sum.ok_or_else(|| Error::setting("batch", "must be at least 1"))?;
    // Lanes run at the same time, so their seconds are scaled to elapsed time.
    let scale = begun.elapsed().as_secs_f64() / sum.seconds.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    sum.seconds = sum.seconds.map(|seconds| seconds * scale);
    Ok(sum)
}

/// `picks` in `count` parts, or as many as there are picks, whose lengths differ by at most one.
fn parts<P>(picks: &[P], count: usize) -> Vec<&[P]> {
    let count = count.clamp(1, picks.len().max(1));
    let bound = |part: usize| part * picks.len() / count;
    (0..count).map(|part| &picks[bound(part)..bound(part + 1)]).collect()
}

/// The model with the same values in its own parameters: autodiff locks the graph that parameters belong to,
/// so passes that share them would wait for each other.
fn copy<M: Module>(model: &M) -> M {
    replace(model.clone(), |parameter| Some(parameter.values))
}

/// The pass of one micro-batch, weighted by its `share` of the step.
fn one<T: Task>(
    task: &T,
    model: &T::Model,
    step: u64,
    picks: &[T::Pick],
    share: f64,
) -> Result<StepResult<T::Seen>> {
    let begun = Instant::now();
    let Loss { scalar, numbers, seen } = task.loss(model, step, picks)?;
    let forwards = begun.elapsed().as_secs_f64();
    let scalar = if share < 1.0 { scalar * share } else { scalar };
    let gradients = take_gradients(model, scalar.backward());
    let backwards = begun.elapsed().as_secs_f64() - forwards;
    let numbers = vec![(share, numbers)];
    Ok(StepResult { gradients, numbers, seen: vec![seen], seconds: [forwards, backwards] })
}

fn add<S>(mut sum: StepResult<S>, pass: StepResult<S>) -> StepResult<S> {
    for (name, gradient) in pass.gradients {
        let gradient = match sum.gradients.remove(&name) {
            Some(before) => before.add(gradient),
            None => gradient,
        };
        sum.gradients.insert(name, gradient);
    }
    sum.numbers.extend(pass.numbers);
    sum.seen.extend(pass.seen);
    sum.seconds = std::array::from_fn(|i| sum.seconds[i] + pass.seconds[i]);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_all_in_order_and_differ_by_one_at_most() {
        let picks: Vec<usize> = (0..11).collect();
        for count in 1..=14 {
            let parts = parts(&picks, count);
            assert_eq!(parts.len(), count.min(11));
            assert_eq!(parts.concat(), picks);
            let lengths = parts.iter().map(|part| part.len());
            assert!(lengths.clone().max().unwrap() - lengths.min().unwrap() <= 1);
        }
    }
}
