use std::any::Any;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use nextscale_core::noise::Noise;
use nextscale_core::{
    Alphabet, BatchConditions, Draw, Error, Mixing, PassCondition, PassLogits, PassPlan, Perturbation,
    Result, ScaleSchedule,
};

/// A model that predicts the logits of each scale from the scales before it.
///
/// It knows no rule, and neither which other models run beside it nor what its input was made of.
pub trait Backbone: Send + Sync {
    /// The scales that it generates.
    fn schedule(&self) -> &ScaleSchedule;

    /// What one position's channels mean.
    fn alphabet(&self) -> Alphabet;

    /// The channels of its input.
    fn input_channels(&self) -> usize;

    /// The device that it computes on.
    fn device(&self) -> Device;

    /// Whether it can run under this condition. By default under every one.
    fn runs(&self, condition: PassCondition) -> bool {
        let _ = condition;
        true
    }

    /// Makes sure that it can mix the hidden states of an image's two sides so. By default it cannot.
    ///
    /// # Errors
    /// If it cannot, with what it can.
    fn mixes(&self, mixing: &Mixing) -> Result<()> {
        let _ = mixing;
        Err(Error::Unsupported(
            "the model cannot mix the conditional and the unconditional side between its layers; guide its logits instead"
                .into(),
        ))
    }

    /// Makes sure that it can be made worse so: that it can leave these blocks out, or their attention. By default it cannot.
    ///
    /// # Errors
    /// If it cannot, with what it can.
    fn perturbs(&self, perturbation: &Perturbation) -> Result<()> {
        let _ = perturbation;
        Err(Error::Unsupported(
            "the model cannot leave out blocks or their attention; lead away from a corrupted prefix or from another model instead"
                .into(),
        ))
    }

    /// Whether its sessions keep what earlier scales computed. With such a cache a pass that is wanted at some scale runs at
    /// every scale before it; without one it runs only where it is wanted, and the session keeps its inputs instead.
    fn has_cache(&self) -> bool {
        true
    }

    /// The same model on other scales than [`schedule`](Self::schedule). By default there are none.
    ///
    /// # Errors
    /// If it cannot generate them; the message names those that it can.
    fn on_scales(&self, schedule: &ScaleSchedule) -> Result<Arc<dyn Backbone>> {
        let message =
            format!("the backbone generates the scales {}, and {schedule} were asked for", self.schedule());
        Err(Error::setting("scales", message))
    }

    /// Begins the generation of one image a condition. The session owns the caches and all that is constant over the
    /// scales; the passes that run at a scale are the plan's, and their rows are stacked in its order.
    ///
    /// # Errors
    /// If the conditions are none that it reads, or are out of range, or the plan does not fit its scales.
    fn start(&self, conditions: &BatchConditions, plan: &PassPlan) -> Result<Box<dyn Session + '_>>;

    /// What several sessions of the same conditions, each on a prefix of its own, share: all that is constant over scales and
    /// prefixes, made once. By default nothing.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    fn constants(&self, conditions: &BatchConditions) -> Result<Constants> {
        let _ = conditions;
        Ok(Constants::default())
    }

    /// As [`start`](Self::start), with the [`constants`](Self::constants) that it made of the same conditions. By default it
    /// makes them again.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    fn start_with(
        &self,
        constants: &Constants,
        conditions: &BatchConditions,
        plan: &PassPlan,
    ) -> Result<Box<dyn Session + '_>> {
        let _ = constants;
        self.start(conditions, plan)
    }
}

/// What a backbone made of a batch's conditions for all its sessions; only it knows what that is.
#[derive(Clone, Default)]
pub struct Constants(Option<Arc<dyn Any + Send + Sync>>);

impl Constants {
    /// Holds what was made.
    pub fn new(made: impl Any + Send + Sync) -> Self {
        Self(Some(Arc::new(made)))
    }

    /// What was made, if it is of this type.
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.as_deref().and_then(|made| made.downcast_ref())
    }
}

/// One batch in the making. Scales are taken in order, each once.
pub trait Session {
    /// Runs the next scale, and gives the logits of the passes that the plan wants there. `input` is `[batch, h·w, channels]`
    /// from the tokenizer, and `None` at scale 0.
    ///
    /// # Errors
    /// If the input does not fit the scale, or there is no scale left.
    fn step(&mut self, input: Option<Tensor<3>>) -> Result<PassLogits>;

    /// What becomes of a draw's embedding by what the session knows (a continuous part that a head adds, say); `None` leaves
    /// it as it is. Asked once a scale, after [`step`](Self::step), of the session of the guided model on what was drawn.
    ///
    /// # Errors
    /// If the draw does not fit the scale.
    fn refine(&mut self, refinement: &Refinement<'_>) -> Result<Option<Tensor<4>>> {
        let _ = refinement;
        Ok(None)
    }
}

/// A draw on its way to the canvas.
#[derive(Clone, Copy)]
pub struct Refinement<'a> {
    /// The scale, from 0.
    pub scale: usize,
    /// The images of the batch, by their number in the run.
    pub images: &'a [u64],
    /// What was drawn.
    pub draw: &'a Draw,
    /// The draw's embedding by the tokenizer, `[batch, channels, h, w]`.
    pub embedding: &'a Tensor<4>,
    /// Where randomness comes from.
    pub noise: &'a dyn Noise,
}
