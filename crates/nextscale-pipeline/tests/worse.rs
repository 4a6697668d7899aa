//! Rules that guide away from a worse prediction, run on a model: the worse passes, and that images
//! do not affect each other.

mod common;

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use common::{floats, model, path, prepare};
use nextscale_backbones::{Backbone, prepare as rows_of};
use nextscale_core::noise::Counter;
use nextscale_core::{Condition, Pass, PassPlan, Passes, Replacement};
use nextscale_generate::observe::{Observer, Seen};
use nextscale_generate::sampler::{Argmax, TopKTopP};
use nextscale_generate::{Guide, Model};
use nextscale_guidance::{
    Autoguidance, Cfg, Conditional, Guidance, PerturbedAttention, SkipLayers, Ssg, Vpg,
};
use nextscale_pipeline::{Batch, Generator, LoadOptions, Stop};
use nextscale_priors::Dse;

/// The reference model `aln`, guided by `saln`, which has the same tokenizer.
fn guided() -> Model {
    let Model { backbone, conditioner, .. } = model("saln");
    model("aln").with_guide("weak", Guide { backbone, conditioner }).unwrap()
}

fn conditional() -> Arc<dyn Guidance> {
    Arc::new(Conditional)
}

/// A scale's logits by pass, and the guided ones.
type Scale = (Vec<(Pass, Vec<f32>)>, Vec<f32>);

/// Logits of every pass, guided logits and embeddings of what was drawn, scale by scale.
#[derive(Default)]
struct Watched(Vec<Scale>, Vec<Tensor<4>>);

impl Observer for Watched {
    fn scale(&mut self, seen: &Seen<'_>) -> nextscale_generate::Result<()> {
        let logits = seen.logits.iter().map(|(pass, map)| (pass.clone(), floats(map.values())));
        self.0.push((logits.collect(), floats(seen.guided.values())));
        self.1.push(seen.canvas.features.clone());
        Ok(())
    }
}

fn watched(rule: Arc<dyn Guidance>, conditions: &[Condition]) -> Watched {
    let noise = Arc::new(Counter::new(5));
    let generator = Generator::new(guided(), rule, Arc::new(TopKTopP::default()), noise).unwrap();
    let images: Vec<u64> = (0..conditions.len() as u64).collect();
    let mut watched = Watched::default();
    let batch = Batch { images: &images, conditions };
    generator.batch(batch, &mut watched, &Stop::new()).unwrap();
    watched
}

/// A backbone's conditional logits at every scale on given inputs.
fn logits_on(
    backbone: &dyn Backbone,
    model: &Model,
    conditions: &[Condition],
    input: impl Fn(usize) -> Option<Tensor<3>>,
) -> Vec<Vec<f32>> {
    let scales = backbone.schedule().len();
    let plan = PassPlan::new(vec![Passes::CONDITIONAL; scales], backbone.schedule()).unwrap();
    let rows = rows_of(&*model.conditioner, conditions, &plan).unwrap();
    let mut session = backbone.start(&rows, &plan).unwrap();
    (0..scales).map(|k| floats(session.step(input(k)).unwrap().conditional().unwrap().values())).collect()
}

fn two() -> [Condition; 2] {
    [Condition::Class(3), Condition::Class(7)]
}

