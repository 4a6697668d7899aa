//! Tests that an image's logits are the same, bit for bit, whatever runs beside it.

use burn::tensor::{Device, Tensor, TensorData};
use nextscale_core::{Condition, Mixing, Pass, PassPlan, Passes, Perturbation, ScaleSchedule};

use super::{Initialisation, Var, VarConfig, fixtures::model};
use crate::{Backbone, prepare};

/// The logits of an image at each scale, flattened; `None` where they were not requested.
type Image = Vec<Option<Vec<f32>>>;

/// Features for scale `k` that differ between images and are reproducible for each image.
fn features(model: &Var, images: usize, k: usize) -> Tensor<3> {
    let (positions, channels) = (model.schedule().grid(k).positions(), model.input_channels());
    let values: Vec<f32> = (0..images)
        .flat_map(|image| {
            (0..positions * channels).map(move |i| ((i * (7 + image) + 31 * k) as f32 * 0.618).sin())
        })
        .collect();
    Tensor::from_data(TensorData::new(values, [images, positions, channels]), &model.device())
}

/// Runs this many images; `wanted` gives the passes of each scale, its last entry those of the rest.
fn run(model: &Var, images: usize, wanted: &[&Passes], pass: Pass) -> Vec<Image> {
    let conditions: Vec<_> = (0..images).map(|i| Condition::Class(i % 7)).collect();
    let scales = model.schedule().len();
    let wanted = (0..scales).map(|k| wanted[k.min(wanted.len() - 1)].clone()).collect();
    let plan = PassPlan::new(wanted, model.schedule()).unwrap();
    let conditions = prepare(&model.conditioner(), &conditions, &plan).unwrap();
    let mut session = model.start(&conditions, &plan).unwrap();
    let mut results = vec![Image::new(); images];
    for k in 0..scales {
        let logits = session.step((k > 0).then(|| features(model, images, k))).unwrap();
        for (image, scales) in results.iter_mut().enumerate() {
            scales.push(logits.get(&pass).map(|map| {
                let values = map.values().clone().slice_dim(0, image..image + 1);
                values.into_data().try_to_vec().unwrap()
            }));
        }
    }
    results
}

fn assert_independent(model: &Var) {
    let (one, other, both) = (Passes::CONDITIONAL, Passes::UNCONDITIONAL, Passes::BOTH);
    let mixed = Pass::CONDITIONAL.mixed(Mixing::new(&[1], &[3.0, 1.0, 2.0]).unwrap());
    let inside = run(model, 8, &[&mixed.clone().into()], mixed.clone());
    let perturbed = perturbed(model.config().depth);
    let worse = perturbed.clone().map(|pass| run(model, 8, &[&pass.clone().into()], pass));
    let all = run(model, 8, &[&both], Pass::CONDITIONAL);
    let null = run(model, 8, &[&both], Pass::UNCONDITIONAL);
    assert!(all[0] != all[1] && all[0] != null[0] && all[0] != inside[0]);
    for count in [1, 2, 3, 8] {
        assert!(run(model, count, &[&one], Pass::CONDITIONAL) == all[..count], "{count} alone");
        assert!(
            run(model, count, &[&both], Pass::CONDITIONAL) == all[..count],
            "{count} beside the other pass"
        );
        assert!(run(model, count, &[&other], Pass::UNCONDITIONAL) == null[..count], "{count} unconditional");
        let beside = both.clone().union(mixed.clone().into());
        assert!(run(model, count, &[&beside], mixed.clone()) == inside[..count], "{count} mixed");
        let stops = run(model, count, &[&both, &both, &one], Pass::CONDITIONAL);
        assert!(stops == all[..count], "{count} beside a pass that stops");
        let everything: Passes = beside.iter().cloned().chain(perturbed.clone()).collect();
        for (pass, worse) in perturbed.iter().zip(&worse) {
            assert!(
                *worse != all && run(model, count, &[&everything], pass.clone()) == worse[..count],
                "{pass}"
            );
            // Passes stop one after the other, and their rows leave the caches of all blocks.
            let some: Passes = [Pass::CONDITIONAL, pass.clone()].into_iter().collect();
            let found = run(model, count, &[&everything, &some, &pass.clone().into()], pass.clone());
            assert!(found[0][2..] == worse[0][2..], "{pass} at the end");
        }
        assert!(
            run(model, count, &[&everything], Pass::CONDITIONAL) == all[..count],
            "beside perturbed passes"
        );
    }
}

