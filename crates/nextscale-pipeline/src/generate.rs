//! The loop: conditions to images, scale by scale.

use std::sync::Arc;

use burn::tensor::Tensor;
use nextscale_backbones::Backbone;
use nextscale_core::{Condition, Error as CoreError, PassPlan, ScaleSchedule};
use nextscale_guidance::{Guidance, History};
use nextscale_tokenizers::Tokenizer;

use crate::edit::Edit;
use crate::finite::FiniteCheck;
use crate::observe::{Observer, Part, Seen, timed};
use crate::random::Noise;
use crate::sampler::{Moment, Sampler};
use crate::{Error, Result, Stop};

/// A tokenizer and a backbone that fit each other.
#[derive(Clone)]
pub struct Model {
    /// Draws to images.
    pub tokenizer: Arc<dyn Tokenizer>,
    /// Conditions and canvases to logits.
    pub backbone: Arc<dyn Backbone>,
}

impl Model {
    /// Pairs them.
    ///
    /// # Errors
    /// If their scales, alphabets, feature channels or devices differ.
    pub fn new(tokenizer: Arc<dyn Tokenizer>, backbone: Arc<dyn Backbone>) -> Result<Self> {
        let differ = |what: &str, t: String, b: String| {
            Err(Error::Usage(format!(
                "the tokenizer and the backbone do not fit: {what} {t} and {b}; take both from one model"
            )))
        };
        if tokenizer.schedule() != backbone.schedule() {
            return differ("scales", tokenizer.schedule().to_string(), backbone.schedule().to_string());
        }
        if tokenizer.alphabet() != backbone.alphabet() {
            return differ(
                "alphabets",
                format!("{:?}", tokenizer.alphabet()),
                format!("{:?}", backbone.alphabet()),
            );
        }
        if tokenizer.feature_channels() != backbone.feature_channels() {
            let channels = |n: usize| format!("of {n} channels");
            return differ(
                "features",
                channels(tokenizer.feature_channels()),
                channels(backbone.feature_channels()),
            );
        }
        if tokenizer.device() != backbone.device() {
            return differ(
                "devices",
                format!("{:?}", tokenizer.device()),
                format!("{:?}", backbone.device()),
            );
        }
        Ok(Self { tokenizer, backbone })
    }

    /// The scales of both.
    pub fn schedule(&self) -> &ScaleSchedule {
        self.backbone.schedule()
    }
}

/// The images of a batch, by their number in the run, and what each is to show.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// Image numbers; randomness depends on them.
    pub images: &'a [u64],
    /// One condition an image.
    pub conditions: &'a [Condition],
}

/// A model under a rule and a sampler, checked against each other once, so that the loop need not.
pub struct Generator {
    model: Model,
    rule: Arc<dyn Guidance>,
    sampler: Arc<dyn Sampler>,
    noise: Arc<dyn Noise>,
    edit: Option<Edit>,
    plan: PassPlan,
}

impl Generator {
    /// Puts the nouns together.
    ///
    /// # Errors
    /// If rule or sampler do not fit the scales or the alphabet, or the backbone cannot run a pass that the rule needs.
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
        if let Some(k) = (0..plan.len()).find(|&k| !model.backbone.passes().contains_all(plan.run(k))) {
            return Err(CoreError::Unsupported(format!(
                "the rule needs passes at scale {k} that the backbone cannot run"
            ))
            .into());
        }
        Ok(Self { model, rule, sampler, noise, edit: None, plan })
    }

    /// The same with given tokens mixed in.
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

    /// Makes a batch: `[batch, 3, H, W]` in [0, 1].
    ///
    /// # Errors
    /// If a condition is out of range, logits are not finite, the observer fails, or someone asks to stop.
    pub fn batch(&self, batch: Batch<'_>, observer: &mut dyn Observer, stop: &Stop) -> Result<Tensor<4>> {
        let Batch { images, conditions } = batch;
        if images.len() != conditions.len() || images.is_empty() {
            return Err(
                CoreError::shape("conditions", "one an image, at least one", &[conditions.len()]).into()
            );
        }
        let tokenizer = &*self.model.tokenizer;
        let schedule = self.model.schedule();
        let device = self.model.backbone.device();
        let mut history = History::new(schedule.clone(), self.rule.lookback());
        let mut finite = FiniteCheck::default();
        let mut canvas = tokenizer.blank(images.len());
        let mut session =
            timed(observer, Part::Backbone, &device, || self.model.backbone.start(conditions, &self.plan))?;

        for k in 0..schedule.len() {
            stop.check()?;
            let input = timed(observer, Part::Canvas, &device, || {
                if k == 0 { Ok(None) } else { tokenizer.next_input(&canvas, k).map(Some) }
            })?;
            let logits = timed(observer, Part::Backbone, &device, || session.step(input))?;
            history.push(logits.clone());
            let guided = timed(observer, Part::Guidance, &device, || history.guide(&*self.rule))?;
            let prior = if observer.wants_prior() { history.prior_of(&*self.rule)? } else { None };
            let draw = timed(observer, Part::Sampling, &device, || {
                finite.look(&guided, k, images)?;
                let moment = Moment { scale: k, schedule, images, noise: &*self.noise };
                self.sampler.draw(&guided, &moment)
            })?;
            canvas = timed(observer, Part::Canvas, &device, || {
                let embedding = tokenizer.embed(&draw, k)?;
                let embedding = match &self.edit {
                    Some(edit) => edit.mix(embedding, k, images),
                    None => embedding,
                };
                tokenizer.accumulate(canvas, embedding, k)
            })?;
            observer.scale(&Seen {
                scale: k,
                logits: &logits,
                prior: prior.as_ref(),
                guided: &guided,
                draw: &draw,
                canvas: &canvas,
            })?;
        }
        drop(session);
        finite.finish(images)?;
        stop.check()?;
        let pixels = timed(observer, Part::Decoding, &device, || tokenizer.decode(&canvas))?;
        observer.images(&pixels)?;
        Ok(pixels)
    }
}
