//! Passes run exactly where the plan says, counted by a backbone that does nothing else.

use std::sync::{Arc, Mutex};

use burn::tensor::{Device, Int, Tensor, TensorData};
use nextscale_backbones::{Backbone, ClassConditioner, Session};
use nextscale_core::noise::Counter;
use nextscale_core::{
    Alphabet, BatchConditions, Canvas, Condition, Draw, LogitMap, Pass, PassCondition, PassLogits, PassPlan,
    Result, ScaleSchedule,
};
use nextscale_generate::observe::{Observer, Seen};
use nextscale_generate::sampler::Argmax;
use nextscale_guidance::{Cfg, Conditional, Guidance, Ssg, Strength, Sum};
use nextscale_pipeline::{Batch, Generator, Model, Stop};
use nextscale_priors::Nearest;
use nextscale_tokenizers::Tokenizer;

const CLASSES: usize = 5;
const BOTH: [PassCondition; 2] = [PassCondition::Given, PassCondition::Negative];

/// What ran at every scale, and what was requested.
type Log = Arc<Mutex<Vec<(Vec<Pass>, Vec<Pass>)>>>;

struct Counting {
    schedule: ScaleSchedule,
    log: Log,
    /// The conditions that it runs under.
    runs: Vec<PassCondition>,
    /// A value put into image 1's logits at scale 2.
    poison: f32,
}

struct CountingSession<'a> {
    backbone: &'a Counting,
    plan: PassPlan,
    images: usize,
    k: usize,
}

impl Backbone for Counting {
    fn schedule(&self) -> &ScaleSchedule {
        &self.schedule
    }

    fn alphabet(&self) -> Alphabet {
        Alphabet::codes(CLASSES)
    }

    fn input_channels(&self) -> usize {
        1
    }

    fn runs(&self, condition: PassCondition) -> bool {
        self.runs.contains(&condition)
    }

    fn device(&self) -> Device {
        Device::flex()
    }

    fn start(&self, conditions: &BatchConditions, plan: &PassPlan) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(CountingSession { backbone: self, plan: plan.clone(), images: conditions.batch(), k: 0 }))
    }
}

impl Session for CountingSession<'_> {
    fn step(&mut self, input: Option<Tensor<3>>) -> Result<PassLogits> {
        let k = self.k;
        self.k += 1;
        assert_eq!(input.is_some(), k > 0);
        let (run, wanted) = (self.plan.run(k), self.plan.wanted(k));
        self.backbone
            .log
            .lock()
            .unwrap()
            .push((run.iter().cloned().collect(), wanted.iter().cloned().collect()));
        let grid = self.backbone.schedule.grid(k);
        let logits = |pass: &Pass| {
            let count = self.images * grid.positions() * CLASSES;
            let mut values: Vec<f32> =
                (0..count).map(|i| ((i * 7 + k * 3 + pass.condition as usize) % 11) as f32).collect();
            if k == 2 && self.images > 1 {
                values[grid.positions() * CLASSES] += self.backbone.poison;
            }
            let values = TensorData::new(values, [self.images, grid.positions(), CLASSES]);
            LogitMap::new(Tensor::from_data(values, &Device::flex()), grid, self.backbone.alphabet())
        };
        wanted.iter().map(|pass| Ok((pass.clone(), logits(pass)?))).collect()
    }
}

/// Adds the mean token; enough of a tokenizer for the loop.
struct Plain(ScaleSchedule);

impl Tokenizer for Plain {
    fn schedule(&self) -> &ScaleSchedule {
        &self.0
    }

    fn alphabet(&self) -> Alphabet {
        Alphabet::codes(CLASSES)
    }

    fn input_channels(&self) -> usize {
        1
    }

    fn image_size(&self) -> (usize, usize) {
        (self.0.last().height, self.0.last().width)
    }

    fn device(&self) -> Device {
        Device::flex()
    }

    fn blank(&self, batch: usize) -> Canvas {
        let (height, width) = self.image_size();
        Canvas { features: Tensor::zeros([batch, 1, height, width], &Device::flex()) }
    }

    fn embed(&self, draw: &Draw, k: usize) -> Result<Tensor<4>> {
        let [batch, ..] = draw.tokens.dims();
        let grid = self.0.grid(k);
        Ok(draw.tokens.clone().float().reshape([batch, 1, grid.height, grid.width]))
    }

    fn accumulate(&self, canvas: Canvas, embedding: Tensor<4>, _: usize) -> Result<Canvas> {
        let mean = embedding.mean_dim(2).mean_dim(3);
        Ok(Canvas { features: canvas.features + mean })
    }

    fn next_input(&self, canvas: &Canvas, k: usize) -> Result<Tensor<3>> {
        let [batch, ..] = canvas.features.dims();
        Ok(Tensor::zeros([batch, self.0.grid(k).positions(), 1], &Device::flex()))
    }

    fn decode(&self, canvas: &Canvas) -> Result<Tensor<4>> {
        Ok((canvas.features.clone() / 100.0).repeat_dim(1, 3))
    }

    fn encode(&self, _: Tensor<4>) -> Result<Vec<Tensor<3, Int>>> {
        Ok(Vec::new())
    }
}

