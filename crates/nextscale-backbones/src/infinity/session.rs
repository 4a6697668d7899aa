use burn::tensor::Tensor;
use nextscale_core::{ConditionRows, Result};

use super::{
    model::{Conditioning, Infinity},
    rope,
    text::{Attended, ragged},
};
use crate::transformer::{
    adaln::Modulation, attention::Projected, head::HeadModulation, session::StackSession, stack::Stack,
    streams::Streams,
};

/// The generation of one batch.
pub(super) type InfinitySession<'a> = StackSession<'a, Infinity>;

impl Stack for Infinity {
    type Start = Tensor<2>;
    type Block = (Modulation, Attended);
    /// The rotations of all scales, concatenated.
    type Prepared = Tensor<2>;
    type Turns = Tensor<2>;

    const START: &'static str = "text";

    fn depth(&self) -> usize {
        self.config.depth
    }

    fn condition(&self, rows: &[&ConditionRows]) -> Result<Conditioning> {
        Ok(self.condition_on(ragged(rows.iter().copied(), self.config.text_width)?))
    }

    fn prepare(&self, texts: &Tensor<2>) -> Tensor<2> {
        let config = &self.config;
        rope::table(config.schedule.grids(), config.positions, config.head_width(), &texts.device())
    }

    fn first(&self, texts: &Tensor<2>, _: &Tensor<2>) -> Tensor<3> {
        self.embedding.start(texts.clone())
    }

    fn later(&self, features: Tensor<3>, k: usize, _: &Tensor<2>) -> Tensor<3> {
        self.embedding.features(features, k)
    }

    fn turns(&self, _: &Tensor<2>, all: &Tensor<2>, k: usize) -> Tensor<2> {
        let schedule = &self.config.schedule;
        all.clone().narrow(0, schedule.offset(k), schedule.grid(k).positions())
    }

    /// Those of any row.
    fn turns_of(turns: &Tensor<2>, _: &Streams, _: &Streams) -> Tensor<2> {
        turns.clone()
    }

    fn turns_of_first(turns: &Tensor<2>) -> Tensor<2> {
        turns.clone().slice_dim(0, 0..1)
    }

    fn turned(projected: Projected, turns: &Tensor<2>) -> Projected {
        projected.turned(turns)
    }

    fn block(
        &self,
        i: usize,
        x: Tensor<3>,
        (modulation, text): &(Modulation, Attended),
        attend: impl FnOnce(Projected) -> Tensor<3>,
    ) -> Tensor<3> {
        self.blocks[i].forward(x, modulation.clone(), text, attend)
    }

    fn logits_of(&self, x: Tensor<3>, head: HeadModulation) -> Tensor<3> {
        self.head.forward(x, head)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Bool, Device, TensorData};
    use nextscale_core::{
        BatchConditions, Mixing, Pass, PassCondition, PassLogits, PassPlan, Passes, ScaleSchedule,
    };

    use super::*;
    use crate::infinity::{
        InfinityConfig, Initialisation,
        fixtures::{Canvas, Reference, assert_close, conditions, given, list, model, reference, schedule},
        text::{Rows, padded},
    };
    use crate::{Backbone, Session};

    const LOGITS: f32 = 5e-4;
    const HIDDEN: f32 = 5e-4;

    /// The reference stacks both passes' hidden states in the same order: given rows first.
    #[test]
    fn texts_become_upstreams_vectors_and_rows() {
        for (name, run) in [("base", "reference"), ("base", "reference_b"), ("patchify", "reference")] {
            let reference = reference(&format!("{name}/{run}.safetensors"));
            let model = model(name, &schedule(&reference), &Device::flex());
            let conditions = conditions(&model, &reference);
            let sides = [PassCondition::Given, PassCondition::Negative];
            let rows = ragged(sides.map(|side| conditions.rows(side).unwrap()), 256).unwrap();
            let normed = model.text.normed(rows);
            let flat = |rows: &Rows| rows.values.clone().squeeze_dim::<2>(0);
            assert_close(&flat(&normed), &reference.tensor("text_normed"), 1e-5, "text_normed");
            let pooled = model.text.pooled(&normed);
            assert_close(&pooled, &reference.tensor("sos"), 2e-5, "sos");
            assert_close(&flat(&model.text.source(normed)), &reference.tensor("ca_kv"), 2e-5, "ca_kv");

            // Texts give the same in a padded batch.
            let side = padded(conditions.rows(PassCondition::Given).unwrap(), 256).unwrap();
            let alike = model.text.pooled(&model.text.normed(side));
            let batch = conditions.batch();
            assert_close(&alike, &pooled.slice_dim(0, 0..batch), 2e-5, "padded");
        }
    }

