use burn::tensor::{Tensor, TensorData};
use nextscale_core::noise::{Noise, Place, Stream, parts_of};
use nextscale_core::{
    Alphabet, BatchConditions, ConditionRows, Error, Pass, PassCondition, PassLogits, PassPlan, Result,
};
use nextscale_kernels::device::{self, Kind, Random};

use super::{
    context::Texts,
    model::{Conditioning, Hart, Start},
    rope,
};
use crate::transformer::{
    adaln::Modulation, attention::Projected, head::HeadModulation, session::StackSession, stack::Stack,
    streams::Streams,
};
use crate::{Constants, Refinement, Session};

/// What a session has for all scales.
pub(crate) struct Prepared {
    /// The embeddings of the scales' numbers, `[1, 1, width]` each.
    levels: Vec<Tensor<3>>,
    /// The turns of the texts' rows.
    texts: Tensor<4>,
    images: rope::OfImages,
}

impl Stack for Hart {
    type Start = Start;
    type Block = Option<Modulation>;
    type Prepared = Prepared;
    /// `[rows, positions, 2, head width]`.
    type Turns = Tensor<4>;

    const START: &'static str = "text";

    fn depth(&self) -> usize {
        self.config.depth
    }

    fn condition(&self, rows: &[&ConditionRows]) -> Result<Conditioning> {
        Ok(self.condition_on(Texts::of(rows.iter().copied(), &self.config)?))
    }

    fn prepare(&self, start: &Start) -> Prepared {
        let Self { config, embedding, .. } = self;
        let (width, device) = (config.head_width(), embedding.device());
        Prepared {
            levels: embedding.levels(config.schedule.len()),
            texts: rope::of_texts(&start.texts.positions(), width, &device),
            images: rope::OfImages::new(&start.ends, &config.schedule, width, &device),
        }
    }

    fn first(&self, start: &Start, prepared: &Prepared) -> Tensor<3> {
        start.texts.rows.clone() + prepared.levels[0].clone()
    }

    fn later(&self, features: Tensor<3>, k: usize, prepared: &Prepared) -> Tensor<3> {
        self.embedding.words(features) + prepared.levels[k].clone()
    }

    fn turns(&self, start: &Start, prepared: &Prepared, k: usize) -> Tensor<4> {
        match k {
            0 => prepared.texts.clone(),
            k => prepared.images.at(&start.ends, k),
        }
    }

    fn turns_of(turns: &Tensor<4>, all: &Streams, some: &Streams) -> Tensor<4> {
        all.take(turns.clone(), some)
    }

    fn turns_of_first(turns: &Tensor<4>) -> Tensor<4> {
        turns.clone().slice_dim(1, 0..1)
    }

    fn same_for_all_rows(block: &Option<Modulation>) -> bool {
        block.is_none()
    }

    fn alike(&self, start: &Start) -> Vec<bool> {
        start.alike.clone()
    }

    fn turned(projected: Projected, turns: &Tensor<4>) -> Projected {
        projected.turned_by_halves(turns)
    }

    fn block(
        &self,
        i: usize,
        x: Tensor<3>,
        modulation: &Option<Modulation>,
        attend: impl FnOnce(Projected) -> Tensor<3>,
    ) -> Tensor<3> {
        self.blocks[i].forward(x, modulation.clone(), attend)
    }

    /// At scale 0 the last row, padding or not, predicts the first token.
    fn last_read(&self, k: usize) -> Option<usize> {
        (k == 0).then_some(1)
    }

    fn logits_of(&self, x: Tensor<3>, head: HeadModulation) -> Tensor<3> {
        self.head.forward(x, head)
    }
}

/// The generation of one batch: the rows of all streams are stacked, and the residual is drawn at the end.
pub(super) struct HartSession<'a> {
    model: &'a Hart,
    pub(super) stack: StackSession<'a, Hart>,
    /// The last block's output at the last scale, for the residual: `[rows, h·w, width]`.
    hidden: Option<Tensor<3>>,
}

impl<'a> HartSession<'a> {
    pub(super) fn start(model: &'a Hart, conditions: &BatchConditions, plan: &PassPlan) -> Result<Self> {
        Ok(Self::of(model, StackSession::start(model, conditions, plan)?))
    }

    pub(super) fn start_with(
        model: &'a Hart,
        constants: &Constants,
        conditions: &BatchConditions,
        plan: &PassPlan,
    ) -> Result<Self> {
        Ok(Self::of(model, StackSession::start_with(model, constants, conditions, plan)?))
    }

    fn of(model: &'a Hart, stack: StackSession<'a, Hart>) -> Self {
        Self { model, stack, hidden: None }
    }

