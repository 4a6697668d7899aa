//! Averages of logits: what they average, that neither batches nor interruptions affect them, and SSG with
//! them.

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Record, config, model, prepare};
use nextscale_config::Document;
use nextscale_core::noise::Counter;
use nextscale_core::{Alphabet, Condition, Grid, LogitMap, Passes, ScaleSchedule};
use nextscale_generate::sampler::TopKTopP;
use nextscale_guidance::{Cfg, Guidance, Step, Strength};
use nextscale_pipeline::calibration::{CalibrationOptions, calibrate, read};
use nextscale_pipeline::{Batch, Config, Error, Generator, Registry, RunOptions, Stop, run};
use nextscale_priors::conformance::check_prior;

const RULE: &str = "guidance: Cfg(scale: Ramp(1.5)), batch: 2";

fn text(rest: &str) -> String {
    config("Labels([3, 1, 4, 1, 5])", rest)
}

#[test]
fn averages_are_those_of_every_position_of_every_image() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("a.safetensors");
    let done = calibrate(&prepare(&text(RULE)).unwrap(), &CalibrationOptions::new(&out)).unwrap();
    assert_eq!((done.made, done.images), (5, 5));
    let rule = Arc::new(Cfg::scale(Strength::Ramp(1.5)).unwrap());
    let noise = Arc::new(Counter::new(3));
    let generator = Generator::new(model("aln"), rule, Arc::new(TopKTopP::default()), noise).unwrap();
    let mut record = Record::default();
    let conditions = [3, 1, 4, 1, 5].map(Condition::Class);
    let batch = Batch { images: &[0, 1, 2, 3, 4], conditions: &conditions };
    generator.batch(batch, &mut record, &Stop::new()).unwrap();
    let prior = read(&out).unwrap().prior;
    for (k, guided) in record.guided.iter().enumerate() {
        let average = prior.average(Grid::square(k + 1)).unwrap();
        let positions = guided.len() / average.len();
        assert_eq!((average.len(), positions), (64, 5 * (k + 1) * (k + 1)));
        for (channel, &found) in average.iter().enumerate() {
            let sum: f64 = guided.iter().skip(channel).step_by(64).map(|&value| f64::from(value)).sum();
            let expected = (sum / positions as f64) as f32;
            assert!((found - expected).abs() < 1e-5, "scale {k}, channel {channel}: {found}, {expected}");
        }
    }
}

/// CFG that requests a stop at a given scale.
#[derive(Debug)]
struct Interrupting {
    rule: Cfg,
    stop: Stop,
    left: AtomicUsize,
}

impl Guidance for Interrupting {
    fn guide(&self, step: &Step<'_>) -> nextscale_core::Result<LogitMap> {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.stop.request();
        }
        step.evaluate(&self.rule)
    }

    fn passes(&self, k: usize, schedule: &ScaleSchedule) -> Passes {
        self.rule.passes(k, schedule)
    }

    fn lookback(&self) -> usize {
        0
    }
}

