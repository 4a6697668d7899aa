use std::any::Any;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use nextscale_core::noise::Noise;
use nextscale_core::{
    Alphabet, BatchConditions, Draw, Error, Mixing, PassCondition, PassLogits, PassPlan, Perturbation,
    Result, ScaleSchedule,
};

/// A model that predicts the logits of each scale from the earlier scales.
///
/// It knows nothing of rules, of other models beside it, or of how its input was made.
pub trait Backbone: Send + Sync {
    /// The scales that it generates.
    fn schedule(&self) -> &ScaleSchedule;

    /// The meaning of one position's channels.
    fn alphabet(&self) -> Alphabet;

    /// The number of channels of its input.
    fn input_channels(&self) -> usize;

    /// The device that it computes on.
    fn device(&self) -> Device;

    /// Whether it can run under this condition. By default it can under every one.
    fn runs(&self, condition: PassCondition) -> bool {
        let _ = condition;
        true
    }

    /// Checks that it can mix the hidden states of an image's two passes in this way. By default it cannot.
    ///
    /// # Errors
    /// If it cannot; the message says what it can do.
    fn mixes(&self, mixing: &Mixing) -> Result<()> {
        let _ = mixing;
        Err(Error::Unsupported(
            "the model cannot mix the hidden states of the conditional and the unconditional pass; guide its logits instead"
                .into(),
        ))
    }

    /// Checks that it can be perturbed in this way: that it can skip these blocks, or their self-attention.
    /// By default it cannot.
    ///
    /// # Errors
    /// If it cannot; the message says what it can do.
    fn perturbs(&self, perturbation: &Perturbation) -> Result<()> {
        let _ = perturbation;
        Err(Error::Unsupported(
            "the model cannot leave out blocks or their attention; guide away from a corrupted prefix or from another model instead"
                .into(),
        ))
    }

    /// Whether its sessions keep what earlier scales computed. With such a cache, a pass that is requested at
    /// some scale also runs at every scale before it; without one it runs only where it is requested, and the
    /// session keeps its inputs instead.
    fn has_cache(&self) -> bool {
        true
    }

    /// How many numbers its weights are. Unknown by default.
    fn parameter_count(&self) -> Option<usize> {
        None
    }

    /// The bytes that a session keeps for every token of one image and pass until later scales read them:
    /// keys and values of all layers. Unknown by default.
    fn cache_bytes_per_token(&self) -> Option<usize> {
        None
    }

    /// The same model on scales other than [`schedule`](Self::schedule). By default it supports no others.
    ///
    /// # Errors
    /// If it cannot generate them; the message names those that it can.
    fn on_scales(&self, schedule: &ScaleSchedule) -> Result<Arc<dyn Backbone>> {
        let message =
            format!("the backbone generates the scales {}, and {schedule} were asked for", self.schedule());
        Err(Error::setting("scales", message))
    }

    /// Begins the generation of one image per condition. The session owns the caches and everything that is
    /// constant over the scales. The plan says which passes run at a scale, and their rows are stacked in its
    /// order.
    ///
    /// # Errors
    /// If it cannot read the conditions, they are out of range, or the plan does not fit its scales.
    fn start(&self, conditions: &BatchConditions, plan: &PassPlan) -> Result<Box<dyn Session + '_>>;

    /// What several sessions with the same conditions, each on its own prefix, share: everything that is
    /// constant over scales and prefixes, computed once. By default nothing.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    fn constants(&self, conditions: &BatchConditions) -> Result<Constants> {
        let _ = conditions;
        Ok(Constants::default())
    }

    /// As [`start`](Self::start), reusing the [`constants`](Self::constants) that it computed for the same
    /// conditions. By default it computes them again.
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

/// What a backbone computed from a batch's conditions for all its sessions; opaque to everything else.
#[derive(Clone, Default)]
pub struct Constants(Option<Arc<dyn Any + Send + Sync>>);

impl Constants {
    /// Wraps a computed value.
    pub fn new(made: impl Any + Send + Sync) -> Self {
        Self(Some(Arc::new(made)))
    }

    /// The computed value, if it has this type.
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.as_deref().and_then(|made| made.downcast_ref())
    }
}

/// A batch in progress. Scales are taken in order, each once.
pub trait Session {
    /// Runs the next scale and returns the logits of the passes that the plan requests there. `input` is
    /// `[batch, h·w, channels]` from the tokenizer, and `None` at scale 0.
    ///
    /// # Errors
    /// If the input does not fit the scale, or no scale is left.
    fn step(&mut self, input: Option<Tensor<3>>) -> Result<PassLogits>;

    /// Refines a draw's embedding with what the session knows, such as a continuous part from a second head;
    /// `None` leaves it unchanged. Called once per scale, after [`step`](Self::step), on the session of the
    /// guided model and the drawn prefix.
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
    /// The images of the batch, by number in the run.
    pub images: &'a [u64],
    /// What was drawn.
    pub draw: &'a Draw,
    /// The draw's embedding by the tokenizer, `[batch, channels, h, w]`.
    pub embedding: &'a Tensor<4>,
    /// The embedding of its tokens, in the same shape; the two differ if the draw is a mix.
    pub tokens: &'a Tensor<4>,
    /// The source of randomness.
    pub noise: &'a dyn Noise,
}