fn generator(
    rule: Arc<dyn Guidance>,
    runs: &[PassCondition],
    poison: f32,
) -> nextscale_generate::Result<(Generator, Log)> {
    // Not square, and with ratios that are not integers.
    let grids = [(1, 1), (1, 2), (2, 3), (3, 5)].map(|(h, w)| nextscale_core::Grid::new(h, w));
    let schedule = ScaleSchedule::new(grids.to_vec()).unwrap();
    let log = Log::default();
    let backbone =
        Counting { schedule: schedule.clone(), log: Arc::clone(&log), runs: runs.to_vec(), poison };
    let conditioner = Arc::new(ClassConditioner { classes: 10 });
    let model = Model::new(Arc::new(Plain(schedule)), Arc::new(backbone), conditioner)?;
    Ok((Generator::new(model, rule, Arc::new(Argmax), Arc::new(Counter::new(0)))?, log))
}

/// The passes that ran at every scale: `c`, `u` or `cu`, in capitals where the logits were requested.
fn passes(rule: impl Guidance + 'static) -> Vec<String> {
    let (generator, log) = generator(Arc::new(rule), &BOTH, 0.0).unwrap();
    let conditions = [Condition::Class(1), Condition::Null];
    let batch = Batch { images: &[0, 1], conditions: &conditions };
    let images = generator.batch(batch, &mut (), &Stop::new()).unwrap();
    assert_eq!(images.dims(), [2, 3, 3, 5]);
    let letter = |pass: &Pass, wanted: &[Pass]| {
        let letter = if *pass == Pass::CONDITIONAL { "c" } else { "u" };
        if wanted.contains(pass) { letter.to_uppercase() } else { letter.into() }
    };
    log.lock()
        .unwrap()
        .iter()
        .map(|(run, wanted)| run.iter().map(|pass| letter(pass, wanted)).collect())
        .collect()
}

fn cfg(strength: impl Into<Strength>) -> Arc<dyn Guidance> {
    Arc::new(Cfg::scale(strength).unwrap())
}

fn ssg(base: Arc<dyn Guidance>, beta: impl Into<Strength>) -> Ssg {
    Ssg::new(base, Arc::new(Nearest), beta).unwrap()
}

#[test]
fn ssg_alone_never_runs_the_unconditional_pass() {
    assert_eq!(passes(Conditional), ["C", "C", "C", "C"]);
    assert_eq!(passes(ssg(Arc::new(Conditional), 0.5)), ["C", "C", "C", "C"]);
}

#[test]
fn cfg_runs_both_throughout_and_skips_the_head_where_it_is_off() {
    assert_eq!(passes(Cfg::scale(1.5).unwrap()), ["CU", "CU", "CU", "CU"]);
    // VAR's ramp is 0 at scale 0: the pass runs only for its cache.
    assert_eq!(passes(Cfg::scale(Strength::Ramp(1.5)).unwrap()), ["Cu", "CU", "CU", "CU"]);
    assert_eq!(passes(Cfg::scale(0.0).unwrap()), ["C", "C", "C", "C"]);
}

#[test]
fn a_pass_stops_after_the_last_scale_that_needs_it() {
    let during = Cfg::scale(Strength::during(1, 2, 2.0)).unwrap();
    assert_eq!(passes(during), ["Cu", "CU", "CU", "C"]);
    let nested = ssg(cfg(Strength::during(1, 1, 2.0)), 0.5);
    assert_eq!(passes(nested), ["Cu", "CU", "C", "C"]);
    let sum = Sum::new(
        Arc::new(Conditional),
        vec![cfg(Strength::during(2, 2, 1.0)), Arc::new(ssg(Arc::new(Conditional), 1.0))],
    );
    assert_eq!(passes(sum), ["Cu", "Cu", "CU", "C"]);
}

#[test]
fn a_backbone_without_the_pass_is_refused_before_anything_runs() {
    let error = generator(cfg(1.0), &[PassCondition::Given], 0.0).err().unwrap().to_string();
    assert!(error.contains("the unconditional pass"), "{error}");
}

#[test]
fn logits_that_are_not_finite_name_scale_and_image() {
    for poison in [f32::NAN, f32::INFINITY] {
        let (generator, _) = generator(Arc::new(Conditional), &BOTH, poison).unwrap();
        let conditions = [Condition::Null, Condition::Null];
        let batch = Batch { images: &[40, 41], conditions: &conditions };
        let error = generator.batch(batch, &mut (), &Stop::new()).unwrap_err().to_string();
        assert!(error.contains("scale 2 of image 41"), "{error}");
    }
}

#[test]
fn a_stop_is_heeded_at_the_next_scale() {
    struct StopsAt(usize, Stop, usize);
    impl Observer for StopsAt {
        fn scale(&mut self, seen: &Seen<'_>) -> nextscale_generate::Result<()> {
            self.2 += 1;
            if seen.scale == self.0 {
                self.1.request();
            }
            Ok(())
        }
    }
    let (generator, log) = generator(Arc::new(Conditional), &BOTH, 0.0).unwrap();
    let stop = Stop::new();
    let mut observer = StopsAt(1, stop.clone(), 0);
    let batch = Batch { images: &[0], conditions: &[Condition::Null] };
    let error = generator.batch(batch, &mut observer, &stop).unwrap_err();
    assert!(matches!(error, nextscale_generate::Error::Stopped));
    assert_eq!((observer.2, log.lock().unwrap().len()), (2, 2));
}
