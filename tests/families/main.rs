//! A model family from outside, registered with one line, has everything that every family has.

mod away;
mod sketch;
mod training;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use away::Away;
use image::{Rgb, RgbImage};
use nextscale::burn::tensor::{Device, Tensor};
use nextscale::cli::Program;
use nextscale::config::Document;
use nextscale::families::{EmbeddedFile, ModelSource, Shipped};
use nextscale::pipeline::bench::{BenchOptions, Weights, bench};
use nextscale::pipeline::{Config, Error, LoadOptions, Registry, RunOptions, images, run};
use nextscale::weights::{Precision, WeightFile, save_safetensors};
use safetensors::SafeTensors;
use sketch::{HEAD, SketchFamily, head};

fn registry() -> Registry {
    Registry::standard().with_family(SketchFamily).with_rule::<Away>()
}

/// Writes a sketch's file, with numbers that depend on a name.
fn save(folder: &Path, file: &str, name: &str) {
    let tensors = [(HEAD.to_owned(), head(name))];
    save_safetensors(folder.join(file), tensors, Precision::F32, &BTreeMap::new()).unwrap();
}

/// A folder with a sketch's file in it.
fn place() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    save(place.path(), "toy.safetensors", "toy");
    place
}

const PROMPTS: &str = "Prompts(texts: [\"a red truck\", \"a ship\", \"one very blue and rather small house\"], negative: \"a blur\")";

fn config(condition: &str, rest: &str) -> String {
    format!(
        "(model: Sketch(weights: \"toy.safetensors\"), condition: {condition}, seed: 5, \
         sampling: TopKTopP(top_k: 0, top_p: 1.0), {rest})"
    )
}

fn go(folder: &Path, text: &str, out: &str) -> Result<Vec<RgbImage>, Error> {
    traced(folder, text, out, None)
}

/// Runs a config, and returns the images of its only rule.
fn traced(folder: &Path, text: &str, out: &str, trace: Option<&str>) -> Result<Vec<RgbImage>, Error> {
    let prepared = Config::from_node(&Document::parse("run.ron", text)?, folder, &registry())?.prepare()?;
    let out = folder.join(out);
    let trace = trace.map(|trace| folder.join(trace));
    run(&prepared, &RunOptions { trace, ..RunOptions::new(&out) })?;
    let picture = |image| images::read(&out.join(format!("images/{image:05}.png")));
    (0..prepared.conditions.len()).map(picture).collect()
}

const CFG: &str = "guidance: Cfg(scale: 1.5)";

#[test]
fn images_follow_text_and_negative_and_are_the_same_in_every_batch() {
    let place = place();
    let first = go(place.path(), &config(PROMPTS, &format!("{CFG}, batch: 1")), "one").unwrap();
    assert_eq!((first.len(), first[0].dimensions()), (3, (8, 6)));
    assert!(first[0] != first[1] && first[1] != first[2]);
    for batch in [2, 3, 8] {
        let text = config(PROMPTS, &format!("{CFG}, batch: {batch}"));
        assert_eq!(go(place.path(), &text, &format!("of {batch}")).unwrap(), first, "{batch}");
    }
    // The resolved config gives the same images.
    let resolved = fs::read_to_string(place.path().join("one/config.ron")).unwrap();
    assert_eq!(go(place.path(), &resolved, "again").unwrap(), first);
    for (other, what) in [
        (PROMPTS.replace("red", "blue"), "text"),
        (PROMPTS.replace("blur", "sharp line"), "negative"),
        (PROMPTS.replace(", negative: \"a blur\"", ""), "none"),
    ] {
        let logits = |condition: &str, name: &str| {
            let trace = format!("{name}.safetensors");
            traced(place.path(), &config(condition, CFG), name, Some(&trace)).unwrap();
            let bytes = fs::read(place.path().join(trace)).unwrap();
            let tensors = SafeTensors::deserialize(&bytes).unwrap();
            tensors.tensor("scale.0.guided").unwrap().data().to_vec()
        };
        assert_ne!(logits(PROMPTS, "plain"), logits(&other, what), "{what}");
        fs::remove_dir_all(place.path().join("plain")).unwrap();
    }
}