    /// The next scale; `watch` receives the input of the first block, then the output of each block.
    fn run(&mut self, input: Option<Tensor<3>>, mut watch: impl FnMut(&Tensor<3>)) -> Result<PassLogits> {
        let last = self.stack.scale + 1 == self.model.config.schedule.len();
        let keeps = last && self.model.residual.is_some();
        let hidden = &mut self.hidden;
        self.stack.run(input, |x| {
            watch(x);
            if keeps {
                *hidden = Some(x.clone());
            }
        })
    }

    /// The hidden states of the conditional side at the last scale with the embedded codes, and those of the
    /// unconditional pass if it runs and guides: `[batch, h·w, width]`.
    fn conditions_of_residual(
        &mut self,
        codes: &Tensor<3>,
    ) -> Result<Option<(Tensor<3>, Option<Tensor<3>>)>> {
        let Some(residual) = &self.model.residual else { return Ok(None) };
        let hidden = self.hidden.take().ok_or_else(|| {
            Error::Unsupported("the residual of the last scale needs its hidden states: step first".into())
        })?;
        let words = self.model.embedding.words(codes.clone());
        if words.dims()[..2] != [self.stack.batch, hidden.dims()[1]] {
            let expected = format!("[{}, {}, channels]", self.stack.batch, hidden.dims()[1]);
            return Err(Error::shape("the codes of the last scale", expected, &codes.dims()));
        }
        let z = |range| residual.normed(hidden.clone().slice_dim(0, range) + words.clone());
        let given = self.stack.running.rows_of(&Pass::CONDITIONAL);
        let given =
            given.or_else(|| self.stack.running.rows_on(PassCondition::Given)).unwrap_or(0..self.stack.batch);
        let negative = self.stack.running.rows_of(&Pass::UNCONDITIONAL).filter(|_| residual.cfg() != 0.0);
        Ok(Some((z(given), negative.map(z))))
    }
}

impl Session for HartSession<'_> {
    fn step(&mut self, input: Option<Tensor<3>>) -> Result<PassLogits> {
        self.run(input, |_| {})
    }

    fn refine(&mut self, refinement: &Refinement<'_>) -> Result<Option<Tensor<4>>> {
        let Refinement { scale, images, embedding, tokens, noise, .. } = *refinement;
        if scale + 1 != self.model.config.schedule.len() {
            return Ok(None);
        }
        let [batch, channels, height, width] = tokens.dims();
        let codes = tokens.clone().reshape([batch, channels, height * width]).swap_dims(1, 2);
        let Some((given, negative)) = self.conditions_of_residual(&codes)? else { return Ok(None) };
        let Some(residual) = &self.model.residual else { return Ok(None) };
        let alphabet = Alphabet::codes(self.model.config.vocabulary);
        let place = Place { scale, images, positions: height * width, alphabet };
        let count = residual.draws() * channels;
        let drawn = normal_on_device(&codes, noise, &place, count).unwrap_or_else(|| {
            let drawn = TensorData::new(noise.gaussian(&place, count), [batch, height * width, count]);
            Tensor::from_data(drawn, &codes.device())
        });
        let found = residual.sample(given, negative, &drawn);
        Ok(Some(embedding.clone() + found.swap_dims(1, 2).reshape([batch, channels, height, width])))
    }
}

