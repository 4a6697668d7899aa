use burn::tensor::Tensor;
use nextscale_core::{Alphabet, BatchConditions, Error, PassLogits, PassPlan, Result};

use super::{
    conditioning::{Conditioning, OfSides},
    model::Var,
};
use crate::Session;
use crate::transformer::{
    adaln::Modulation,
    rows::{Cache, pick},
    seeing::attend,
    streams::{Streams, check, filed, picked},
};

/// The generation of one batch: the rows of all streams are stacked, `batch` rows each.
pub(super) struct VarSession<'a> {
    model: &'a Var,
    plan: PassPlan,
    batch: usize,
    /// The next scale.
    scale: usize,
    /// The streams whose rows are stacked now.
    running: Streams,
    conditioning: Conditioning,
    /// One a block.
    caches: Vec<Cache>,
}

impl<'a> VarSession<'a> {
    pub(super) fn start(model: &'a Var, conditions: &BatchConditions, plan: &PassPlan) -> Result<Self> {
        check(plan, model.config.schedule.len(), model.config.depth)?;
        let running = Streams::of(plan.run(0), conditions.batch());
        let mut rows = Vec::new();
        for side in running.conditions(conditions)? {
            rows.extend(model.class_rows(side)?);
        }
        Ok(Self::new(model, model.condition(&rows), running, conditions.batch(), plan))
    }

    /// The same, from the conditioning of all sides of a batch.
    pub(super) fn sharing(model: &'a Var, of_sides: &OfSides, batch: usize, plan: &PassPlan) -> Result<Self> {
        check(plan, model.config.schedule.len(), model.config.depth)?;
        let running = Streams::of(plan.run(0), batch);
        let conditioning = match running.ranges_in(&of_sides.sides)? {
            Some(ranges) => of_sides.conditioning.pick(&ranges),
            None => of_sides.conditioning.clone(),
        };
        Ok(Self::new(model, conditioning, running, batch, plan))
    }

    fn new(
        model: &'a Var,
        conditioning: Conditioning,
        running: Streams,
        batch: usize,
        plan: &PassPlan,
    ) -> Self {
        Self {
            model,
            plan: plan.clone(),
            batch,
            scale: 0,
            conditioning: conditioning.in_blocks(&running),
            running,
            caches: vec![Cache::default(); model.config.depth],
        }
    }

    /// Drops the rows of streams that have stopped.
    fn keep(&mut self, streams: Streams) {
        if streams == self.running {
            return;
        }
        let ranges = self.running.ranges_of(&streams);
        let Conditioning { classes, blocks, head } = self.conditioning.clone();
        let depth = blocks.len();
        let in_block = |(i, block): (usize, Modulation)| {
            let ranges = self.running.in_block(depth - i).ranges_of(&streams.in_block(depth - i));
            // A block that no stream runs any longer reads nothing.
            if ranges.is_empty() {
                return block;
            }
            block.map(|part| pick(part, &ranges))
        };
        self.conditioning = Conditioning {
            classes: pick(classes, &ranges),
            blocks: blocks.into_iter().enumerate().map(in_block).collect(),
            head: head.map(|part| pick(part, &ranges)),
        };
        for (i, cache) in self.caches.iter_mut().enumerate() {
            cache.pick(&self.running.attending(depth - i).ranges_of(&streams.attending(depth - i)));
        }
        self.running = streams;
    }

    /// The input of the first block at scale `k`, `[rows, h·w, width]`.
    fn embed(&self, input: Option<Tensor<3>>, k: usize) -> Result<Tensor<3>> {
        let schedule = &self.model.config.schedule;
        let Some(input) = input else {
            if k == 0 {
                return Ok(self.model.embedding.start(self.conditioning.classes.clone(), schedule));
            }
            return Err(Error::Unsupported(format!("scale {k} needs the features of the scales before it")));
        };
        if k == 0 {
            return Err(Error::Unsupported("scale 0 starts from the condition and takes no features".into()));
        }
        let expected = [self.batch, schedule.grid(k).positions(), self.model.config.feature_channels];
        if input.dims() != expected {
            return Err(Error::shape(format!("input of scale {k}"), format!("{expected:?}"), &input.dims()));
        }
        let x = self.model.embedding.features(input, schedule, k);
        // The streams differ only in modulation and cache.
        Ok(self.running.repeat(x))
    }
}

impl Session for VarSession<'_> {
    fn step(&mut self, input: Option<Tensor<3>>) -> Result<PassLogits> {
        self.run(input, |_| {})
    }
}

