//! The loop on a model unlike VAR: bits, texts with negatives, non-square scales, no cache, corrupted
//! prefixes, a second model, and a continuous part added to the last draw.

mod toy;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use nextscale_core::noise::Counter;
use nextscale_core::{
    Alphabet, Condition, Corruption, LogitMap, Pass, PassModel, Passes, Prefix, Replacement, Result,
    ScaleSchedule,
};
use nextscale_generate::edit::{Edit, Keep, Region};
use nextscale_generate::sampler::TopKTopP;
use nextscale_generate::{Batch, Generator, Guide, Model, Stop};
use nextscale_guidance::{
    Cfg, CfgInside, Conditional, Guidance, PerturbedAttention, SkipLayers, Ssg, Step, Strength,
};
use nextscale_priors::Dse;

use toy::{Echo, Letters, model, wide};

/// l + λ·(l − l of another pass), from scale 1 on.
#[derive(Debug)]
struct Away {
    from: Pass,
    weight: f64,
}

impl Guidance for Away {
    fn guide(&self, step: &Step<'_>) -> Result<LogitMap> {
        let logits = step.conditional()?;
        if step.index() == 0 {
            return Ok(logits.clone());
        }
        let (l, other) = (logits.values().clone(), step.logits(&self.from)?.values().clone());
        logits.with_values(l.clone() + (l - other) * self.weight)
    }

    fn passes(&self, k: usize, _: &ScaleSchedule) -> Passes {
        if k == 0 { Passes::CONDITIONAL } else { Passes::CONDITIONAL.union(self.from.clone().into()) }
    }

    fn lookback(&self) -> usize {
        0
    }
}

fn corrupted(share: f64) -> Pass {
    Pass::CONDITIONAL.on(Prefix::Corrupted(Corruption::new(share, Replacement::OtherPosition).unwrap()))
}

fn prompts() -> Vec<Condition> {
    let prompt = |text: &str| Condition::Prompt(text.into());
    vec![prompt("a red truck"), prompt("sea").avoiding(prompt("blur")), prompt("a"), Condition::Null]
}

/// The pixels of some of the four images, made `at_once` at a time.
fn draw(generator: &Generator, at_once: usize) -> Vec<f32> {
    let (numbers, conditions) = ([0u64, 1, 2, 3], prompts());
    let mut pixels = Vec::new();
    for (images, conditions) in numbers.chunks(at_once).zip(conditions.chunks(at_once)) {
        let batch = Batch { images, conditions };
        let made = generator.batch(batch, &mut (), &Stop::new()).unwrap();
        pixels.extend(made.into_data().try_to_vec::<f32>().unwrap());
    }
    pixels
}

fn generator(model: Model, rule: impl Guidance) -> Generator {
    Generator::new(model, Arc::new(rule), Arc::new(TopKTopP::default()), Arc::new(Counter::new(5))).unwrap()
}

#[test]
fn an_image_is_the_same_in_every_batch_under_every_pass() {
    let ssg = Ssg::new(Arc::new(Cfg::scale(2.0).unwrap()), Arc::new(Dse::default()), 0.5).unwrap();
    let rules: [Arc<dyn Guidance>; 3] =
        [Arc::new(ssg), Arc::new(Away { from: corrupted(0.5), weight: 2.0 }), Arc::new(Conditional)];
    for rule in rules {
        let of = |cached| {
            let echo = Echo { refines: 0.3, ..Echo::new(cached) };
            let sampler = Arc::new(TopKTopP::default());
            let noise = Arc::new(Counter::new(5));
            Generator::new(model(echo), Arc::clone(&rule), sampler, noise).unwrap()
        };
        let (cached, uncached) = (of(true), of(false));
        let together = draw(&cached, 4);
        for at_once in [1, 2, 3] {
            assert!(draw(&cached, at_once) == together, "{rule:?}: {at_once} at once");
        }
        // A second run through the same generator reuses the history that the first returned.
        assert!(draw(&cached, 4) == together && draw(&uncached, 4) == together, "{rule:?}");
    }
}

#[test]
fn a_backbone_without_a_cache_runs_a_pass_where_it_is_read() {
    let runs = |cached| {
        let echo = Echo::new(cached);
        let runs = Arc::clone(&echo.runs);
        draw(&generator(model(echo), Cfg::scale(Strength::during(2, 2, 3.0)).unwrap()), 4);
        runs.load(Ordering::Relaxed)
    };
    // Four scales of the conditional pass, and the unconditional one either up to scale 2 or only there.
    assert_eq!((runs(true), runs(false)), (4 + 3, 4 + 1));
}

#[test]
fn a_backbone_that_cannot_mix_hidden_states_is_told_before_a_batch() {
    let rule = Arc::new(CfgInside::new(&[1], 3.0).unwrap());
    let (sampler, noise) = (Arc::new(TopKTopP::default()), Arc::new(Counter::new(5)));
    let refused = Generator::new(model(Echo::new(true)), rule, sampler, noise).err().unwrap().to_string();
    assert!(refused.contains("guide its logits instead"), "{refused}");
}

#[test]
fn a_backbone_that_cannot_leave_out_blocks_is_told_before_a_batch() {
    let conditional: Arc<dyn Guidance> = Arc::new(Conditional);
    let rules: [Arc<dyn Guidance>; 2] = [
        Arc::new(SkipLayers::new(Arc::clone(&conditional), &[1], 1.0).unwrap()),
        Arc::new(PerturbedAttention::new(conditional, &[1], 1.0).unwrap()),
    ];
    for rule in rules {
        let (sampler, noise) = (Arc::new(TopKTopP::default()), Arc::new(Counter::new(5)));
        let refused = Generator::new(model(Echo::new(true)), rule, sampler, noise).err().unwrap().to_string();
        assert!(refused.contains("cannot leave out blocks or their attention"), "{refused}");
    }
}