#[test]
fn a_trace_has_bits_on_every_grid_and_a_session_without_a_cache_runs_where_it_is_read() {
    let place = place();
    let guidance = "guidance: Ssg(base: Cfg(scale: During(2, 2, 1.5)), prior: Dse(), beta: 0.5)";
    let made = traced(place.path(), &config(PROMPTS, guidance), "out", Some("t.safetensors")).unwrap();
    let bytes = fs::read(place.path().join("t.safetensors")).unwrap();
    let trace = SafeTensors::deserialize(&bytes).unwrap();
    let shape = |name: &str| trace.tensor(name).unwrap().shape().to_vec();
    for (k, positions) in [1, 2, 6, 12].into_iter().enumerate() {
        assert_eq!(shape(&format!("scale.{k}.tokens")), [3, positions, 2]);
        assert_eq!(shape(&format!("scale.{k}.conditional")), [3, positions, 4]);
        assert_eq!(trace.tensor(&format!("scale.{k}.unconditional")).is_ok(), k == 2);
        assert_eq!(trace.tensor(&format!("scale.{k}.prior")).is_ok(), k > 0);
    }
    // The canvas is twice as fine as the last grid.
    assert_eq!(shape("scale.3.canvas"), [3, 2, 6, 8]);
    // The continuous part: without it, bits sum to a multiple of 1/8 minus 1/16.
    let canvas: Vec<f32> = bytemuck::pod_collect_to_vec(trace.tensor("scale.3.canvas").unwrap().data());
    let apart = canvas.iter().map(|value| ((value + 1.0 / 16.0) * 8.0).rem_euclid(1.0));
    assert!(apart.filter(|rest| *rest > 0.01 && *rest < 0.99).count() > canvas.len() / 2, "{canvas:?}");
    assert_eq!(made.len(), 3);
}

#[test]
fn a_config_leads_away_from_a_corrupted_prefix_and_from_a_second_model() {
    let place = place();
    save(place.path(), "weak.safetensors", "weak");
    save(place.path(), "same.safetensors", "toy");
    let draw = |guides: &str, guidance: &str, batch: usize, name: &str| {
        go(place.path(), &config(PROMPTS, &format!("{guides}guidance: {guidance}, batch: {batch}")), name)
    };
    let weak = "guides: [(\"guide\", Sketch(weights: \"weak.safetensors\"))], ";
    let plain = draw("", "Conditional", 3, "plain").unwrap();

    // Nothing is corrupted, or the second model is the first: there is no difference to guide away
    // from.
    assert_eq!(draw("", "Away(corrupted: 0.0, weight: 2.0)", 3, "whole").unwrap(), plain);
    let same = "guides: [(\"guide\", Sketch(weights: \"same.safetensors\"))], ";
    assert_eq!(draw(same, "Away(model: \"guide\", weight: 2.0)", 3, "same").unwrap(), plain);

    let mut seen = vec![plain];
    for (name, guide, guidance) in [
        ("corrupted", "", "Away(corrupted: 0.5, weight: 3.0)"),
        ("all", "", "Away(corrupted: 1.0, weight: 3.0)"),
        ("weak", weak, "Away(model: \"guide\", weight: 2.0)"),
        ("both", weak, "Away(model: \"guide\", corrupted: 1.0, weight: 5.0)"),
        ("nested", weak, "Ssg(base: Away(model: \"guide\", weight: 2.0), prior: Dse(), beta: 0.5)"),
    ] {
        let made = draw(guide, guidance, 1, name).unwrap();
        // So few bits may well be the same under a second rule.
        assert!(name == "nested" || !seen.contains(&made), "{name}");
        assert_eq!(draw(guide, guidance, 3, &format!("{name}-together")).unwrap(), made, "{name}");
        seen.push(made);
    }
    let missing = draw("", "Away(model: \"guide\", weight: 2.0)", 3, "missing").unwrap_err().to_string();
    assert!(missing.contains("`guide`") && missing.contains("there is none"), "{missing}");
    let share = draw("", "Away(corrupted: 1.5, weight: 2.0)", 3, "share").unwrap_err().to_string();
    assert!(share.contains("1.5 is not in [0, 1]"), "{share}");
}

#[test]
fn a_config_chooses_the_scales() {
    let place = place();
    let text = config(PROMPTS, CFG).replace("toy.safetensors\"", "toy.safetensors\", wide: true");
    let made = traced(place.path(), &text, "out", Some("t.safetensors")).unwrap();
    assert_eq!(made[0].dimensions(), (14, 6));
    let bytes = fs::read(place.path().join("t.safetensors")).unwrap();
    let trace = SafeTensors::deserialize(&bytes).unwrap();
    for (k, positions) in [2, 6, 10, 21].into_iter().enumerate() {
        assert_eq!(trace.tensor(&format!("scale.{k}.tokens")).unwrap().shape(), [3, positions, 2]);
    }
    let resolved = fs::read_to_string(place.path().join("out/config.ron")).unwrap();
    assert!(resolved.contains("wide: true"), "{resolved}");
    assert_eq!(go(place.path(), &resolved, "again").unwrap(), made);
    // A run with other scales is another run.
    let error = go(place.path(), &config(PROMPTS, CFG), "out").unwrap_err().to_string();
    assert!(error.contains("choose another folder"), "{error}");
}

