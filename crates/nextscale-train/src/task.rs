//! What is trained, as the common training loop sees it; open to model families of other crates.
//!
//! A [`Task`] picks the images of a step, computes the loss on them, draws samples, measures and exports.
//! [`train_task`](crate::train_task) does the rest: gradients, updates, the moving average of weights,
//! micro-batches, log, checkpoints.
//!
//! On the CPU, a resumed run equals an uninterrupted one bit for bit, provided that all randomness is a
//! function of a seed and the step, as in [`random`](crate::random), and that [`counters`](Task::counters)
//! has everything else that a task carries between steps.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::tensor::Tensor;

use crate::Result;

pub use crate::evaluation::Evaluation;
pub use crate::numbers::{Numbers, Unread};
pub use crate::optimiser::Groups;

/// A task's result for a micro-batch.
#[derive(Debug)]
pub struct Loss<S> {
    /// The scalar to differentiate, `[1]`, on the model's autodiff device: a mean over the micro-batch's
    /// images.
    pub scalar: Tensor<1>,
    /// What to log. To read it here would make every step wait for its device; [`Unread`] leaves it there.
    pub numbers: Unread,
    /// Data for the task after the update.
    pub seen: S,
}

/// Something to train.
///
/// In every step the loop calls [`picks`](Self::picks), [`loss`](Self::loss) for each micro-batch (possibly
/// in parallel) and [`after_update`](Self::after_update); at intervals [`sample`](Self::sample) and
/// [`evaluate`](Self::evaluate); at the end [`export`](Self::export), `sample` and `evaluate`. An error in
/// any of these ends the run.
pub trait Task: Sync {
    /// The model in training, with parameters on an autodiff device.
    type Model: Module + Sync;

    /// A training image of a step, with everything that is drawn for it.
    type Pick: Sync;

    /// What a micro-batch passes to [`after_update`](Self::after_update); `()` for nothing.
    type Seen: Send;

    /// How the optimiser treats each parameter. Those that are not named are updated by AdamW
    /// without weight decay.
    fn groups(&self, model: &Self::Model) -> Groups;

    /// Names of the parts that [`loss`](Self::loss) returns, which become columns of the log. They must not
    /// contain commas.
    fn columns(&self) -> Vec<String>;

    /// The images of a step, counted from 0; at least one. Must depend only on the step, because a resumed
    /// run begins in the middle.
    fn picks(&mut self, step: u64) -> Vec<Self::Pick>;

    /// The loss of some of the step's images, at least one. Micro-batches are parts of the step's picks, each
    /// with its own copy of the model; the gradient of the step is their mean, weighted by their numbers of
    /// images.
    ///
    /// # Errors
    /// The task's own.
    fn loss(&self, model: &Self::Model, step: u64, picks: &[Self::Pick]) -> Result<Loss<Self::Seen>>;

    /// Changes the model after the update of a step, given what its micro-batches passed on, in order.
    ///
    /// # Errors
    /// The task's own.
    fn after_update(
        &mut self,
        model: Self::Model,
        _step: u64,
        _seen: Vec<Self::Seen>,
    ) -> Result<Self::Model> {
        Ok(model)
    }

    /// Names of the numbers that the log collects over its window rather than over a step.
    fn window_columns(&self) -> Vec<String> {
        Vec::new()
    }

    /// Those numbers, in that order, for the row that ends here; the next window begins.
    fn window(&mut self) -> Vec<f64> {
        Vec::new()
    }

    /// State besides the model that a resumed run needs to continue as if never interrupted, by name. Names
    /// that begin with `log.` belong to the loop.
    fn counters(&self) -> BTreeMap<String, Vec<f32>> {
        BTreeMap::new()
    }

    /// Restores the result of [`counters`](Self::counters). The loop's own may be among them.
    fn set_counters(&mut self, _counters: &BTreeMap<String, Vec<f32>>) {}

    /// Writes a sample sheet, a PNG as from [`write_sheet`](crate::sheet::write_sheet). The model is the
    /// average of weights if the run keeps one, outside of autodiff; likewise for
    /// [`evaluate`](Self::evaluate) and [`export`](Self::export).
    ///
    /// # Errors
    /// The task's own.
    fn sample(&mut self, model: &Self::Model, path: &Path) -> Result<()>;

    /// Measurements on held-out images, by name; on a part of the test split if `short`. The names never
    /// change.
    ///
    /// # Errors
    /// The task's own.
    fn evaluate(
        &mut self,
        model: &Self::Model,
        short: bool,
        evaluation: Evaluation<'_>,
    ) -> Result<Vec<(String, f64)>>;

    /// Writes the weights for use into the run's folder, after `step` updates.
    ///
    /// # Errors
    /// The task's own.
    fn export(&mut self, model: &Self::Model, folder: &Path, step: u64) -> Result<()>;
}
