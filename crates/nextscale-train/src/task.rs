//! What a training learns, as the loop that all trainings share sees it.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::tensor::Tensor;

use crate::Result;
use crate::evaluation::Evaluation;
use crate::optimiser::Groups;

/// The loss of a micro-batch or a step and what it consists of: means over images.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Numbers {
    /// The loss.
    pub loss: f32,
    /// Its parts, in the order of the columns.
    pub parts: Vec<f32>,
}

/// What a task says of a micro-batch.
pub(crate) struct Loss<S> {
    /// The scalar to differentiate, `[1]`: a mean over images.
    pub scalar: Tensor<1>,
    /// What to log.
    pub numbers: Numbers,
    /// What the task takes in after the update.
    pub seen: S,
}

/// What a training learns, as the loop sees it.
pub(crate) trait Task: Sync {
    /// The model in training.
    type Model: Module + Sync;

    /// A training image of a step, with all that is drawn for it.
    type Pick: Sync;

    /// What a micro-batch leaves for [`after_update`](Self::after_update).
    type Seen: Send;

    /// What the optimiser does with which parameters.
    fn groups(&self, model: &Self::Model) -> Groups;

    /// Names of the parts that [`loss`](Self::loss) returns.
    fn columns(&self) -> Vec<String>;

    /// The images of a step.
    fn picks(&mut self, step: u64) -> Vec<Self::Pick>;

    /// The loss of some of the step's images, at least one.
    fn loss(&self, model: &Self::Model, step: u64, picks: &[Self::Pick]) -> Result<Loss<Self::Seen>>;

    /// What is done to the model after the update of a step, with what its micro-batches left, in their order.
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

    /// Those numbers, for a row that ends here: the next window begins.
    fn window(&mut self) -> Vec<f64> {
        Vec::new()
    }

    /// What must be kept for a run to go on as if never interrupted, beside the model.
    fn counters(&self) -> BTreeMap<String, Vec<f32>> {
        BTreeMap::new()
    }

    /// Puts back what [`counters`](Self::counters) gave.
    fn set_counters(&mut self, _counters: &BTreeMap<String, Vec<f32>>) {}

    /// Writes a sample sheet.
    fn sample(&mut self, model: &Self::Model, path: &Path) -> Result<()>;

    /// Held-out numbers, by name; on a part of the test split when `short`.
    fn evaluate(
        &mut self,
        model: &Self::Model,
        short: bool,
        evaluation: Evaluation<'_>,
    ) -> Result<Vec<(String, f64)>>;

    /// Writes the weights for use.
    fn export(&mut self, model: &Self::Model, folder: &Path, step: u64) -> Result<()>;
}