#[test]
fn a_sketch_can_be_part_of_the_program() {
    let place = place();
    let path = place.path().join("toy.safetensors");
    // Compiled in, it would be `include_bytes!`.
    let bytes: &'static [u8] = fs::read(&path).unwrap().leak();
    let files: &'static [EmbeddedFile] = Box::leak(Box::new([EmbeddedFile { name: "weights", bytes }]));
    let about = "A sketch in the program";
    let shipped = Shipped { name: "sketch", about, family: &SketchFamily, class_names: &[], files };
    let node = Document::parse("run.ron", "Shipped(\"sketch\")").unwrap();
    let open = shipped.open(&node).unwrap();
    assert_eq!((open.describe(), open.resolved()), ("Shipped(\"sketch\")", &node));
    assert!(open.takes().prompts && !open.fingerprint().is_empty());
    assert!(open.load(&LoadOptions::new(&Device::flex())).is_ok());
    let nothing = Shipped { files: &[], ..shipped };
    let error = nothing.open(&node).err().unwrap().to_string();
    assert!(error.contains("lacks this model's file `weights`"), "{error}");
}

#[test]
fn an_edit_keeps_the_given_rows() {
    let place = place();
    let given =
        RgbImage::from_fn(8, 6, |x, y| Rgb([30 * x as u8, 40 * y as u8, 15 * x as u8 + 20 * y as u8]));
    images::write_png(&place.path().join("given.png"), &given).unwrap();
    let edit = "edit: Keep(image: \"given.png\", rows: (0.0, 0.67), columns: (0.0, 1.0))";
    let made = go(place.path(), &config(PROMPTS, &format!("{CFG}, {edit}")), "out").unwrap();

    let node = Document::parse("run.ron", "(model: Sketch(weights: \"toy.safetensors\"))").unwrap();
    let open = registry().in_folder(place.path()).open_model(&node).unwrap();
    let model = open.load(&LoadOptions { with_encoder: true, ..LoadOptions::new(&Device::flex()) }).unwrap();
    let tensor: Tensor<4> = images::to_tensor(&[given], &Device::flex());
    let same = nextscale::pipeline::reconstruct::reconstruct(&*model.tokenizer, tensor).unwrap();
    let same = images::to_pictures(same).unwrap().remove(0);
    let rows = |picture: &RgbImage, rows: std::ops::Range<u32>| -> Vec<Rgb<u8>> {
        rows.flat_map(|y| (0..8).map(move |x| (x, y))).map(|(x, y)| *picture.get_pixel(x, y)).collect()
    };
    for picture in &made {
        assert_eq!(rows(picture, 0..4), rows(&same, 0..4));
        assert_ne!(rows(picture, 4..6), rows(&same, 4..6));
    }
    assert_ne!(made[0], made[2]);
}

#[test]
fn what_a_sketch_does_not_take_is_told_at_its_place() {
    let place = place();
    let told = |text: &str| {
        let error = go(place.path(), text, "out").unwrap_err();
        let Error::Config(error) = &error else { panic!("{text}: {error}") };
        format!("{error}; {}", error.help_text().unwrap_or_default())
    };
    assert_eq!(
        told(&config("Labels([1])", CFG)),
        "the model takes no classes; give texts, as in Prompts([\"a red truck\"]), or Null"
    );
    let shipped = format!("(model: Shipped(\"cifar10\"), condition: {PROMPTS}, {CFG})");
    assert_eq!(
        told(&shipped),
        "the model takes no texts; give labels from 0 to 9, as in Labels([0]), or Null"
    );
    let unknown = told(&config("Null", CFG).replace("Sketch(", "Skech("));
    assert!(unknown.contains("unknown model `Skech`") && unknown.contains("Sketch"), "{unknown}");
    assert!(told(&config("Null", CFG).replace("weights", "weight")).contains("`weight"));
    assert_eq!(go(place.path(), &config("Null(2)", CFG), "null").unwrap().len(), 2);
}