impl VarSession<'_> {
    /// The next scale; `watch` receives the input of the first block, then the output of each block.
    fn run(&mut self, input: Option<Tensor<3>>, mut watch: impl FnMut(&Tensor<3>)) -> Result<PassLogits> {
        let k = self.scale;
        let schedule = &self.model.config.schedule;
        if k >= schedule.len() {
            return Err(Error::Unsupported(format!("all {} scales are done", schedule.len())));
        }
        let grid = schedule.grid(k);
        let last = k + 1 == schedule.len();
        let run = self.plan.run(k);
        if run.is_empty() {
            return Err(Error::Unsupported(format!("the plan runs no pass at scale {k} or after it")));
        }
        self.keep(Streams::of(run, self.batch));
        let mut x = self.embed(input, k)?;
        self.scale += 1;
        watch(&x);
        for (i, block) in self.model.blocks.iter().enumerate() {
            let (modulation, cache) = (&self.conditioning.blocks[i], &mut self.caches[i]);
            let layer = self.model.config.depth - i;
            let (inside, attending) = (self.running.in_block(layer), self.running.attending(layer));
            if inside.len() > 0 {
                let rows = self.running.take(x.clone(), &inside);
                let out = block.forward(rows, modulation.clone(), |projected| {
                    attend(cache, projected, &inside, &attending, !last)
                });
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
        let values = self.model.head.forward(picked(x, ranges.as_deref()), head);
        let alphabet = Alphabet::codes(self.model.config.vocabulary);
        filed(&values, wanted, self.batch, grid, alphabet)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use nextscale_core::{Condition, Passes, ScaleSchedule};

    use super::*;
    use crate::{
        Backbone, prepare,
        var::fixtures::{Reference, assert_close, labels, model, reference},
    };

    const TOLERANCE: f32 = 1e-4;

    fn plan(wanted: [Passes; 4]) -> PassPlan {
        PassPlan::new(wanted.to_vec(), &ScaleSchedule::square(&[1, 2, 3, 4]).unwrap()).unwrap()
    }

    /// The recorded features for scale `k`, `[batch, h·w, channels]`.
    fn recorded_input(reference: &Reference, run: &str, k: usize) -> Option<Tensor<3>> {
        let before = k.checked_sub(1)?;
        let features: Tensor<4> = reference.tensor(&format!("{run}.s{before}.next_input"));
        Some(features.flatten::<3>(2, 3).swap_dims(1, 2))
    }

    #[test]
    fn greedy_runs_give_upstreams_numbers() {
        for name in ["aln", "saln"] {
            let (model, reference) = (model(name, &Device::flex()), reference(name));
            let plan = plan([Passes::BOTH; 4]);
            let conditions = prepare(&model.conditioner(), &labels(&reference), &plan).unwrap();
            let mut session = VarSession::start(&model, &conditions, &plan).unwrap();
            for k in 0..4 {
                let mut seen = Vec::new();
                let input = recorded_input(&reference, "greedy", k);
                let logits = session.run(input, |x| seen.push(x.clone())).unwrap();
                for (x, part) in seen.iter().zip(["x_in", "block0", "block1"]) {
                    let part = format!("greedy.s{k}.{part}");
                    assert_close(x, &reference.tensor(&part), TOLERANCE, &part);
                }
                let both = logits.iter().map(|(_, map)| map.values().clone()).collect();
                let both = Tensor::cat(both, 0);
                let part = format!("greedy.s{k}.logits_raw");
                assert_close(&both, &reference.tensor(&part), TOLERANCE, &part);
            }
        }
    }

    #[test]
    fn a_stopped_pass_leaves_the_cache() {
        let (model, reference) = (model("aln", &Device::flex()), reference("aln"));
        let (one, both) = (Passes::CONDITIONAL, Passes::BOTH);
        let plan = plan([both.clone(), both, one.clone(), one]);
        let conditions = prepare(&model.conditioner(), &labels(&reference), &plan).unwrap();
        let mut session = VarSession::start(&model, &conditions, &plan).unwrap();
        for (k, rows) in [4, 4, 2].into_iter().enumerate() {
            session.step(recorded_input(&reference, "greedy", k)).unwrap();
            let (keys, values) = session.caches[0].0.as_ref().unwrap();
            let positions = model.config().schedule.offset(k + 1);
            assert_eq!(keys.dims(), [rows, positions, 4, 16]);
            assert_eq!(values.dims(), keys.dims());
            let values: usize = session
                .caches
                .iter()
                .filter_map(|cache| cache.0.as_ref())
                .map(|(k, v)| k.shape().num_elements() + v.shape().num_elements())
                .sum();
            assert_eq!(Some(values * size_of::<f32>() / (rows * positions)), model.cache_bytes_per_token());
        }
    }

    #[test]
    fn misuse_is_named() {
        let model = model("aln", &Device::flex());
        let both = plan([Passes::BOTH; 4]);
        let start = |conditions: &[Condition], plan: &PassPlan| {
            model.start(&prepare(&model.conditioner(), conditions, plan)?, plan)
        };
        let refusal = |conditions: &[Condition]| start(conditions, &both).err().unwrap().to_string();
        assert!(refusal(&[Condition::Class(10)]).contains("label 10 is out of range"));
        assert!(refusal(&[]).contains("condition"));
        let short = ScaleSchedule::square(&[1, 2]).unwrap();
        let short = PassPlan::new(vec![Passes::BOTH; 2], &short).unwrap();
        assert!(start(&[Condition::Null], &short).err().unwrap().to_string().contains("the model has 4"));

        let mut session = start(&[Condition::Class(1)], &both).unwrap();
        let zeros = |positions| Some(Tensor::zeros([1, positions, 8], &Device::flex()));
        assert!(session.step(zeros(1)).unwrap_err().to_string().contains("scale 0"));
        session.step(None).unwrap();
        assert!(session.step(None).unwrap_err().to_string().contains("scale 1 needs the features"));
        let error = session.step(zeros(5)).unwrap_err().to_string();
        assert!(error.contains("input of scale 1 has shape [1, 5, 8], expected [1, 4, 8]"), "{error}");
        // A refused input does not use up the scale.
        for positions in [4, 9, 16] {
            session.step(zeros(positions)).unwrap();
        }
        assert!(session.step(zeros(16)).unwrap_err().to_string().contains("all 4 scales are done"));
    }
}