/// With `Zeros` at every position, the corrupted prefix contains nothing that was drawn.
#[test]
fn vpg_leads_away_from_what_the_model_says_on_its_corrupted_prefix() {
    let (model, conditions) = (model("aln"), two());
    let rule = Vpg::new(conditional(), 1.0, Replacement::Zeros, 1.5).unwrap();
    let tokenizer = &*model.tokenizer;
    let zeros = |k: usize| {
        // The tokenizer's smoothing adds its bias to zeros too.
        let mut canvas = tokenizer.blank(2);
        for scale in 0..k {
            let grid = tokenizer.schedule().grid(scale);
            let nothing =
                Tensor::zeros([2, tokenizer.input_channels(), grid.height, grid.width], &Device::flex());
            canvas = tokenizer.accumulate(canvas, nothing, scale).unwrap();
        }
        (k > 0).then(|| tokenizer.next_input(&canvas, k).unwrap())
    };
    let expected = logits_on(&*model.backbone, &model, &conditions, zeros);
    let Watched(seen, _) = watched(Arc::new(rule), &conditions);
    for (k, (logits, guided)) in seen.into_iter().enumerate() {
        let c = &logits[0].1;
        if k == 0 {
            assert_eq!((logits.len(), &guided), (1, c), "scale 0 has no prefix");
            continue;
        }
        let (pass, corrupted) = &logits[1];
        assert!(pass.to_string().starts_with("conditional[corrupted 1 Zeros]"), "{pass}");
        common::assert_near(corrupted, &expected[k], 1e-4, "on zeros");
        let by_hand: Vec<f32> = c.iter().zip(&expected[k]).map(|(c, other)| c + 1.5 * (c - other)).collect();
        common::assert_near(&guided, &by_hand, 1e-3, "guided");
        assert!(c.iter().zip(corrupted).any(|(a, b)| (a - b).abs() > 1e-3), "the prefix does not matter");
    }
}

#[test]
fn autoguidance_leads_away_from_the_other_model_on_the_same_prefix() {
    let conditions = two();
    let rule = Autoguidance::new(conditional(), "weak", 2.0).unwrap();
    let Watched(seen, canvases) = watched(Arc::new(rule), &conditions);
    let weak = model("saln");
    let input = |k: usize| {
        let before = k.checked_sub(1)?;
        let canvas = nextscale_core::Canvas { features: canvases[before].clone() };
        Some(weak.tokenizer.next_input(&canvas, k).unwrap())
    };
    let expected = logits_on(&*weak.backbone, &weak, &conditions, input);
    for (k, (logits, guided)) in seen.into_iter().enumerate() {
        assert_eq!(logits[1].0.to_string(), "conditional[model weak]");
        common::assert_near(&logits[1].1, &expected[k], 1e-4, "of the weak model");
        let by_hand: Vec<f32> =
            logits[0].1.iter().zip(&expected[k]).map(|(c, other)| c + 2.0 * (c - other)).collect();
        common::assert_near(&guided, &by_hand, 1e-3, "guided");
    }
}

/// One of each kind, over rules that read other passes and earlier scales.
fn rules() -> Vec<Arc<dyn Guidance>> {
    let cfg: Arc<dyn Guidance> = Arc::new(Cfg::scale(1.5).unwrap());
    let vpg = |base, corrupt| Arc::new(Vpg::new(base, 0.5, corrupt, 1.0).unwrap());
    let ssg = Ssg::new(vpg(cfg.clone(), Replacement::OtherPosition), Arc::new(Dse::default()), 0.5).unwrap();
    vec![
        vpg(conditional(), Replacement::OtherPosition),
        vpg(cfg.clone(), Replacement::ScaleMean),
        Arc::new(ssg),
        Arc::new(Autoguidance::new(cfg.clone(), "weak", 1.0).unwrap()),
        Arc::new(SkipLayers::new(cfg.clone(), &[1], 1.0).unwrap()),
        Arc::new(PerturbedAttention::new(cfg, &[1, 2], 1.0).unwrap()),
    ]
}

#[test]
fn an_image_is_the_same_in_every_batch() {
    let all: Vec<Condition> = (0..4).map(Condition::Class).collect();
    for rule in rules() {
        let noise = Arc::new(Counter::new(5));
        let generator = Generator::new(guided(), Arc::clone(&rule), Arc::new(Argmax), noise).unwrap();
        let draw = |at_once: usize| -> Vec<f32> {
            let numbers = [0_u64, 1, 2, 3];
            let batches = numbers.chunks(at_once).zip(all.chunks(at_once));
            let pixels = batches.flat_map(|(images, conditions)| {
                let batch = Batch { images, conditions };
                floats(&generator.batch(batch, &mut (), &Stop::new()).unwrap())
            });
            pixels.collect()
        };
        let together = draw(4);
        for at_once in [1, 3] {
            assert!(draw(at_once) == together, "{rule:?}: {at_once} at once");
        }
    }
}

