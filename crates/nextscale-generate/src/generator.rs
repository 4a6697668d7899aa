//! The loop: conditions to images, scale by scale.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use burn::tensor::Tensor;
use nextscale_backbones::Refinement;
use nextscale_core::noise::Noise;
use nextscale_core::{Condition, Draw, Error as CoreError, Lanes, PassPlan};
use nextscale_guidance::{Guidance, History};

use crate::edit::Edit;
use crate::finite::FiniteCheck;
use crate::observe::{Observer, Part, Seen, timed};
use crate::running::Sessions;
use crate::sampler::{Moment, Sampler};
use crate::{Model, Result, Stop};

/// The images of a batch, by number in the run, with their conditions.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// Image numbers, which determine the random numbers.
    pub images: &'a [u64],
    /// One condition per image.
    pub conditions: &'a [Condition],
}

/// A model with a rule and a sampler, checked against each other once so that the loop need not.
pub struct Generator {
    model: Model,
    rule: Arc<dyn Guidance>,
    sampler: Arc<dyn Sampler>,
    noise: Arc<dyn Noise>,
    edit: Option<Edit>,
    plan: PassPlan,
    /// Histories that no batch is using: they keep the operators of the rule's priors on the device.
    histories: Mutex<Vec<History>>,
    /// Of its batches: see [`draw`](Self::draw).
    pub(crate) lanes: OnceLock<Lanes>,
}

impl Generator {
    /// Combines the components.
    ///
    /// # Errors
    /// If rule or sampler do not fit the scales or the alphabet, or the backbone cannot run a pass that the
    /// rule needs.
    pub fn new(
        model: Model,
        rule: Arc<dyn Guidance>,
        sampler: Arc<dyn Sampler>,
        noise: Arc<dyn Noise>,
    ) -> Result<Self> {
        let schedule = model.schedule();
        rule.check(schedule, model.backbone.alphabet())?;
        sampler.check(schedule, model.backbone.alphabet())?;
        let wanted = (0..schedule.len()).map(|k| rule.passes(k, schedule)).collect();
        let plan = PassPlan::new(wanted, schedule)?;
        for pass in &plan.all() {
            let (backbone, _) = model.of_pass(&pass.model)?;
            if let Some(mixing) = &pass.mixing {
                backbone.mixes(mixing)?;
            }
            if let Some(perturbation) = &pass.perturbation {
                backbone.perturbs(perturbation)?;
            }
            if !backbone.runs(pass.condition) {
                return Err(CoreError::Unsupported(format!(
                    "the rule needs the {pass} pass, which the backbone cannot run"
                ))
                .into());
            }
        }
        Ok(Self {
            model,
            rule,
            sampler,
            noise,
            edit: None,
            plan,
            histories: Mutex::default(),
            lanes: OnceLock::new(),
        })
    }

    /// The same with an edit.
    pub fn with_edit(mut self, edit: Edit) -> Self {
        self.edit = Some(edit);
        self
    }

    /// Which passes run at which scale.
    pub fn plan(&self) -> &PassPlan {
        &self.plan
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Generates a batch: `[batch, 3, H, W]` in [0, 1].
    ///
    /// # Errors
    /// If a condition is out of range, logits are not finite, the observer fails, or a stop is requested.
    pub fn batch(&self, batch: Batch<'_>, observer: &mut dyn Observer, stop: &Stop) -> Result<Tensor<4>> {
        let Batch { images, conditions } = batch;
        if images.len() != conditions.len() || images.is_empty() {
            return Err(
                CoreError::shape("conditions", "one per image, at least one", &[conditions.len()]).into()
            );
        }
        let tokenizer = &*self.model.tokenizer;
        let schedule = self.model.schedule();
        let device = self.model.backbone.device();
        let mut history = self.history();
        let mut finite = FiniteCheck::default();
        let mut sessions = timed(observer, Part::Backbone, &device, || {
            Sessions::start(&self.model, conditions, &self.plan)
        })?;

        for k in 0..schedule.len() {
            stop.check()?;
            let inputs = timed(observer, Part::Canvas, &device, || sessions.inputs(k))?;
            let logits = timed(observer, Part::Backbone, &device, || sessions.step(k, &inputs))?;
            drop(inputs);
            history.push(logits.clone());
            let guided = timed(observer, Part::Guidance, &device, || history.guide(&*self.rule))?;
            let prior = if observer.wants_prior() { history.prior_of(&*self.rule)? } else { None };
            let draw = timed(observer, Part::Sampling, &device, || {
                finite.look(&guided, k, images)?;
                let moment = Moment { scale: k, schedule, images, noise: &*self.noise };
                self.sampler.draw(&guided, &moment)
            })?;
            let (embedding, tokens) = timed(observer, Part::Canvas, &device, || {
                let embedding = tokenizer.embed(&draw, k)?;
                let tokens = match draw.weights {
                    Some(_) => tokenizer.embed(&Draw::tokens(draw.tokens.clone()), k)?,
                    None => embedding.clone(),
                };
                Ok::<_, CoreError>((embedding, tokens))
            })?;
            let refined = timed(observer, Part::Backbone, &device, || {
                sessions.refine(&Refinement {
                    scale: k,
                    images,
                    draw: &draw,
                    embedding: &embedding,
                    tokens: &tokens,
                    noise: &*self.noise,
                })
            })?;
            let residual = refined.as_ref().map(|refined| refined.clone() - embedding.clone());
            timed(observer, Part::Canvas, &device, || {
                let embedding = refined.unwrap_or(embedding);
                let embedding = match &self.edit {
                    Some(edit) => edit.mix(tokenizer, embedding, sessions.canvas(), k, images)?,
                    None => embedding,
                };
                sessions.accumulate(&embedding, k, images, &*self.noise)
            })?;
            observer.scale(&Seen {
                scale: k,
                logits: &logits,
                prior: prior.as_ref(),
                guided: &guided,
                draw: &draw,
                residual: residual.as_ref(),
                canvas: sessions.canvas(),
            })?;
        }
        finite.finish(images)?;
        stop.check()?;
        let canvas = sessions.canvas().clone();
        drop(sessions);
        let pixels = timed(observer, Part::Decoding, &device, || tokenizer.decode(&canvas))?;
        observer.images(&pixels)?;
        self.give_back(history);
        Ok(pixels)
    }

    /// A history without steps; a reused one has the operators of an earlier batch.
    fn history(&self) -> History {
        let kept = self.histories.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(|| History::new(self.model.schedule().clone(), self.rule.lookback()))
    }

    fn give_back(&self, mut history: History) {
        history.restart();
        self.histories.lock().unwrap_or_else(PoisonError::into_inner).push(history);
    }
}