    fn plan(passes: impl Fn(usize) -> Passes, schedule: &ScaleSchedule) -> PassPlan {
        PassPlan::new((0..schedule.len()).map(passes).collect(), schedule).unwrap()
    }

    /// The recorded bits of scale `k`, and those with the largest logits.
    fn assert_greedy(reference: &Reference, logits: &Tensor<3>, canvas: &mut Canvas, k: usize) {
        let [batch, positions, channels] = logits.dims();
        let bits = logits.clone().reshape([batch, positions, channels / 2, 2]).argmax(3);
        let bits: Vec<i64> = bits.into_data().iter::<i64>().collect();
        let recorded: Vec<i64> =
            reference.ints::<5>(&format!("bits.{k}")).into_data().iter::<i64>().collect();
        assert_eq!(canvas.cells(&bits, k), recorded, "bits of scale {k}");
        canvas.add(&recorded, k);
    }

    fn canvas(name: &str, schedule: &ScaleSchedule, batch: usize) -> Canvas {
        let (bits, side) = if name == "base" { (6, 1) } else { (3, 2) };
        Canvas::new(schedule, bits, side, batch)
    }

    /// Guidance of logits, following the recorded draws: runs A and C.
    #[test]
    fn greedy_runs_with_guidance_of_logits_are_upstreams() {
        for name in ["base", "patchify"] {
            for run in ["reference", "reference_pn0.06M"] {
                let reference = reference(&format!("{name}/{run}.safetensors"));
                let schedule = schedule(&reference);
                let model = model(name, &schedule, &Device::flex());
                let conditions = conditions(&model, &reference);
                let (cfg, tau) = (list(&reference, "cfg_list"), list(&reference, "tau_list"));
                let plan = plan(|_| Passes::BOTH, &schedule);
                let mut session = InfinitySession::start(&model, &conditions, &plan).unwrap();
                let mut canvas = canvas(name, &schedule, conditions.batch());
                for k in 0..schedule.len() {
                    let input = (k > 0).then(|| canvas.input(k));
                    if let Some(input) = input.as_ref().filter(|_| run == "reference") {
                        let part = format!("next_in.{k}");
                        assert_close(input, &reference.tensor(&part), 1e-5, &part);
                    }
                    let mut seen = Vec::new();
                    let logits = session.run(input, |x| seen.push(x.clone())).unwrap();
                    if (name, run) == ("base", "reference") {
                        assert_close(&seen[0], &reference.tensor(&format!("block_in.{k}")), 5e-5, "block_in");
                        for (block, x) in seen[1..].iter().enumerate() {
                            let part = format!("block_out.{k}.{block}");
                            assert_close(x, &reference.tensor(&part), HIDDEN, &part);
                        }
                    }
                    let raw = |pass| logits.get(pass).unwrap().values().clone();
                    let (given, null) = (raw(&Pass::CONDITIONAL), raw(&Pass::UNCONDITIONAL));
                    for (logits, part) in [(&given, "logits_cond"), (&null, "logits_uncond")] {
                        let part = format!("{part}.{k}");
                        assert_close(
                            logits,
                            &reference.tensor(&part),
                            LOGITS,
                            &format!("{name} {run} {part}"),
                        );
                    }
                    let guided = (given * cfg[k] + null * (1.0 - cfg[k])) / tau[k];
                    let scale = (cfg[k].abs() + (1.0 - cfg[k]).abs()) / tau[k];
                    let part = format!("logits_cfg.{k}");
                    assert_close(&guided, &reference.tensor(&part), LOGITS * scale as f32, &part);
                    assert_greedy(&reference, &guided, &mut canvas, k);
                }
            }
        }
    }

