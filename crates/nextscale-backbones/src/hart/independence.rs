//! Tests that an image's logits and residual are the same, bit for bit, whatever runs beside it.

use burn::tensor::{Device, Tensor, TensorData};
use nextscale_core::noise::Counter;
use nextscale_core::{Condition, Draw, Dtype, Mixing, Pass, PassPlan, Passes, Perturbation, ScaleSchedule};

use super::session::HartSession;
use super::{Hart, HartConfig, Initialisation, Levels, Modulated, Pooling, ResidualConfig};
use crate::{Backbone, PaddedText, PaddedTextConditioner, Refinement, Session, prepare};

/// The logits of an image at each scale, flattened, `None` where they were not requested; at the end the
/// refined embedding.
type Image = Vec<Option<Vec<f32>>>;

fn numbers(count: usize, salt: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * (7 + salt) + 31 * salt) as f32 * 0.618).sin()).collect()
}

/// Prompts of different lengths with padding on either side.
fn conditioner(model: &Hart) -> PaddedTextConditioner {
    let HartConfig { context, text_width: width, .. } = *model.config();
    let prompts = [3, 6, 3, 1, 5].into_iter().enumerate().map(|(i, length)| {
        let values = TensorData::new(numbers(context * width, i), [context, width]);
        let values = Tensor::from_data(values, &model.device());
        let mask = (0..context).map(|row| if i == 2 { row + length >= context } else { row < length });
        (format!("prompt {i}"), PaddedText { values, mask: mask.collect() })
    });
    PaddedTextConditioner::new([context, width], prompts, &model.device()).unwrap()
}

fn prompt(i: usize) -> Condition {
    let prompt = Condition::Prompt(format!("prompt {}", i % 5));
    // Every fourth has a negative.
    if i % 4 == 3 { prompt.avoiding(Condition::Prompt("prompt 4".into())) } else { prompt }
}

/// Runs this many images; `wanted` gives the passes of each scale, its last entry those of the rest.
fn run(model: &Hart, images: usize, wanted: &[&Passes], pass: &Pass) -> Vec<Image> {
    let conditions: Vec<_> = (0..images).map(prompt).collect();
    let scales = model.schedule().len();
    let wanted = (0..scales).map(|k| wanted[k.min(wanted.len() - 1)].clone()).collect();
    let plan = PassPlan::new(wanted, model.schedule()).unwrap();
    let conditions = prepare(&conditioner(model), &conditions, &plan).unwrap();
    let mut session = model.start(&conditions, &plan).unwrap();
    let mut results = vec![Image::new(); images];
    let channels = model.config().feature_channels;
    let made = |k: usize| {
        let positions = model.schedule().grid(k).positions();
        let values = (0..images).flat_map(|image| numbers(positions * channels, image + 11 * k)).collect();
        Tensor::<3>::from_data(
            TensorData::new::<f32, _>(values, [images, positions, channels]),
            &model.device(),
        )
    };
    let row = |values: Tensor<3>, image: usize| {
        values.slice_dim(0, image..image + 1).into_data().try_to_vec().unwrap()
    };
    for k in 0..scales {
        let logits = session.step((k > 0).then(|| made(k))).unwrap();
        for (image, scales) in results.iter_mut().enumerate() {
            scales.push(logits.get(pass).map(|map| row(map.values().clone(), image)));
        }
    }
    let side = model.schedule().last();
    let embedding = made(scales - 1).swap_dims(1, 2).reshape([images, channels, side.height, side.width]);
    let numbers: Vec<u64> = (0..images as u64).collect();
    let draw = Draw::tokens(Tensor::zeros([images, side.positions(), 1], &model.device()));
    let refined = session
        .refine(&Refinement {
            scale: scales - 1,
            images: &numbers,
            draw: &draw,
            embedding: &embedding,
            tokens: &embedding,
            noise: &Counter::new(5),
        })
        .unwrap()
        .unwrap();
    let refined = refined.reshape([images, channels, side.positions()]);
    results.iter_mut().enumerate().for_each(|(image, row_)| row_.push(Some(row(refined.clone(), image))));
    results
}

