//! What a training learns, as the loop that all trainings share sees it: open to model families of other crates.
//!
//! A [`Task`] picks the images of a step, says how wrong the model is on them, draws samples, measures and exports.
//! [`train_task`](crate::train_task) does the rest: gradients, updates, the moving average of weights, micro-batches, log, checkpoints.
//!
//! A resumed run is the straight one bit for bit (on the CPU) where all that is random is a function of a seed and the step, as
//! [`random`](crate::random) makes it, and where [`counters`](Task::counters) has all else that a task carries from one step to the next.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::tensor::Tensor;

use crate::Result;

pub use crate::evaluation::Evaluation;
pub use crate::optimiser::Groups;

/// The loss of a micro-batch or a step and what it consists of: means over images.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers {
    /// The loss, as in [`Loss::scalar`].
    pub loss: f32,
    /// Its parts, one a name of [`Task::columns`] and in that order.
    pub parts: Vec<f32>,
}

/// What a task says of a micro-batch.
#[derive(Debug)]
pub struct Loss<S> {
    /// The scalar to differentiate, `[1]`, on the model's autodiff device: a mean over the micro-batch's images.
    pub scalar: Tensor<1>,
    /// What to log.
    pub numbers: Numbers,
    /// What the task takes in after the update.
    pub seen: S,
}

/// What a training learns.
///
/// The loop calls, in every step, [`picks`](Self::picks), [`loss`](Self::loss) for each micro-batch (possibly at the same time) and
/// [`after_update`](Self::after_update); now and then [`sample`](Self::sample) and [`evaluate`](Self::evaluate); at the end
/// [`export`](Self::export), `sample` and `evaluate`. An error of any of these ends the run with it.
pub trait Task: Sync {
    /// The model in training. Its parameters are on an autodiff device.
    type Model: Module + Sync;

    /// A training image of a step, with all that is drawn for it.
    type Pick: Sync;

    /// What a micro-batch leaves for [`after_update`](Self::after_update); `()` for nothing.
    type Seen: Send;

    /// What the optimiser does with which parameters: those named nowhere are moved by AdamW without weight decay.
    fn groups(&self, model: &Self::Model) -> Groups;

    /// Names of the parts that [`loss`](Self::loss) returns, which are columns of the log; a comma may not be in them.
    fn columns(&self) -> Vec<String>;

    /// The images of a step, counted from 0, at least one. It must depend on nothing but the step: a resumed run begins in the middle.
    fn picks(&mut self, step: u64) -> Vec<Self::Pick>;

    /// The loss of some of the step's images, at least one. Micro-batches are parts of the step's picks, and each has a copy of the model
    /// of its own; the gradient of the step is their mean, weighed by their images.
    ///
    /// # Errors
    /// The task's own.
    fn loss(&self, model: &Self::Model, step: u64, picks: &[Self::Pick]) -> Result<Loss<Self::Seen>>;

    /// What is done to the model after the update of a step, with what its micro-batches left, in their order.
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

    /// Names of the numbers that the log takes over its window rather than a step.
    fn window_columns(&self) -> Vec<String> {
        Vec::new()
    }

    /// Those numbers, one a name, for a row that ends here: the next window begins.
    fn window(&mut self) -> Vec<f64> {
        Vec::new()
    }

    /// What must be kept for a run to go on as if never interrupted, beside the model, by name. Names that begin with `log.` are the
    /// loop's own.
    fn counters(&self) -> BTreeMap<String, Vec<f32>> {
        BTreeMap::new()
    }

    /// Puts back what [`counters`](Self::counters) gave. The loop's own may be among them.
    fn set_counters(&mut self, _counters: &BTreeMap<String, Vec<f32>>) {}

    /// Writes a sample sheet, a PNG as [`write_sheet`](crate::sheet::write_sheet) makes it. The model is the average of weights where
    /// the run keeps one, outside of autodiff; so it is for [`evaluate`](Self::evaluate) and [`export`](Self::export).
    ///
    /// # Errors
    /// The task's own.
    fn sample(&mut self, model: &Self::Model, path: &Path) -> Result<()>;

    /// Held-out numbers, by name; on a part of the test split when `short`. The names are the same every time.
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