    /// Guidance at a layer's output, a negative prompt and a grid that is not square: run B.
    #[test]
    fn greedy_runs_with_guidance_inside_are_upstreams() {
        for (name, layer) in [("base", 2), ("patchify", 1)] {
            let reference = reference(&format!("{name}/reference_b.safetensors"));
            let schedule = schedule(&reference);
            let model = model(name, &schedule, &Device::flex());
            let conditions = conditions(&model, &reference);
            let (cfg, tau) = (list(&reference, "cfg_list"), list(&reference, "tau_list"));
            assert_eq!(cfg[2], 1.0, "a scale that mixes nothing");
            let pass = Pass::CONDITIONAL.mixed(Mixing::new(&[layer], &cfg).unwrap());
            let plan = plan(|_| pass.clone().into(), &schedule);
            let mut session = InfinitySession::start(&model, &conditions, &plan).unwrap();
            let mut canvas = canvas(name, &schedule, 1);
            for (k, tau) in tau.into_iter().enumerate() {
                let input = (k > 0).then(|| canvas.input(k));
                let logits = session.step(input).unwrap();
                let logits = logits.get(&pass).unwrap().values().clone();
                let part = format!("logits_cond.{k}");
                assert_close(&logits, &reference.tensor(&part), LOGITS, &format!("{name} {part}"));
                assert_greedy(&reference, &(logits / tau), &mut canvas, k);
            }
        }
    }

    #[test]
    fn queries_and_keys_turn_as_upstreams() {
        let reference = reference("base/reference.safetensors");
        let schedule = schedule(&reference);
        let config = model("base", &schedule, &Device::flex()).config.clone();
        let turns = rope::table(&[schedule.grid(3)], config.positions, 16, &Device::flex());
        for part in ["q", "k"] {
            let before: Tensor<4> = reference.tensor(&format!("probe.{part}_pre_rope"));
            let after = nextscale_kernels::rotate(before.swap_dims(1, 2), turns.clone());
            assert_close(
                &after.swap_dims(1, 2),
                &reference.tensor(&format!("probe.{part}_post_rope")),
                1e-5,
                part,
            );
        }
    }

    #[test]
    fn a_mixed_pass_beside_others_is_the_same_and_a_weight_of_one_is_the_plain_pass() {
        let reference = reference("base/reference.safetensors");
        let schedule = schedule(&reference);
        let model = model("base", &schedule, &Device::flex());
        let conditions = conditions(&model, &reference);
        let run = |wanted: &Passes, pass: &Pass| -> Vec<Tensor<3>> {
            let plan = plan(|_| wanted.clone(), &schedule);
            let mut session = model.start(&conditions, &plan).unwrap();
            let step = |k: usize| {
                let input = (k > 0).then(|| reference.tensor(&format!("next_in.{k}")));
                session.step(input).unwrap().get(pass).unwrap().values().clone()
            };
            (0..schedule.len()).map(step).collect()
        };
        let same =
            |a: &[Tensor<3>], b: &[Tensor<3>]| a.iter().zip(b).all(|(a, b)| a.to_data() == b.to_data());
        let mixed = Pass::CONDITIONAL.mixed(Mixing::new(&[1, 3], &[3.0; 5]).unwrap());
        let alone = run(&mixed.clone().into(), &mixed);
        let beside = run(&Passes::BOTH.union(mixed.clone().into()), &mixed);
        assert!(same(&alone, &beside));
        let plain = run(&Passes::CONDITIONAL, &Pass::CONDITIONAL);
        assert!(!same(&alone, &plain));
        let off = Pass::CONDITIONAL.mixed(Mixing::new(&[1, 3], &[1.0; 5]).unwrap());
        assert!(same(&run(&off.clone().into(), &off), &plain));
        // The other pass of the same mixing shares its rows.
        let other = Pass::UNCONDITIONAL.mixed(Mixing::new(&[1, 3], &[3.0; 5]).unwrap());
        let both: Passes = [mixed.clone(), other.clone()].into_iter().collect();
        assert!(same(&run(&both, &mixed), &alone));
        assert!(!same(&run(&both, &other), &alone));
    }

