//! The sessions of a batch, and their inputs.

use burn::tensor::Tensor;
use nextscale_backbones::{Constants, Refinement, Session, prepare_for};
use nextscale_core::noise::Noise;
use nextscale_core::{
    BatchConditions, Canvas, Condition, PassLogits, PassModel, PassPlan, Prefix, Result as CoreResult,
};
use nextscale_tokenizers::Tokenizer;

use crate::{Model, Result, corrupt};

/// A model on a prefix.
struct Running<'a> {
    main: bool,
    /// Its index among the canvases.
    canvas: usize,
    /// The last scale at which it is used.
    last: usize,
    session: Box<dyn Session + 'a>,
}

/// Every session of a batch, and a canvas per prefix; the first is that of the draws.
pub(crate) struct Sessions<'a> {
    tokenizer: &'a dyn Tokenizer,
    running: Vec<Running<'a>>,
    canvases: Vec<(Prefix, Canvas)>,
}

impl<'a> Sessions<'a> {
    /// Begins the sessions that the plan needs.
    ///
    /// # Errors
    /// As the conditioners and backbones.
    pub fn start(model: &'a Model, conditions: &[Condition], whole: &PassPlan) -> Result<Self> {
        let tokenizer = &*model.tokenizer;
        let mut canvases = vec![(Prefix::Drawn, tokenizer.blank(conditions.len()))];
        let mut running = Vec::new();
        let sessions = whole.sessions();
        let mut prepared: Vec<(PassModel, BatchConditions, Constants)> = Vec::new();
        for (which, prefix) in &sessions {
            let (which, prefix) = (which.clone(), *prefix);
            let (backbone, conditioner) = model.of_pass(&which)?;
            let plan = whole.of_session(&which, &prefix, backbone.has_cache());
            let Some(last) = plan.last() else { continue };
            let canvas = canvases.iter().position(|(known, _)| *known == prefix).unwrap_or_else(|| {
                canvases.push((prefix, tokenizer.blank(conditions.len())));
                canvases.len() - 1
            });
            if !prepared.iter().any(|(model, ..)| *model == which) {
                let conditions = prepare_for(conditioner, conditions, &whole.of_model(&which))?;
                // A single session makes what it needs itself.
                let several = sessions.iter().filter(|(model, _)| *model == which).count() > 1;
                let constants = if several { backbone.constants(&conditions)? } else { Constants::default() };
                prepared.push((which.clone(), conditions, constants));
            }
            let Some((_, conditions, constants)) = prepared.iter().find(|(model, ..)| *model == which) else {
                continue;
            };
            let main = which == PassModel::Main && prefix == Prefix::Drawn;
            let session = backbone.start_with(constants, conditions, &plan)?;
            running.push(Running { main, canvas, last, session });
        }
        Ok(Self { tokenizer, running, canvases })
    }

    /// The inputs of scale `k`, one per prefix that is still read.
    ///
    /// # Errors
    /// As the tokenizer.
    pub fn inputs(&self, k: usize) -> CoreResult<Vec<Option<Tensor<3>>>> {
        let input = |(at, (_, canvas)): (usize, &(Prefix, Canvas))| {
            let read = self.running.iter().any(|running| running.canvas == at && running.last >= k);
            if k > 0 && read { self.tokenizer.next_input(canvas, k).map(Some) } else { Ok(None) }
        };
        self.canvases.iter().enumerate().map(input).collect()
    }

    /// The requested logits at scale `k`. Drops sessions that no later scale uses.
    ///
    /// # Errors
    /// As the sessions.
    pub fn step(&mut self, k: usize, inputs: &[Option<Tensor<3>>]) -> CoreResult<PassLogits> {
        self.running.retain(|running| running.last >= k);
        let mut logits = PassLogits::new();
        for running in &mut self.running {
            logits.extend(running.session.step(inputs[running.canvas].clone())?);
        }
        Ok(logits)
    }

    /// A draw's embedding as the guided model's session refines it.
    ///
    /// # Errors
    /// As the session.
    pub fn refine(&mut self, refinement: &Refinement<'_>) -> CoreResult<Option<Tensor<4>>> {
        match self.running.iter_mut().find(|running| running.main) {
            Some(running) => running.session.refine(refinement),
            None => Ok(None),
        }
    }

    /// Adds a scale's embedding to every canvas, corrupted where the prefix is.
    ///
    /// # Errors
    /// As the tokenizer.
    pub fn accumulate(
        &mut self,
        embedding: &Tensor<4>,
        k: usize,
        images: &[u64],
        noise: &dyn Noise,
    ) -> CoreResult<()> {
        // Moved out, so that the tokenizer can add in place.
        let add = |(prefix, canvas)| {
            let embedding = match &prefix {
                Prefix::Drawn => embedding.clone(),
                Prefix::Corrupted(corruption) => corrupt(embedding.clone(), corruption, k, images, noise),
            };
            Ok((prefix, self.tokenizer.accumulate(canvas, embedding, k)?))
        };
        self.canvases = std::mem::take(&mut self.canvases).into_iter().map(add).collect::<CoreResult<_>>()?;
        Ok(())
    }

    /// The canvas of the draws.
    pub fn canvas(&self) -> &Canvas {
        &self.canvases[0].1
    }
}
