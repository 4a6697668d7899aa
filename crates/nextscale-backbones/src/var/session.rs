use burn::tensor::Tensor;
use nextscale_core::{ConditionRows, Result};

use super::{conditioning::Conditioning, model::Var};
use crate::transformer::{
    adaln::Modulation, attention::Projected, head::HeadModulation, session::StackSession, stack::Stack,
    streams::Streams,
};

/// The generation of one batch.
pub(super) type VarSession<'a> = StackSession<'a, Var>;

impl Stack for Var {
    type Start = Tensor<2>;
    type Block = Modulation;
    type Prepared = ();
    type Turns = ();

    const START: &'static str = "condition";

    fn depth(&self) -> usize {
        self.config.depth
    }

    fn condition(&self, rows: &[&ConditionRows]) -> Result<Conditioning> {
        let mut classes = Vec::new();
        for side in rows {
            classes.extend(self.class_rows(side)?);
        }
        Ok(self.condition_on(&classes))
    }

    fn prepare(&self, _: &Tensor<2>) {}

    fn first(&self, classes: &Tensor<2>, (): &()) -> Tensor<3> {
        self.embedding.start(classes.clone(), &self.config.schedule)
    }

    fn later(&self, features: Tensor<3>, k: usize, (): &()) -> Tensor<3> {
        self.embedding.features(features, &self.config.schedule, k)
    }

    fn turns(&self, _: &Tensor<2>, (): &(), _: usize) {}

    fn turns_of((): &(), _: &Streams, _: &Streams) {}

    fn turns_of_first((): &()) {}

    fn turned(projected: Projected, (): &()) -> Projected {
        projected
    }

    fn block(
        &self,
        i: usize,
        x: Tensor<3>,
        modulation: &Modulation,
        attend: impl FnOnce(Projected) -> Tensor<3>,
    ) -> Tensor<3> {
        self.blocks[i].forward(x, modulation.clone(), attend)
    }

    fn logits_of(&self, x: Tensor<3>, head: HeadModulation) -> Tensor<3> {
        self.head.forward(x, head)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use nextscale_core::{Condition, PassPlan, Passes, ScaleSchedule};

    use super::*;
    use crate::{
        Backbone, Session, prepare,
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
            let joined = |parts: &[Tensor<4>]| Tensor::cat(parts.to_vec(), 1).dims();
            let (keys, values) = (&session.caches[0].keys, &session.caches[0].values);
            let positions = model.config().schedule.offset(k + 1);
            assert_eq!(joined(keys), [rows, positions, 4, 16]);
            assert_eq!(joined(values), joined(keys));
            let values: usize = session
                .caches
                .iter()
                .flat_map(|cache| cache.keys.iter().chain(&cache.values))
                .map(|x| x.shape().num_elements())
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