    fn small() -> Infinity {
        let config = InfinityConfig {
            text_width: 8,
            text_rows: 4,
            pool_heads: 2,
            ..InfinityConfig::new([2, 16, 2], 3, ScaleSchedule::square(&[1, 2]).unwrap())
        };
        config.init(&Initialisation { seed: 1, gate: 1.0 }, &Device::flex()).unwrap()
    }

    #[test]
    fn misuse_is_named() {
        let model = small();
        let schedule = model.schedule().clone();
        let one = plan(|_| Passes::CONDITIONAL, &schedule);
        let start = |rows: ConditionRows, plan: &PassPlan| {
            let conditions = BatchConditions::new(rows.batch(), [(PassCondition::Given, rows)]).unwrap();
            model.start(&conditions, plan).err().map(|error| error.to_string()).unwrap_or_default()
        };
        let device = Device::flex();
        let rows = |width: usize, mask: [bool; 3]| ConditionRows::Embeddings {
            values: Tensor::ones([1, 3, width], &device),
            mask: Tensor::<2, Bool>::from_data(TensorData::new(mask.to_vec(), [1, 3]), &device),
        };
        assert_eq!(start(rows(8, [true, true, false]), &one), "");
        assert!(start(rows(8, [false; 3]), &one).contains("at least one row"));
        assert!(start(rows(8, [true, false, true]), &one).contains("no gap"));
        assert!(start(rows(9, [true; 3]), &one).contains("[1, 3, 9], expected [1, 3, 8]"));
        assert!(start(ConditionRows::Classes(vec![None]), &one).contains("takes embeddings of a text"));
        let deep = Pass::CONDITIONAL.mixed(Mixing::new(&[3], &[2.0; 2]).unwrap());
        let deep = plan(|_| deep.clone().into(), &schedule);
        assert!(start(rows(8, [true; 3]), &deep).contains("layers: 3 is beyond the model's 2 blocks"));

        let conditions = BatchConditions::new(1, [(PassCondition::Given, rows(8, [true; 3]))]).unwrap();
        let mut session = model.start(&conditions, &one).unwrap();
        let zeros = |positions| Some(Tensor::zeros([1, positions, 3], &device));
        assert!(session.step(zeros(1)).unwrap_err().to_string().contains("scale 0 starts from the text"));
        session.step(None).unwrap();
        assert!(session.step(None).unwrap_err().to_string().contains("scale 1 needs the features"));
        let error = session.step(zeros(5)).unwrap_err().to_string();
        assert!(error.contains("[1, 5, 3], expected [1, 4, 3]"), "{error}");
        session.step(zeros(4)).unwrap();
        assert!(session.step(zeros(4)).unwrap_err().to_string().contains("all 2 scales are done"));
    }

    #[test]
    fn other_scales_share_the_weights() {
        let reference = reference("base/reference_b.safetensors");
        let square = ScaleSchedule::square(&[1, 2, 4]).unwrap();
        let model = model("base", &square, &Device::flex());
        let other = model.on_scales(&schedule(&reference)).unwrap();
        let conditions = conditions(&model, &reference);
        let plan = plan(|_| Passes::CONDITIONAL, other.schedule());
        let first = other.start(&conditions, &plan).unwrap().step(None).unwrap();
        let directly = super::super::fixtures::model("base", other.schedule(), &Device::flex());
        let same = directly.start(&conditions, &plan).unwrap().step(None).unwrap();
        let values = |logits: &PassLogits| logits.conditional().unwrap().values().to_data();
        assert_eq!(values(&first), values(&same));
        let many = ScaleSchedule::square(&[1; 16]).unwrap();
        assert!(model.on_scales(&many).err().unwrap().to_string().contains("level embeddings for 15"));
        assert_eq!(given(&reference).batch(), 1);
    }
}