#[test]
fn neither_batches_nor_interruptions_show() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    calibrate(&prepare(&text(RULE)).unwrap(), &CalibrationOptions::new(path("whole"))).unwrap();
    let larger = text(RULE).replace("batch: 2", "batch: 3");
    calibrate(&prepare(&larger).unwrap(), &CalibrationOptions::new(path("larger"))).unwrap();
    let bytes = |name: &str| std::fs::read(path(name)).unwrap();
    let averages = |name: &str| {
        let prior = read(&path(name)).unwrap().prior;
        (1..=4).map(|side| prior.average(Grid::square(side)).unwrap().to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(averages("whole"), averages("larger"));

    // In the second scale of the third batch.
    let mut prepared = prepare(&text(RULE)).unwrap();
    let options = CalibrationOptions::new(path("cut"));
    let rule = Cfg::scale(Strength::Ramp(1.5)).unwrap();
    prepared.config.methods[0].rule =
        Arc::new(Interrupting { rule, stop: options.stop.clone(), left: AtomicUsize::new(2 * 4 + 2) });
    assert!(matches!(calibrate(&prepared, &options), Err(Error::Stopped)));
    assert!(!path("cut").exists() && path(".cut.unfinished").exists());
    let other = prepare(&text(RULE).replace("1.5", "2")).unwrap();
    let error = calibrate(&other, &CalibrationOptions::new(path("cut"))).unwrap_err().to_string();
    assert!(error.contains(".cut.unfinished belongs to another unfinished calibration"), "{error}");
    let done = calibrate(&prepare(&text(RULE)).unwrap(), &CalibrationOptions::new(path("cut"))).unwrap();
    assert_eq!(done.made, 1);
    assert!(!path(".cut.unfinished").exists());
    assert_eq!(bytes("cut"), bytes("whole"));

    let again = calibrate(&prepare(&text(RULE)).unwrap(), &CalibrationOptions::new(path("cut"))).unwrap();
    assert_eq!((again.made, again.images), (0, 5));
    let error = calibrate(&other, &CalibrationOptions::new(path("cut"))).unwrap_err();
    assert!(
        error.is_usage() && error.to_string().contains("exists already and belongs to another calibration"),
        "{error}"
    );
}

#[test]
fn a_calibration_is_of_one_rule_and_of_whole_images() {
    let folder = tempfile::tempdir().unwrap();
    let options = CalibrationOptions::new(folder.path().join("a"));
    let several = text("variants: [(\"a\", Conditional), (\"b\", Cfg(scale: 1))]");
    let error = calibrate(&prepare(&several).unwrap(), &options).unwrap_err();
    assert!(error.is_usage() && error.to_string().contains("give `guidance`"), "{error}");
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/cifar10/samples.png");
    let box_of = format!("edit: Keep(image: {samples:?}, rows: (0, 0.5), columns: (0, 1))");
    let error = calibrate(&prepare(&text(&format!("{RULE}, {box_of}"))).unwrap(), &options).unwrap_err();
    assert!(error.is_usage() && error.to_string().contains("leave out `edit`"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

const SSG: &str = "guidance: Ssg(prior: Marginal(file: \"a.safetensors\"), beta: 0.5)";

#[test]
fn a_config_names_the_file_beside_it_and_the_resolved_one_what_was_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("a.safetensors");
    let of = |text: &str| {
        Config::from_node(&Document::parse("run.ron", text)?, folder.path(), &Registry::standard())?.prepare()
    };
    let missing = of(&text(SSG)).err().unwrap();
    assert!(missing.is_usage() && missing.to_string().contains("a.safetensors"), "{missing}");
    calibrate(&prepare(&text(RULE)).unwrap(), &CalibrationOptions::new(&out)).unwrap();
    let prior = read(&out).unwrap().prior;
    let grids = (1..4).map(|side| (Grid::square(side), Grid::square(side + 1)));
    check_prior(&prior).grids(grids).channels(64).run().into_result().unwrap();
    let prepared = of(&text(SSG)).unwrap();
    let resolved = prepared.resolved().to_ron_string();
    let sha256 = read(&out).unwrap().sha256;
    assert!(resolved.contains(&sha256) && resolved.contains(&out.display().to_string()), "{resolved}");
    run(&prepared, &RunOptions::new(folder.path().join("out"))).unwrap();

    let again = of(&resolved).unwrap();
    assert_eq!(again.identity(), prepared.identity());
    // Another file of the same name: the resolved config accepts only the first.
    std::fs::remove_file(&out).unwrap();
    calibrate(&prepare(&text("guidance: Conditional")).unwrap(), &CalibrationOptions::new(&out)).unwrap();
    let error = of(&resolved).err().unwrap();
    assert!(error.is_usage() && error.to_string().contains(&sha256), "{error}");
    assert_ne!(of(&text(SSG)).unwrap().identity(), prepared.identity());
}

#[test]
fn averages_of_other_weights_are_refused_with_the_place_and_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("a.safetensors");
    calibrate(&prepare(&text(RULE)).unwrap(), &CalibrationOptions::new(&out)).unwrap();
    // The same shapes with another value, which shapes alone cannot reveal.
    let mut bytes = std::fs::read(common::path("var_aln.safetensors")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let other = folder.path().join("other.safetensors");
    std::fs::write(&other, &bytes).unwrap();
    let of = |backbone: &Path, guidance: &str| {
        let text = text(guidance);
        let was = common::path("var_aln.safetensors").display().to_string();
        assert!(text.contains(&was), "{text}");
        let node = Document::parse("run.ron", &text.replace(&was, &backbone.display().to_string()))?;
        Config::from_node(&node, folder.path(), &Registry::standard())?.prepare()
    };
    of(&common::path("var_aln.safetensors"), SSG).unwrap();
    of(&other, RULE).unwrap();
    let nested = SSG.replace("guidance: ", "guidance: Sum(rules: [Conditional, ") + "])";
    for guidance in [SSG, &nested] {
        let Err(Error::Config(error)) = of(&other, guidance) else { panic!("taken: {guidance}") };
        assert!(
            error.to_string().contains("a.safetensors was measured on the model with the weights"),
            "{error}"
        );
        assert!(error.help_text().unwrap().contains("nextscale calibrate"), "{error:?}");
        assert!(error.location().is_some(), "{error:?}");
    }
}

#[test]
fn averages_of_another_model_are_refused_before_weights_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("a.safetensors");
    calibrate(&prepare(&text(RULE)).unwrap(), &CalibrationOptions::new(&out)).unwrap();
    let text = format!("(model: Shipped(\"cifar10\"), condition: Null, {SSG})");
    let node = Document::parse("run.ron", &text).unwrap();
    let config = Config::from_node(&node, folder.path(), &Registry::standard()).unwrap();
    let error = config.prepare().err().unwrap();
    assert!(
        error.is_usage() && error.to_string().contains("64 channels and the model's logits 2048"),
        "{error}"
    );
    let prior = read(&out).unwrap().prior;
    let longer = ScaleSchedule::square(&[1, 2, 3, 4, 5, 6]).unwrap();
    let error = nextscale_priors::Prior::check(&prior, &longer, Alphabet::codes(64)).unwrap_err().to_string();
    assert!(error.contains("no grid 5×5"), "{error}");
    assert!(Path::new(&out).exists());
}