#[test]
fn a_corrupted_prefix_is_another_session() {
    let with =
        |share| draw(&generator(model(Echo::new(true)), Away { from: corrupted(share), weight: 3.0 }), 4);
    let plain = draw(&generator(model(Echo::new(true)), Conditional), 4);
    assert!(with(0.0) == plain, "nothing is corrupted");
    assert!(with(1.0) != plain && with(0.5) != plain && with(0.5) != with(1.0));
}

#[test]
fn a_second_model_guides_under_its_name() {
    let weak = || Pass::CONDITIONAL.of(PassModel::Named("weak".into()));
    let guided = |weight: f32| {
        let guide = Echo { weight, ..Echo::new(false) };
        let guide = Guide { backbone: Arc::new(guide), conditioner: Arc::new(Letters) };
        let model = model(Echo::new(true)).with_guide("weak", guide).unwrap();
        draw(&generator(model, Away { from: weak(), weight: 2.0 }), 4)
    };
    let plain = draw(&generator(model(Echo::new(true)), Conditional), 4);
    assert!(guided(1.0) == plain, "guided by itself");
    assert!(guided(0.5) != plain);
    let away = Arc::new(Away { from: weak(), weight: 2.0 });
    let noise = Arc::new(Counter::new(5));
    let missing = Generator::new(model(Echo::new(true)), away, Arc::new(TopKTopP::default()), noise);
    let error = missing.err().unwrap().to_string();
    assert!(error.contains("`weak`") && error.contains("there is none"), "{error}");
    let short = Echo { schedule: wide(), ..Echo::new(true) };
    let guide = Guide { backbone: Arc::new(short), conditioner: Arc::new(Letters) };
    let error = model(Echo::new(true)).with_guide("weak", guide).err().unwrap().to_string();
    assert!(error.contains("the model `weak` do not fit"), "{error}");
}

#[test]
fn a_negative_is_what_guidance_leads_away_from() {
    let image = |condition: Condition| {
        let generator = generator(model(Echo::new(true)), Cfg::scale(2.0).unwrap());
        let batch = Batch { images: &[7], conditions: &[condition] };
        let made = generator.batch(batch, &mut (), &Stop::new()).unwrap();
        made.into_data().try_to_vec::<f32>().unwrap()
    };
    let prompt = |text: &str| Condition::Prompt(text.into());
    let plain = image(prompt("sea"));
    assert_eq!(image(prompt("sea").avoiding(Condition::Null)), plain);
    assert_ne!(image(prompt("sea").avoiding(prompt("blur"))), plain);
    let refused = generator(model(Echo::new(true)), Conditional).batch(
        Batch { images: &[7], conditions: &[Condition::Class(1)] },
        &mut (),
        &Stop::new(),
    );
    assert!(refused.unwrap_err().to_string().contains("not class 1"));
}

#[test]
fn a_continuous_part_is_added_to_the_last_draw_only() {
    let with = |refines| draw(&generator(model(Echo { refines, ..Echo::new(true) }), Conditional), 4);
    let (plain, little) = (with(0.0), with(0.01));
    let far = plain.iter().zip(&little).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    // A quarter of the embedding's share of the canvas, with noise of standard deviation 0.01.
    assert!(far > 0.0 && far < 0.01 / 4.0, "{far}");
}

#[test]
fn a_run_chooses_among_the_scales_that_a_model_has() {
    let wide_model = model(Echo::new(true)).on_scales(&wide()).unwrap();
    assert_eq!(wide_model.schedule(), &wide());
    let generator = generator(wide_model, Cfg::scale(1.0).unwrap());
    let batch = Batch { images: &[0], conditions: &[Condition::Null] };
    assert_eq!(generator.batch(batch, &mut (), &Stop::new()).unwrap().dims(), [1, 3, 6, 14]);
    let other = ScaleSchedule::square(&[1, 2]).unwrap();
    let error = model(Echo::new(true)).on_scales(&other).err().unwrap().to_string();
    assert!(error.contains("scales: 1 1×3"), "{error}");
}

#[test]
fn editing_keeps_bits_where_it_is_told() {
    let model = model(Echo::new(true));
    let tokenizer = Arc::clone(&model.tokenizer);
    let dark = tokenizer.decode(&tokenizer.blank(1)).unwrap();
    let region = Region { rows: (0.0, 1.0), columns: (0.0, 0.5) };
    let edit = Edit::of_images(&*tokenizer, dark, &[region], Keep::Inside).unwrap();
    let pixels = draw(&generator(model, Conditional).with_edit(edit), 4);
    // The scale of one position is kept whole, and every finer one on the left.
    assert!(pixels.chunks(10).all(|row| row[..4].iter().all(|value| *value == 0.0)));
    assert!(pixels.iter().any(|value| *value > 0.0));
}

#[test]
fn what_does_not_fit_is_named() {
    let bits = Echo { schedule: wide(), ..Echo::new(true) };
    let error = Model::new(Arc::new(toy::Shares::new()), Arc::new(bits), Arc::new(Letters))
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("scales 1 1×3 2×4 5 and 1×2 2×5 3×7"), "{error}");
    assert_eq!(Alphabet::bits(toy::BITS).channels(), 6);
}