/// A pass without the last block, one without all, and one in which no position of the last block sees
/// another.
fn perturbed(depth: usize) -> [Pass; 3] {
    let all: Vec<usize> = (1..=depth).collect();
    let perturbations =
        [Perturbation::skipping(&[1]), Perturbation::skipping(&all), Perturbation::identity_attention(&[1])];
    perturbations.map(|perturbation| Pass::CONDITIONAL.perturbed(perturbation.unwrap()))
}

#[test]
fn a_model_that_skips_blocks_is_the_model_without_them() {
    for name in ["aln", "saln"] {
        let whole = model(name, &Device::flex());
        let depth = whole.config().depth;
        for layer in 1..=depth {
            let mut without = whole.clone();
            without.blocks.remove(depth - layer);
            without.config.depth -= 1;
            let pass = Pass::CONDITIONAL.perturbed(Perturbation::skipping(&[layer]).unwrap());
            let found = run(&whole, 2, &[&Passes::BOTH.union(pass.clone().into())], pass);
            assert!(found == run(&without, 2, &[&Passes::CONDITIONAL], Pass::CONDITIONAL), "{name}, {layer}");
        }
    }
}

#[test]
fn attention_that_is_the_identity_sees_neither_other_positions_nor_earlier_scales() {
    let model = model("aln", &Device::flex());
    let all: Vec<usize> = (1..=model.config().depth).collect();
    let pass = Pass::CONDITIONAL.perturbed(Perturbation::identity_attention(&all).unwrap());
    let found = run(&model, 1, &[&pass.clone().into()], pass.clone());
    let whole = run(&model, 1, &[&Passes::CONDITIONAL], Pass::CONDITIONAL);
    let flat = |image: &Image, k: usize| image[k].clone().unwrap();
    // A single position without earlier scales can attend only to its own value.
    let same = flat(&found[0], 0).into_iter().zip(flat(&whole[0], 0));
    assert!(same.into_iter().all(|(a, b)| (a - b).abs() < 1e-4));
    assert!(flat(&found[0], 1) != flat(&whole[0], 1));

    // Other features at earlier scales, and at all positions of the last scale except its last.
    let plan = PassPlan::new(vec![pass.clone().into(); model.schedule().len()], model.schedule()).unwrap();
    let conditions = prepare(&model.conditioner(), &[Condition::Class(0)], &plan).unwrap();
    let mut session = model.start(&conditions, &plan).unwrap();
    let scales = model.schedule().len();
    let mut logits = None;
    for k in 0..scales {
        let own = |k| features(&model, 1, k);
        let input = (k > 0).then(|| {
            let positions = model.schedule().grid(k).positions();
            let other = own(k) * -2.0 + 0.5;
            match k + 1 == scales {
                true => Tensor::cat(
                    vec![other.slice_dim(1, 0..positions - 1), own(k).slice_dim(1, positions - 1..positions)],
                    1,
                ),
                false => other,
            }
        });
        logits = session.step(input).unwrap().get(&pass).cloned();
    }
    let values: Vec<f32> = logits.unwrap().into_values().into_data().try_to_vec().unwrap();
    let before = flat(&found[0], scales - 1);
    let channels = model.config().vocabulary;
    let last = values.len() - channels;
    assert!(values[last..].iter().zip(&before[last..]).all(|(a, b)| (a - b).abs() < 1e-5));
    assert!(values[..last].iter().zip(&before[..last]).any(|(a, b)| (a - b).abs() > 1e-2));
}