fn config(guides: &str, guidance: &str) -> String {
    common::config("PerClass(1)", &format!("guides: [{guides}], guidance: {guidance}"))
}

fn weak(backbone: &str) -> String {
    let vae = path("vae.safetensors");
    format!("(\"weak\", Var(tokenizer: {vae:?}, backbone: {:?}, norm_groups: 4))", path(backbone))
}

const AUTO: &str = "Autoguidance(weak: \"weak\", weight: 1.0)";

#[test]
fn a_config_names_the_weak_model_and_its_weights_are_part_of_the_run() {
    let of = |backbone: &str, rule: &str| prepare(&config(&weak(backbone), rule)).unwrap();
    let (one, other) = (of("var_saln.safetensors", AUTO), of("var_aln.safetensors", AUTO));
    assert_ne!(one.identity(), other.identity());
    assert_ne!(one.weights(), other.weights());
    assert!(one.resolved().get("guides").unwrap().to_string().contains("var_saln"));
    // Read back, the resolved config is the same run.
    assert_eq!(prepare(&one.resolved().to_ron_string()).unwrap().identity(), one.identity());
    // A rule that does not read the guide makes the same images without it.
    let (unread, without) = (
        of("var_saln.safetensors", "Cfg(scale: 2.0)"),
        prepare(&common::config("PerClass(1)", "guidance: Cfg(scale: 2.0)")).unwrap(),
    );
    assert_eq!((unread.identity(), unread.weights()), (without.identity(), without.weights()));
    assert!(unread.resolved().get("guides").is_err());
    let loaded = one.load(&LoadOptions::new(&Device::flex())).unwrap();
    let rule = Arc::clone(&one.config.methods[0].rule);
    assert!(Generator::new(loaded, rule, Arc::new(Argmax), Arc::new(Counter::new(0))).is_ok());
}

/// A copy of a fixture file with other values or shapes.
fn changed(name: &str, to: &std::path::Path, change: impl Fn(&str, &mut Vec<f32>, &mut Vec<usize>)) {
    let file = nextscale_weights::WeightFile::open(path(name)).unwrap();
    // Upstream's integer buffers are not read, and may be missing.
    let tensors = file.names().filter_map(|name| {
        let (mut values, mut shape) = file.values(name).ok()?;
        change(name, &mut values, &mut shape);
        Some((name.to_owned(), burn::tensor::TensorData::new(values, shape)))
    });
    let full = nextscale_weights::Precision::F32;
    nextscale_weights::save_safetensors(to, tensors, full, file.metadata()).unwrap();
}

fn told(text: &str) -> String {
    let error = prepare(text).err().unwrap_or_else(|| panic!("{text}: nothing wrong"));
    assert!(error.is_usage(), "{error}");
    let nextscale_pipeline::Error::Config(error) = error else { panic!("{error}: no place") };
    assert!(error.location().is_some());
    format!("{error}; {}", error.help_text().unwrap_or_default())
}