/// The numbers of [`Noise::gaussian`], computed on the device of `like`. `None` if it has no kernel for it, or the
/// source is not counter-based.
fn normal_on_device(
    like: &Tensor<3>,
    noise: &dyn Noise,
    place: &Place<'_>,
    channels: usize,
) -> Option<Tensor<3>> {
    let counter = noise.counter().filter(|_| device::has_kernels(like))?;
    let images = TensorData::new(parts_of(place.images), [place.images.len(), 3]);
    let random = Random {
        kind: Kind::Normal,
        seed: counter.seed(),
        stream: Stream::Gaussian as u16,
        scale: place.scale as u16,
        positions: place.positions,
        channels,
    };
    device::random(&Tensor::from_data(images, &like.device()), random)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Bool, Device};
    use nextscale_core::noise::Choice;
    use nextscale_core::{ConditionRows, Draw, Passes, ScaleSchedule};

    use super::*;
    use crate::Backbone;
    use crate::hart::fixtures::{GROUPS, assert_close, conditions, input, list, model, reference, schedule};
    use crate::transformer::attention::last_positions;

    const LOGITS: f32 = 5e-4;
    const HIDDEN: f32 = 5e-4;

    fn both() -> PassPlan {
        PassPlan::new(vec![Passes::BOTH; 6], &schedule()).unwrap()
    }

    #[test]
    fn greedy_runs_are_upstreams_in_every_variant() {
        for group in GROUPS {
            let reference = reference(&format!("{group}/reference.safetensors"));
            let model = model(group, &Device::flex());
            let conditions = conditions(&reference);
            let context = crate::transformer::session::of_sides(&model, &conditions)
                .unwrap()
                .conditioning
                .start
                .texts
                .rows;
            assert_close(&context, &reference.tensor("context"), 1e-5, "context");
            let t = list(&reference, "cfg_t");
            let mut session = HartSession::start(&model, &conditions, &both()).unwrap();
            for (k, t) in t.into_iter().enumerate() {
                let mut seen = Vec::new();
                let logits = session.run(input(&reference, k), |x| seen.push(x.clone())).unwrap();
                if group == "main" {
                    assert_close(&seen[0], &reference.tensor(&format!("block_in.{k}")), 5e-5, "block_in");
                    for (block, x) in seen[1..].iter().enumerate() {
                        let part = format!("block_out.{k}.{block}");
                        // The last block of scale 0 gives the position that is read.
                        let recorded = last_positions(reference.tensor(&part), x.dims()[1]);
                        assert!(
                            x.dims() == recorded.dims()
                                && (k > 0 || block + 2 < seen.len() || x.dims()[1] == 1)
                        );
                        assert_close(x, &recorded, HIDDEN, &part);
                    }
                }
                let raw = |pass| logits.get(pass).unwrap().values().clone();
                let (given, null) = (raw(&Pass::CONDITIONAL), raw(&Pass::UNCONDITIONAL));
                for (logits, part) in [(&given, "logits_cond"), (&null, "logits_uncond")] {
                    let part = format!("{part}.{k}");
                    assert_close(logits, &reference.tensor(&part), LOGITS, &format!("{group} {part}"));
                }
                let guided = given * (1.0 + t) - null * t;
                let part = format!("logits_cfg.{k}");
                assert_close(&guided, &reference.tensor(&part), LOGITS * (1.0 + 2.0 * t) as f32, &part);
                let tokens: Vec<i64> = guided.argmax(2).try_into_vec_as().unwrap();
                let recorded = reference.ints::<2>(&format!("idx.{k}"));
                assert_eq!(tokens, recorded.try_into_vec_as::<i64>().unwrap(), "{group} {k}");
            }
        }
    }

    /// Recorded normal numbers.
    struct Recorded(Vec<f32>);

    impl Noise for Recorded {
        fn choice(&self, _: &Place<'_>) -> Choice {
            Choice::Uniforms(Vec::new())
        }

        fn exponential(&self, _: &Place<'_>) -> Vec<f32> {
            Vec::new()
        }

        fn gaussian(&self, place: &Place<'_>, width: usize) -> Vec<f32> {
            assert_eq!(self.0.len(), place.images.len() * place.positions * width);
            self.0.clone()
        }
    }

    #[test]
    fn the_residual_of_recorded_noise_is_upstreams() {
        for (group, run) in
            GROUPS.map(|group| (group, "reference")).into_iter().chain([("main", "reference_smooth")])
        {
            let reference = reference(&format!("{group}/{run}.safetensors"));
            let tolerance = if run == "reference" { 5e-4 } else { 5e-3 };
            let model = model(group, &Device::flex());
            let t = list(&reference, "diff.cfg")[0];
            assert!((model.config.residual.unwrap().cfg - t).abs() < 1e-6);
            let mut session = HartSession::start(&model, &conditions(&reference), &both()).unwrap();
            for k in 0..6 {
                session.step(input(&reference, k)).unwrap();
            }
            let recorded = reference.ints::<2>("idx.5");
            let codes: Tensor<4> = crate::hart::fixtures::codes(recorded.clone());
            let flat = codes.clone().reshape([2, 8, 64]).swap_dims(1, 2);
            let hidden = session.hidden.clone();
            let (given, negative) = session.conditions_of_residual(&flat).unwrap().unwrap();
            let z = Tensor::cat(vec![given, negative.unwrap()], 0).reshape([256, 48]);
            assert_close(&z, &reference.tensor("diff.z"), tolerance, "diff.z");
            session.hidden = hidden;

            let draw = Draw::tokens(recorded.unsqueeze_dim(2));
            let noise = crate::hart::fixtures::noise(&reference);
            let refinement = Refinement {
                scale: 5,
                images: &[0, 1],
                draw: &draw,
                embedding: &codes,
                tokens: &codes,
                noise: &Recorded(noise.into_data().iter::<f32>().collect()),
            };
            let refined = session.refine(&refinement).unwrap().unwrap();
            let found = (refined - codes.clone()).reshape([2, 8, 64]).swap_dims(1, 2).reshape([128, 8]);
            assert_close(&found, &reference.tensor("diff.out"), tolerance, &format!("{group} {run}"));

            // Once a scale, and only at the last.
            assert!(session.refine(&Refinement { scale: 4, ..refinement }).unwrap().is_none());
            let error = session.refine(&refinement).unwrap_err().to_string();
            assert!(error.contains("step first"), "{error}");
        }
    }

    #[test]
    fn a_model_without_its_head_or_without_the_unconditional_side_does_without() {
        let reference = reference("main/reference.safetensors");
        let model = model("main", &Device::flex());
        let conditions = conditions(&reference);
        let codes: Tensor<4> = crate::hart::fixtures::codes(reference.ints::<2>("idx.5"));
        let draw = Draw::tokens(reference.ints::<2>("idx.5").unsqueeze_dim(2));
        let noise = Recorded(crate::hart::fixtures::noise(&reference).into_data().iter::<f32>().collect());
        let refined = |model: &Hart, passes: Passes| {
            let plan = PassPlan::new(vec![passes; 6], &schedule()).unwrap();
            let mut session = model.start(&conditions, &plan).unwrap();
            for k in 0..6 {
                session.step(input(&reference, k)).unwrap();
            }
            let (embedding, tokens) = (&codes, &codes);
            let images = &[0, 1];
            session
                .refine(&Refinement { scale: 5, images, draw: &draw, embedding, tokens, noise: &noise })
                .unwrap()
        };
        let residual = |cfg| {
            let mut changed = model.clone();
            changed.config.residual.as_mut().unwrap().cfg = cfg;
            let config = changed.config.clone();
            crate::hart::Hart::load(
                &crate::hart::fixtures::opened("main/llm/model.safetensors"),
                &config,
                &Device::flex(),
            )
            .unwrap()
        };
        let host = |x: Option<Tensor<4>>| x.unwrap().into_data().iter::<f32>().collect::<Vec<_>>();
        let unguided = host(refined(&residual(0.0), Passes::BOTH));
        assert_eq!(host(refined(&model, Passes::CONDITIONAL)), unguided);
        assert_ne!(host(refined(&model, Passes::BOTH)), unguided);
        let mut without = model.clone();
        without.residual = None;
        assert!(refined(&without, Passes::BOTH).is_none());
    }

    #[test]
    fn misuse_is_named() {
        let model = model("main", &Device::flex());
        let one = PassPlan::new(vec![Passes::CONDITIONAL; 6], &schedule()).unwrap();
        let device = Device::flex();
        let start = |rows: ConditionRows| {
            let conditions = BatchConditions::new(rows.batch(), [(PassCondition::Given, rows)]).unwrap();
            model.start(&conditions, &one).err().map(|error| error.to_string()).unwrap_or_default()
        };
        let rows = |count: usize, width: usize, own: usize| ConditionRows::Embeddings {
            values: Tensor::ones([1, count, width], &device),
            mask: Tensor::<2, Bool>::from_data(
                TensorData::new((0..count).map(|i| i < own).collect::<Vec<_>>(), [1, count]),
                &device,
            ),
        };
        assert_eq!(start(rows(7, 40, 3)), "");
        assert!(start(rows(6, 40, 3)).contains("[1, 6, 40], expected [1, 7, 40]"));
        assert!(start(rows(7, 41, 3)).contains("[1, 7, 41], expected [1, 7, 40]"));
        assert!(start(rows(7, 40, 0)).contains("mask has no row"));
        assert!(start(ConditionRows::Classes(vec![None])).contains("takes embeddings of a text"));

        let conditions = BatchConditions::new(1, [(PassCondition::Given, rows(7, 40, 2))]).unwrap();
        let mut session = model.start(&conditions, &one).unwrap();
        let zeros = |positions| Some(Tensor::zeros([1, positions, 8], &device));
        assert!(session.step(zeros(1)).unwrap_err().to_string().contains("scale 0 starts from the text"));
        session.step(None).unwrap();
        assert!(session.step(None).unwrap_err().to_string().contains("scale 1 needs the features"));
        let error = session.step(zeros(5)).unwrap_err().to_string();
        assert!(error.contains("[1, 5, 8], expected [1, 4, 8]"), "{error}");
    }

    #[test]
    fn other_scales_share_the_weights() {
        let reference = reference("main/reference.safetensors");
        let model = model("main", &Device::flex());
        let few = ScaleSchedule::square(&[1, 3]).unwrap();
        let other = model.on_scales(&few).unwrap();
        let conditions = conditions(&reference);
        let logits = |model: &dyn Backbone, scales: usize| {
            let plan = PassPlan::new(vec![Passes::CONDITIONAL; scales], model.schedule()).unwrap();
            let logits = model.start(&conditions, &plan).unwrap().step(None).unwrap();
            logits.conditional().unwrap().values().to_data()
        };
        assert_eq!(logits(&*other, 2), logits(&model, 6));
        let table = crate::hart::fixtures::model("ada_lin", &Device::flex());
        let many = ScaleSchedule::square(&[1; 7]).unwrap();
        assert!(table.on_scales(&many).err().unwrap().to_string().contains("level embeddings for 6"));
    }
}