#[test]
fn blocks_that_are_not_there_cannot_be_perturbed() {
    let model = model("aln", &Device::flex());
    let perturbation = Perturbation::skipping(&[model.config().depth + 1]).unwrap();
    let error = model.perturbs(&perturbation).unwrap_err().to_string();
    assert!(error.starts_with("layers: ") && error.contains("beyond"), "{error}");
    let pass = Pass::CONDITIONAL.perturbed(perturbation);
    let plan = PassPlan::new(vec![pass.into(); model.schedule().len()], model.schedule()).unwrap();
    let conditions = prepare(&model.conditioner(), &[Condition::Class(0)], &plan).unwrap();
    assert!(model.start(&conditions, &plan).err().unwrap().to_string().starts_with("layers: "));
}

#[test]
fn the_reference_models_do_not_depend_on_the_batch() {
    for name in ["aln", "saln"] {
        assert_independent(&model(name, &Device::flex()));
    }
}

fn random(width: usize, heads: usize, vocabulary: usize, sides: &[usize]) -> Var {
    let config = VarConfig {
        width,
        heads,
        hidden: 4 * width,
        vocabulary,
        classes: 7,
        feature_channels: 12,
        ..VarConfig::new(1, ScaleSchedule::square(sides).unwrap())
    };
    // With open gates, so that the block affects the logits.
    config.init(&Initialisation { seed: 1, gate: 1.0 }, &Device::flex()).unwrap()
}

#[test]
fn wider_models_do_not_depend_on_the_batch() {
    assert_independent(&random(160, 5, 100, &[1, 2, 3, 4]));
    // Rows and columns on both sides of 64, and a head so narrow that its product takes another route.
    assert_independent(&random(160, 2, 101, &[1, 3, 9]));
    assert_independent(&random(1024, 16, 48, &[1, 2, 3]));
}

#[test]
fn a_pass_that_stops_leaves_the_other_as_it_is() {
    let model = model("aln", &Device::flex());
    let (one, other, both) = (Passes::CONDITIONAL, Passes::UNCONDITIONAL, Passes::BOTH);
    let full = run(&model, 2, &[&both], Pass::UNCONDITIONAL);
    let stopped = run(&model, 2, &[&one, &both, &other], Pass::UNCONDITIONAL);
    for (full, stopped) in full.iter().zip(&stopped) {
        assert_eq!(stopped[0], None, "its head is skipped where it is not wanted");
        assert_eq!(stopped[1..], full[1..]);
    }
}

#[test]
fn sessions_that_share_constants_are_those_that_make_their_own() {
    for name in ["aln", "saln"] {
        let model = model(name, &Device::flex());
        let plan =
            |passes: Passes| PassPlan::new(vec![passes; model.schedule().len()], model.schedule()).unwrap();
        let both = plan(Passes::BOTH);
        let conditions = [Condition::Class(1), Condition::Class(4)];
        let conditions = prepare(&model.conditioner(), &conditions, &both).unwrap();
        let constants = model.constants(&conditions).unwrap();
        for plan in [both, plan(Passes::UNCONDITIONAL), plan(Passes::CONDITIONAL)] {
            let mut own = model.start(&conditions, &plan).unwrap();
            let mut sharing = model.start_with(&constants, &conditions, &plan).unwrap();
            for k in 0..model.schedule().len() {
                let mut logits = [&mut own, &mut sharing].map(|session| {
                    let logits = session.step((k > 0).then(|| features(&model, 2, k))).unwrap();
                    logits.iter().map(|(_, map)| map.values().to_data()).collect::<Vec<_>>()
                });
                assert_eq!(std::mem::take(&mut logits[0]), logits[1], "{name}, scale {k}");
            }
        }
    }
}