fn assert_independent(model: &Hart) {
    let (one, both) = (Passes::CONDITIONAL, Passes::BOTH);
    let mixed = Pass::CONDITIONAL.mixed(Mixing::new(&[1, 2], &[3.0]).unwrap());
    let skipping = Pass::CONDITIONAL.perturbed(Perturbation::skipping(&[1]).unwrap());
    let own = Pass::CONDITIONAL.perturbed(Perturbation::identity_attention(&[2]).unwrap());
    let all: Passes = both.iter().cloned().chain([mixed.clone(), skipping.clone(), own.clone()]).collect();
    for (wanted, pass) in [
        (vec![&one], &Pass::CONDITIONAL),
        (vec![&both], &Pass::CONDITIONAL),
        (vec![&both], &Pass::UNCONDITIONAL),
        (vec![&both, &one], &Pass::CONDITIONAL),
        (vec![&all], &mixed),
        (vec![&all, &both], &skipping),
        (vec![&all], &own),
    ] {
        let many = run(model, 6, &wanted, pass);
        for images in [1, 3] {
            let few = run(model, images, &wanted, pass);
            assert!(few == many[..images], "{images} images, {pass}");
        }
        assert_ne!(many[0], many[1]);
    }
    // The conditional pass is the same beside any other.
    let logits = |images: Vec<Image>| -> Vec<Image> {
        images.into_iter().map(|image| image[..model.schedule().len()].to_vec()).collect()
    };
    let alone = logits(run(model, 2, &[&one], &Pass::CONDITIONAL));
    assert!(logits(run(model, 2, &[&all], &Pass::CONDITIONAL)) == alone);
}

fn config(modulated: Modulated) -> HartConfig {
    HartConfig {
        depth: 3,
        width: 32,
        heads: 2,
        hidden: 40,
        vocabulary: 12,
        feature_channels: 4,
        context: 6,
        text_width: 10,
        levels: Levels::Sinusoids,
        modulated,
        residual: Some(ResidualConfig { width: 24, depth: 2, steps: 3, cfg: 1.5 }),
        ..HartConfig::published(Some(&ScaleSchedule::square(&[1, 2, 3]).unwrap())).unwrap()
    }
}

const START: Initialisation = Initialisation { seed: 1, gate: 1.0 };

#[test]
fn an_image_does_not_depend_on_what_runs_beside_it() {
    for modulated in [Modulated::Nothing, Modulated::ByOffset, Modulated::ByProjection(Pooling::Mean)] {
        let config = config(modulated);
        assert_independent(&config.init_to_generate(&START, &Device::flex(), Dtype::F32).unwrap());
        if let Ok(model) = config.init_to_generate(&START, &Device::flex(), Dtype::Bf16) {
            assert_independent(&model);
        }
    }
}

#[test]
fn a_model_that_skips_blocks_is_the_model_without_them() {
    let config = HartConfig { residual: None, ..config(Modulated::ByProjection(Pooling::Max)) };
    let whole = config.init(&START, &Device::flex()).unwrap();
    let logits = |model: &Hart, passes: &Passes, pass: &Pass| {
        let plan = PassPlan::new(vec![passes.clone(); 3], model.schedule()).unwrap();
        let conditions = prepare(&conditioner(model), &[prompt(0), prompt(1)], &plan).unwrap();
        let mut session = model.start(&conditions, &plan).unwrap();
        let mut step = |k: usize| {
            let positions = model.schedule().grid(k).positions();
            let values = TensorData::new(numbers(2 * positions * 4, k), [2, positions, 4]);
            let input = (k > 0).then(|| Tensor::from_data(values, &model.device()));
            session.step(input).unwrap().get(pass).unwrap().values().to_data()
        };
        [step(0), step(1), step(2)]
    };
    for layer in 1..=config.depth {
        let mut without = whole.clone();
        without.blocks.remove(config.depth - layer);
        without.config.depth -= 1;
        let pass = Pass::CONDITIONAL.perturbed(Perturbation::skipping(&[layer]).unwrap());
        let found = logits(&whole, &Passes::BOTH.union(pass.clone().into()), &pass);
        assert!(found == logits(&without, &Passes::CONDITIONAL, &Pass::CONDITIONAL), "{layer}");
    }
}

