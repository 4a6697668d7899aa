//! Tests that an image's logits are the same, bit for bit, whatever runs beside it.

use burn::tensor::{Device, Tensor, TensorData};
use nextscale_core::{Condition, Mixing, Pass, PassPlan, Passes, ScaleSchedule};

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
    }
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
