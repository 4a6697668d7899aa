//! Tests that an image's logits are the same, bit for bit, whatever runs beside it.

use burn::tensor::{Device, Tensor, TensorData};
use nextscale_core::{Condition, Dtype, Mixing, Pass, PassPlan, Passes, Perturbation, ScaleSchedule};

use super::{Infinity, InfinityConfig, Initialisation};
use crate::{Backbone, TextConditioner, prepare};

/// The logits of an image at each scale, flattened; `None` where they were not requested.
type Image = Vec<Option<Vec<f32>>>;

fn numbers(count: usize, salt: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * (7 + salt) + 31 * salt) as f32 * 0.618).sin()).collect()
}

/// Prompts of different lengths, except that the third is as long as the first.
fn conditioner(model: &Infinity) -> TextConditioner {
    let width = model.config().text_width;
    let prompts = [3, 7, 3, 1, 5].into_iter().enumerate().map(|(i, length)| {
        let rows = TensorData::new(numbers(length * width, i), [length, width]);
        (format!("prompt {i}"), Tensor::from_data(rows, &model.device()))
    });
    TextConditioner::new(model.null_text(), prompts).unwrap()
}

fn prompt(i: usize) -> Condition {
    let prompt = Condition::Prompt(format!("prompt {}", i % 5));
    // Every fourth has a negative of a different length.
    if i % 4 == 3 { prompt.avoiding(Condition::Prompt("prompt 4".into())) } else { prompt }
}

/// Runs this many images; `wanted` gives the passes of each scale, its last entry those of the rest.
fn run(model: &Infinity, images: usize, wanted: &[&Passes], pass: &Pass) -> Vec<Image> {
    let conditions: Vec<_> = (0..images).map(prompt).collect();
    let scales = model.schedule().len();
    let wanted = (0..scales).map(|k| wanted[k.min(wanted.len() - 1)].clone()).collect();
    let plan = PassPlan::new(wanted, model.schedule()).unwrap();
    let conditions = prepare(&conditioner(model), &conditions, &plan).unwrap();
    let mut session = model.start(&conditions, &plan).unwrap();
    let mut results = vec![Image::new(); images];
    for k in 0..scales {
        let (positions, bits) = (model.schedule().grid(k).positions(), model.config().bits);
        let features = || {
            let values = (0..images).flat_map(|image| numbers(positions * bits, image + 11 * k)).collect();
            Tensor::from_data(TensorData::new::<f32, _>(values, [images, positions, bits]), &model.device())
        };
        let logits = session.step((k > 0).then(features)).unwrap();
        for (image, scales) in results.iter_mut().enumerate() {
            scales.push(logits.get(pass).map(|map| {
                let values = map.values().clone().slice_dim(0, image..image + 1);
                values.into_data().try_to_vec().unwrap()
            }));
        }
    }
    results
}

fn assert_independent(model: &Infinity) {
    let (one, both) = (Passes::CONDITIONAL, Passes::BOTH);
    let (given, negative) = (Pass::CONDITIONAL, Pass::UNCONDITIONAL);
    let mixed = Pass::CONDITIONAL.mixed(Mixing::new(&[1], &[3.0, 1.0, 2.0]).unwrap());
    let all = run(model, 6, &[&both], &given);
    let null = run(model, 6, &[&both], &negative);
    let inside = run(model, 6, &[&mixed.clone().into()], &mixed);
    let perturbed = [Perturbation::skipping(&[2]), Perturbation::identity_attention(&[1, 2])]
        .map(|perturbation| Pass::CONDITIONAL.perturbed(perturbation.unwrap()));
    let worse = perturbed.clone().map(|pass| run(model, 6, &[&pass.clone().into()], &pass));
    assert!(all[0] != all[1] && all[0] != null[0] && all[0] != inside[0]);
    for count in [1, 2, 4, 6] {
        assert!(run(model, count, &[&one], &given) == all[..count], "{count} alone");
        assert!(run(model, count, &[&both], &given) == all[..count], "{count} beside the other pass");
        assert!(
            run(model, count, &[&Passes::UNCONDITIONAL], &negative) == null[..count],
            "{count} unconditional"
        );
        let beside = both.clone().union(mixed.clone().into());
        assert!(run(model, count, &[&beside], &mixed) == inside[..count], "{count} mixed");
        for (pass, worse) in perturbed.iter().zip(&worse) {
            let everything: Passes = beside.iter().cloned().chain(perturbed.clone()).collect();
            assert!(*worse != all && run(model, count, &[&everything], pass) == worse[..count], "{pass}");
            assert!(run(model, count, &[&everything], &given) == all[..count], "beside {pass}");
            let found = run(model, count, &[&everything, &both, &pass.clone().into()], pass);
            assert!(found[0][2..] == worse[0][2..], "{pass} at the end");
        }
        let stops = run(model, count, &[&both, &both, &one], &given);
        assert!(stops == all[..count], "{count} beside a pass that stops");
        let stops = run(model, count, &[&beside, &one], &given);
        assert!(stops == all[..count], "{count} beside a mixed pass that stops");
    }
}