#[test]
fn sessions_that_share_constants_are_those_that_make_their_own() {
    let model = config(Modulated::ByOffset).init(&START, &Device::flex()).unwrap();
    let plan = |passes: Passes| PassPlan::new(vec![passes; 3], model.schedule()).unwrap();
    let both = plan(Passes::BOTH);
    let conditions: Vec<_> = (0..4).map(prompt).collect();
    let conditions = prepare(&conditioner(&model), &conditions, &both).unwrap();
    let constants = model.constants(&conditions).unwrap();
    for plan in [both, plan(Passes::UNCONDITIONAL), plan(Passes::CONDITIONAL)] {
        let mut own = model.start(&conditions, &plan).unwrap();
        let mut sharing = model.start_with(&constants, &conditions, &plan).unwrap();
        for k in 0..3 {
            let features = || {
                let positions = model.schedule().grid(k).positions();
                let values = TensorData::new(numbers(4 * positions * 4, k), [4, positions, 4]);
                Tensor::from_data(values, &model.device())
            };
            let [a, b] = [&mut own, &mut sharing].map(|session| {
                let logits = session.step((k > 0).then(features)).unwrap();
                logits.iter().map(|(_, map)| map.values().to_data()).collect::<Vec<_>>()
            });
            assert_eq!(a, b, "scale {k}");
        }
    }
}

/// The null text's rows are computed once, other texts' and mixed ones each.
#[test]
fn the_null_text_has_the_bits_of_all_its_rows() {
    let mixed = Pass::CONDITIONAL.mixed(Mixing::new(&[2], &[3.0]).unwrap());
    let skipping = Pass::UNCONDITIONAL.perturbed(Perturbation::skipping(&[1]).unwrap());
    let own = Pass::CONDITIONAL.perturbed(Perturbation::identity_attention(&[2]).unwrap());
    let all: Passes = Passes::BOTH.iter().cloned().chain([mixed, skipping, own]).collect();
    for modulated in [Modulated::Nothing, Modulated::ByOffset, Modulated::ByProjection(Pooling::Max)] {
        let config = HartConfig { context: 70, width: 96, hidden: 136, ..config(modulated) };
        for dtype in [Dtype::F32, Dtype::Bf16] {
            let Ok(model) = config.init_to_generate(&START, &Device::flex(), dtype) else { continue };
            for (images, passes) in [(1, &Passes::BOTH), (3, &all), (2, &Passes::UNCONDITIONAL)] {
                let plan = PassPlan::new(vec![passes.clone(); 3], model.schedule()).unwrap();
                let conditions: Vec<_> = (0..images).map(prompt).collect();
                let conditions = prepare(&conditioner(&model), &conditions, &plan).unwrap();
                let run = |fold: bool| {
                    let mut session = HartSession::start(&model, &conditions, &plan).unwrap();
                    let alike = &mut session.stack.conditioning.start.alike;
                    assert_eq!(alike.iter().filter(|alike| **alike).count(), images * nulls(passes));
                    if !fold {
                        alike.fill(false);
                    }
                    let step = |k: usize| {
                        let positions = model.schedule().grid(k).positions();
                        let values =
                            TensorData::new(numbers(images * positions * 4, k), [images, positions, 4]);
                        let logits =
                            session.step((k > 0).then(|| Tensor::from_data(values, &model.device())));
                        logits.unwrap().iter().map(|(_, map)| map.values().to_data()).collect::<Vec<_>>()
                    };
                    (0..3).map(step).collect::<Vec<_>>()
                };
                assert!(run(true) == run(false), "{modulated:?} {dtype:?}, {images} images");
            }
        }
    }
}

/// The streams of the null text.
fn nulls(passes: &Passes) -> usize {
    if passes.iter().count() > 2 { 3 } else { 1 }
}