#[test]
fn a_weak_model_that_does_not_fit_is_told_before_weights_are_read() {
    // A tokenizer of other weights, of the same sizes.
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.safetensors");
    changed("vae.safetensors", &other, |_, values, _| values[0] += 1.0);
    let of_other = format!(
        "(\"weak\", Var(tokenizer: {other:?}, backbone: {:?}, norm_groups: 4))",
        path("var_saln.safetensors")
    );
    let error = told(&config(&of_other, AUTO));
    assert!(
        error.contains("the guide `weak` does not fit the model: its tokenizer's weights are"),
        "{error}"
    );
    let error = told(&config("(\"weak\", Shipped(\"cifar10\"))", AUTO));
    assert!(error.contains("its scales are 1 2 3 4 6 8, and the model's are 1 2 3 4"), "{error}");
    // Whoever reads it or not.
    assert_eq!(told(&config("(\"weak\", Shipped(\"cifar10\"))", "Conditional")), error);
    // Of nine classes instead of ten.
    let nine = folder.path().join("nine.safetensors");
    changed("var_saln.safetensors", &nine, |name, values, shape| {
        if name == "class_emb.weight" {
            shape[0] -= 1;
            values.truncate(shape.iter().product());
        }
    });
    let of_nine = format!(
        "(\"weak\", Var(tokenizer: {:?}, backbone: {nine:?}, scales: [1, 2, 3, 4], norm_groups: 4))",
        path("vae.safetensors")
    );
    let error = told(&config(&of_nine, AUTO));
    assert!(error.contains("it takes 9 classes, and the model's are 10 classes"), "{error}");
}

/// Headers do not say it, so it comes up when weights are read: before any image, and with the file's name.
#[test]
fn a_weak_model_of_nan_is_told_when_it_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    for tensor in ["blocks.1.attn.proj.weight", "blocks.0.ffn.fc1.weight", "head.bias", "pos_start"] {
        let diverged = folder.path().join("diverged.safetensors");
        changed("var_saln.safetensors", &diverged, |name, values, _| {
            if name == tensor {
                let last = values.len() - 1;
                values[last] = f32::NAN;
            }
        });
        let made = nextscale_weights::WeightFile::open(&diverged).unwrap();
        assert!(made.info(tensor).is_some(), "the fixture has no {tensor}");
        let text = config(&weak("var_saln.safetensors"), AUTO).replace(
            &format!("{:?}", path("var_saln.safetensors")),
            &format!("{diverged:?}, scales: [1, 2, 3, 4]"),
        );
        let prepared = prepare(&text).unwrap();
        let error = prepared.load(&LoadOptions::new(&Device::flex())).err().unwrap().to_string();
        assert!(
            error.contains("diverged.safetensors") && error.contains(&format!("`{tensor}` holds NaN")),
            "{error}"
        );
    }
}

#[test]
fn a_model_that_is_not_there_and_lists_that_are_none_are_told_with_the_remedy() {
    let error = told(&common::config("PerClass(1)", &format!("guidance: {AUTO}")));
    assert!(error.contains("reads a model `weak`") && error.contains("there is none"), "{error}");
    assert!(error.contains("add guides: [(\"weak\", Model(..))]"), "{error}");
    let own = weak("var_saln.safetensors").replace("\"weak\"", "\"own\"");
    assert!(told(&config(&own, AUTO)).contains("`own`"));
    let twice = format!("{own}, {own}");
    assert!(told(&config(&twice, AUTO)).contains("give each its own name"));
    assert!(told(&config("3", AUTO)).contains("expected a name and a model"));
    let error = told(&common::config("PerClass(1)", "guides: 3, guidance: Conditional"));
    assert!(error.contains("expected a list of models"), "{error}");
}

#[test]
fn blocks_that_the_model_has_not_are_told_before_weights_are_read() {
    for rule in ["SkipLayers", "PerturbedAttention"] {
        let text = format!("guidance: {rule}(layers: [1, 9], weight: 1.0)");
        let error = told(&common::config("PerClass(1)", &text));
        assert!(error.contains("layers: 9 is beyond the model's 2 blocks"), "{error}");
    }
    let error = told(&common::config("PerClass(1)", "guidance: CfgInside(layers: [9], weight: 2.0)"));
    assert!(error.contains("layers: 9 is beyond"), "{error}");
    let error = told(&common::config("PerClass(1)", "guidance: Vpg(share: 1.5, weight: 1.0)"));
    assert!(error.contains("1.5 is not in [0, 1]; give a number from 0 to 1"), "{error}");
}