#[test]
fn an_image_does_not_depend_on_the_batch_nor_on_the_lengths_of_other_prompts() {
    let config = |size: [usize; 3], sides: &[usize]| InfinityConfig {
        text_width: 24,
        text_rows: 8,
        pool_heads: 2,
        ..InfinityConfig::new(size, 5, ScaleSchedule::square(sides).unwrap())
    };
    // With open gates, so that the blocks affect the logits.
    let start = Initialisation { seed: 1, gate: 1.0 };
    for (size, sides) in [([2, 64, 4], &[1, 2, 3][..]), ([2, 160, 5], &[1, 3, 9]), ([2, 768, 8], &[1, 2, 4])]
    {
        let config = config(size, sides);
        assert_independent(&config.init(&start, &Device::flex()).unwrap());
        assert_independent(&config.init_to_generate(&start, &Device::flex(), Dtype::F32).unwrap());
        if let Ok(model) = config.init_to_generate(&start, &Device::flex(), Dtype::Bf16) {
            assert_independent(&model);
        }
    }
}

#[test]
fn a_model_that_skips_blocks_is_the_model_without_them() {
    let config = InfinityConfig {
        text_width: 24,
        text_rows: 8,
        pool_heads: 2,
        ..InfinityConfig::new([3, 64, 4], 5, ScaleSchedule::square(&[1, 2, 3]).unwrap())
    };
    let whole = config.init(&Initialisation { seed: 1, gate: 1.0 }, &Device::flex()).unwrap();
    let depth = whole.config().depth;
    for layer in 1..=depth {
        let mut without = whole.clone();
        without.blocks.remove(depth - layer);
        without.config.depth -= 1;
        let pass = Pass::CONDITIONAL.perturbed(Perturbation::skipping(&[layer]).unwrap());
        let found = run(&whole, 2, &[&Passes::BOTH.union(pass.clone().into())], &pass);
        assert!(found == run(&without, 2, &[&Passes::CONDITIONAL], &Pass::CONDITIONAL), "{layer}");
    }
}

#[test]
fn sessions_that_share_constants_are_those_that_make_their_own() {
    let config = InfinityConfig {
        text_width: 24,
        text_rows: 8,
        pool_heads: 2,
        ..InfinityConfig::new([2, 64, 4], 5, ScaleSchedule::square(&[1, 2, 3]).unwrap())
    };
    let model = config.init(&Initialisation { seed: 1, gate: 1.0 }, &Device::flex()).unwrap();
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
                let values = TensorData::new(numbers(4 * positions * 5, k), [4, positions, 5]);
                Tensor::from_data(values, &model.device())
            };
            let mut logits = [&mut own, &mut sharing].map(|session| {
                let logits = session.step((k > 0).then(features)).unwrap();
                logits.iter().map(|(_, map)| map.values().to_data()).collect::<Vec<_>>()
            });
            assert_eq!(std::mem::take(&mut logits[0]), logits[1], "scale {k}");
        }
    }
}