#[test]
fn a_sketch_is_inspected_listed_and_measured() {
    let place = place();
    let path = place.path().join("toy.safetensors");
    let file = WeightFile::open(&path).unwrap();
    assert_eq!(registry().recognise(&file).unwrap(), "A sketch that can be used: scales 1 1×2 2×3 3×4");
    let refused = Registry::standard().recognise(&file).unwrap_err();
    assert!(refused.contains("is not a usable model: neither VAR's"), "{refused}");
    let program = Program::new(registry());
    assert_eq!(program.run(["nextscale".as_ref(), "inspect".as_ref(), path.as_os_str()]), ExitCode::SUCCESS);
    assert_ne!(
        Program::new(Registry::standard()).run(["nextscale".as_ref(), "inspect".as_ref(), path.as_os_str()]),
        ExitCode::SUCCESS
    );
    assert_eq!(program.run(["nextscale", "list"]), ExitCode::SUCCESS);
    nextscale::conformance::check_all(&Registry::new().with_family(SketchFamily)).unwrap();
    let page = nextscale::pipeline::registry::markdown(&registry());
    assert!(page.contains("`Sketch(weights: \"a.safetensors\")`: a toy of one small file"), "{page}");
    let schema = nextscale::pipeline::registry::schema(&registry()).to_string();
    assert!(schema.contains("Sketch(weights: "), "{schema}");
    assert!(schema.contains("Whether it draws wide pictures."), "{schema}");

    for weights in [Weights::OfConfig, Weights::Random("sketch of another".into())] {
        let node = Document::parse("run.ron", &config(PROMPTS, CFG)).unwrap();
        let config = Config::from_node(&node, place.path(), &registry()).unwrap();
        let options = BenchOptions { runs: 1, warmup: 0, weights, ..BenchOptions::default() };
        let report = bench(config, &registry(), &options, |_| {}).unwrap();
        assert_eq!((&*report.model, report.images, report.image_size), ("a sketch", 3, [6, 8]));
    }
    // A second random model, which a rule reads by its name.
    let rules = "variants: [(\"none\", Conditional), (\"auto\", Autoguidance(weak: \"weak\", weight: 1.0))]";
    let measured = |guides: &[(&str, &str)]| {
        let node = Document::parse("run.ron", &config(PROMPTS, rules)).unwrap();
        let config = Config::from_node(&node, place.path(), &registry()).unwrap();
        let guides = guides.iter().map(|(name, sizes)| (name.to_string(), sizes.to_string())).collect();
        let weights = Weights::Random("sketch of another".into());
        let options = BenchOptions { runs: 1, warmup: 0, weights, guides, ..BenchOptions::default() };
        bench(config, &registry(), &options, |_| {})
    };
    let report = measured(&[("weak", "sketch of a third")]).unwrap();
    assert_eq!((&*report.beside[0].rule, &*report.beside[0].first), ("auto", "none"));
    let error = measured(&[]).unwrap_err().to_string();
    assert!(error.contains("the rule reads a model `weak` beside the guided one; there is none"), "{error}");
    let error = measured(&[("weak", "sketch"), ("weak", "sketch")]).unwrap_err().to_string();
    assert!(error.contains("a second guide named `weak`"), "{error}");
}

#[test]
fn a_sketch_is_ablated_and_calibrated() {
    let place = place();
    let path = |name: &str| place.path().join(name).display().to_string();
    let text = format!(
        "(base: {}, variants: [(name: \"none\"), (name: \"cfg\", set: {{\"guidance\": Cfg(scale: 2.0)}})], \
         baseline: \"none\", seeds: [0, 1], samples: 3, measures: [Pixels])",
        config(PROMPTS, "guidance: Conditional").replace("seed: 5, ", "")
    );
    fs::write(path("ablation.ron"), text).unwrap();
    fs::write(path("run.ron"), config(PROMPTS, "guidance: Conditional")).unwrap();
    let program = Program::new(registry());
    let run = |arguments: &[&str]| {
        let arguments = ["nextscale"].iter().chain(arguments).collect::<Vec<_>>();
        assert_eq!(program.run(&arguments), ExitCode::SUCCESS, "{arguments:?}");
    };
    run(&["ablate", &path("ablation.ron"), "--device", "cpu", "--out", &path("ablation")]);
    let table = fs::read_to_string(path("ablation/measures.csv")).unwrap();
    for cell in ["none", "cfg"] {
        assert!(table.lines().any(|line| line.contains(cell)), "{cell} is not in\n{table}");
    }
    run(&["calibrate", &path("run.ron"), "--device", "cpu", "--out", &path("marginal.safetensors")]);
    let marginal =
        "guidance: Ssg(base: Conditional, prior: Marginal(file: \"marginal.safetensors\"), beta: 0.5)";
    assert_eq!(go(place.path(), &config(PROMPTS, marginal), "marginal").unwrap().len(), 3);
    // What was measured on one sketch is refused with another.
    save(place.path(), "toy.safetensors", "another");
    let error = go(place.path(), &config(PROMPTS, marginal), "other").unwrap_err().to_string();
    assert!(error.contains("was measured on the model with the weights"), "{error}");
}
