//! The generation of one batch by a transformer whose rows are stacked: what is the same for all families.

use burn::tensor::Tensor;
use nextscale_core::{BatchConditions, Error, PassLogits, PassPlan, Result};

use super::alike::Folded;
use super::attention::last_positions;
use super::conditioning::{Conditioning, OfSides};
use super::rows::Cache;
use super::seeing::attend;
use super::stack::Stack;
use super::streams::{Streams, check, filed, picked};
use crate::{Constants, Session};

/// The conditioning of every side that was prepared.
///
/// # Errors
/// As [`Stack::condition`].
pub(crate) fn of_sides<M: Stack>(
    model: &M,
    conditions: &BatchConditions,
) -> Result<OfSides<M::Start, M::Block>> {
    let sides: Vec<_> = conditions.sides().collect();
    let rows = sides.iter().map(|&side| conditions.rows(side)).collect::<Result<Vec<_>>>()?;
    Ok(OfSides { conditioning: model.condition(&rows)?, sides })
}

/// The generation of one batch: the rows of all streams are stacked, `batch` rows each.
pub(crate) struct StackSession<'a, M: Stack> {
    model: &'a M,
    plan: PassPlan,
    pub(crate) batch: usize,
    /// The next scale.
    pub(crate) scale: usize,
    /// The streams whose rows are stacked now.
    pub(crate) running: Streams,
    pub(crate) conditioning: Conditioning<M::Start, M::Block>,
    prepared: M::Prepared,
    /// One a block.
    pub(crate) caches: Vec<Cache>,
}

impl<'a, M: Stack> StackSession<'a, M> {
    /// Begins it.
    ///
    /// # Errors
    /// If the model cannot read the conditions, or the plan does not fit it.
    pub(crate) fn start(model: &'a M, conditions: &BatchConditions, plan: &PassPlan) -> Result<Self> {
        check(plan, model.schedule().len(), model.depth())?;
        let running = Streams::of(plan.run(0), conditions.batch());
        let conditioning = model.condition(&running.conditions(conditions)?)?;
        Ok(Self::new(model, conditioning, running, conditions.batch(), plan))
    }

    /// The same with the [`Constants`] of these conditions, if they are this model's.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub(crate) fn start_with(
        model: &'a M,
        constants: &Constants,
        conditions: &BatchConditions,
        plan: &PassPlan,
    ) -> Result<Self> {
        let Some(of_sides) = constants.get::<OfSides<M::Start, M::Block>>() else {
            return Self::start(model, conditions, plan);
        };
        check(plan, model.schedule().len(), model.depth())?;
        let running = Streams::of(plan.run(0), conditions.batch());
        Ok(Self::new(model, of_sides.of(&running)?, running, conditions.batch(), plan))
    }

    fn new(
        model: &'a M,
        conditioning: Conditioning<M::Start, M::Block>,
        running: Streams,
        batch: usize,
        plan: &PassPlan,
    ) -> Self {
        Self {
            model,
            plan: plan.clone(),
            batch,
            scale: 0,
            prepared: model.prepare(&conditioning.start),
            conditioning: conditioning.in_blocks(&running),
            running,
            caches: vec![Cache::default(); model.depth()],
        }
    }

    /// Drops the rows of streams that have stopped.
    fn keep(&mut self, streams: Streams) {
        if streams == self.running {
            return;
        }
        self.conditioning = self.conditioning.keep(&self.running, &streams);
        let depth = self.caches.len();
        for (i, cache) in self.caches.iter_mut().enumerate() {
            cache.pick(&self.running.attending(depth - i).ranges_of(&streams.attending(depth - i)));
        }
        self.running = streams;
    }

    /// The input of the first block at scale `k`, `[rows, positions, width]`.
    fn embed(&self, input: Option<Tensor<3>>, k: usize) -> Result<Tensor<3>> {
        let Some(input) = input else {
            if k == 0 {
                return Ok(self.model.first(&self.conditioning.start, &self.prepared));
            }
            return Err(Error::Unsupported(format!("scale {k} needs the features of the scales before it")));
        };
        if k == 0 {
            let message = format!("scale 0 starts from the {} and takes no features", M::START);
            return Err(Error::Unsupported(message));
        }
        let positions = self.model.schedule().grid(k).positions();
        let expected = [self.batch, positions, self.model.input_channels()];
        if input.dims() != expected {
            return Err(Error::shape(format!("input of scale {k}"), format!("{expected:?}"), &input.dims()));
        }
        // The streams differ only in what they are conditioned on and in their cache.
        Ok(self.running.repeat(self.model.later(input, k, &self.prepared)))
    }

    /// The next scale; `watch` receives the input of the first block, then the output of each block.
    pub(crate) fn run(
        &mut self,
        input: Option<Tensor<3>>,
        mut watch: impl FnMut(&Tensor<3>),
    ) -> Result<PassLogits> {
        let (k, model) = (self.scale, self.model);
        let schedule = model.schedule();
        if k >= schedule.len() {
            return Err(Error::Unsupported(format!("all {} scales are done", schedule.len())));
        }
        let last = k + 1 == schedule.len();
        let rest = schedule.positions() - schedule.offset(k + 1);
        let run = self.plan.run(k);
        if run.is_empty() {
            return Err(Error::Unsupported(format!("the plan runs no pass at scale {k} or after it")));
        }
        self.keep(Streams::of(run, self.batch));
        let mut x = self.embed(input, k)?;
        self.scale += 1;
        watch(&x);
        let turns = model.turns(&self.conditioning.start, &self.prepared, k);
        let alike = (k == 0).then(|| self.running.plain(&model.alike(&self.conditioning.start)));
        let alike = alike.filter(|alike| alike.len() > 0);
        let depth = self.caches.len();
        for (i, cache) in self.caches.iter_mut().enumerate() {
            let layer = depth - i;
            let (inside, attending) = (self.running.in_block(layer), self.running.attending(layer));
            // Keys and values of other positions are read by later scales, and nothing else of them.
            let last_read = model.last_read(k).filter(|_| layer == 1);
            let rows = (inside.len() > 0).then(|| self.running.take(x.clone(), &inside));
            if let Some(count) = last_read {
                x = last_positions(x, count);
            }
            if let Some(rows) = rows {
                let block = &self.conditioning.blocks[i];
                let turns = M::turns_of(&turns, &self.running, &inside);
                let out = match &alike {
                    None => model.block(i, rows, block, |projected| {
                        let projected = M::turned(projected, &turns).asking(last_read);
                        attend(cache, projected, &inside, &attending, rest)
                    }),
                    Some(alike) => {
                        let rows = Folded {
                            rows,
                            turns,
                            streams: &inside,
                            attending: &attending,
                            alike,
                            last: last_read,
                            rest,
                        };
                        let (out, own) = rows.through(model, i, block);
                        *cache = own;
                        out
                    }
                };
                if last {
                    *cache = Cache::default();
                }
                x = self.running.put(x, &inside, out);
            }
            x = self.running.mix(x, layer, k);
            watch(&x);
        }

        let wanted = self.plan.wanted(k);
        if wanted.is_empty() {
            return Ok(PassLogits::new());
        }
        let ranges = self.running.ranges_of_passes(wanted);
        let head = self.conditioning.head.clone().map(|part| picked(part, ranges.as_deref()));
        let values = model.logits_of(picked(x, ranges.as_deref()), head);
        filed(&values, wanted, self.batch, schedule.grid(k), model.alphabet())
    }
}

impl<M: Stack> Session for StackSession<'_, M> {
    fn step(&mut self, input: Option<Tensor<3>>) -> Result<PassLogits> {
        self.run(input, |_| {})
    }
}
