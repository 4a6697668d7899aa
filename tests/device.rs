//! The device path on a graphics device of this machine, for which a software one is enough (Debian's mesa-vulkan-drivers):
//! the same generations, edits, trainings and measures as on the CPU, within stated bounds, and no copy in the loop but that of the
//! draw's random numbers. WGSL kernels, which every graphics driver takes.
//!
//! `cargo test --profile device --features wgpu --test device`. Without a device the tests say so and end;
//! NEXTSCALE_NEEDS_DEVICE=1 makes that a failure. NEXTSCALE_TEST_DEVICE names another device that computes in f32, `tch:cpu`, in a
//! build with its feature.

mod inputs;
mod kernels;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use burn::tensor::{Device, Int, Tensor, TensorData};
use nextscale::core::noise::Counter;
use nextscale::core::{Condition, Draw, Dtype, LogitMap};
use nextscale::generate::Copies;
use nextscale::generate::observe::{Observer, Seen};
use nextscale::generate::sampler::{Moment, Sampler};
use nextscale::parity::{Arithmetic, Fixtures, Line, Setting};
use nextscale::pipeline::device::{DeviceChoice, Kind, all, describe, kind};
use nextscale::pipeline::{Batch, Config, Generator, LoadOptions, Registry, Stop};

use inputs::{command, fashion_mnist, tiny_model, write_given};

/// How far guided logits, canvases and images may be from the CPU's, as a part of the largest value of a tensor. The largest seen
/// is 9.7e-6, on lavapipe: images under `more_smooth`, which divides logits by temperatures down to 0.0135.
const BOUND: f64 = 5e-5;
/// The part of the tokens that may differ: near-ties, which rounding decides.
const TOKENS: f64 = 0.005;
/// The same in f16, beside the CPU's f32, of the tests' tiny model, whose images are 1.1e-2 off in `selfcheck`, and of the shipped
/// one, whose guided logits are 2.6e-3 off.
const HALF: f64 = 2e-2;
const HALF_SHIPPED: f64 = 4e-3;
/// A draw falls on another code where the sum of probabilities before it is off; on the shipped model 14 of 260 did.
const HALF_TOKENS: f64 = 0.08;

/// A discriminator beside a tokenizer, whose halvings of images are pooling elsewhere than on the CPU.
const DISCRIMINATOR: &str = "adversarial=Some((weight: 0.1, from_step: 1, channels: 8))";

/// The device that is asked for, or the first graphics device, under the name that the program has for it.
fn device() -> Option<(String, Device)> {
    if let Ok(name) = std::env::var("NEXTSCALE_TEST_DEVICE") {
        let device = name.parse::<DeviceChoice>().unwrap().open().unwrap();
        return Some((name, device));
    }
    let found = all().into_iter().find(|(_, kind, _)| *kind == Some(Kind::Wgpu));
    if found.is_none() {
        assert!(std::env::var_os("NEXTSCALE_NEEDS_DEVICE").is_none(), "there is no graphics device");
        println!("SKIPPED: there is no graphics device on this machine");
    }
    found.map(|(choice, _, device)| (choice.to_string(), device))
}

fn with_libtorch(device: &Device) -> bool {
    Kind::of(device).is_some_and(|kind| kind.feature() == "tch")
}

/// One after another: kernels that one test has compiled serve the next, and times are told.
#[test]
fn everything_runs_on_a_device_as_on_the_cpu() {
    let Some((name, device)) = device() else { return };
    let begin = Instant::now();
    let told = |what: &str| println!("-- {what}: done after {} s", begin.elapsed().as_secs());
    names(&name, &device);
    told("names");
    selfcheck(&device, Dtype::F32);
    told("selfcheck");
    for run in runs() {
        generation(&device, &run, Dtype::F32);
        told(run.name);
    }
    selfcheck(&device, Dtype::F16);
    told("selfcheck in f16");
    if with_libtorch(&device) {
        println!("SKIPPED: generations of {name} in f16, whose bounds are those of other devices");
    } else {
        for run in runs().iter().take(2) {
            generation(&device, run, Dtype::F16);
            told(&format!("{} in f16", run.name));
        }
    }
    commands(&name);
    told("commands");
}

#[test]
fn kernels_give_what_the_host_gives() {
    let Some((name, device)) = device() else { return };
    if with_libtorch(&device) {
        println!("SKIPPED: {name} computes with LibTorch's operations");
        return;
    }
    kernels::run(&device);
}

fn names(name: &str, device: &Device) {
    let choice = name.parse::<DeviceChoice>().unwrap();
    assert_eq!(choice.open().unwrap(), *device);
    let DeviceChoice::Of(expected, _) = choice else { panic!("{name} is not a device") };
    assert_eq!(Kind::of(device), Some(expected));
    assert_eq!(Kind::of(&device.clone().autodiff()), Some(expected));
    assert_eq!(kind(device, Dtype::F32), expected.name());
    assert_eq!(kind(device, Dtype::F16), format!("{}, f16", expected.name()));
    let described = describe(device);
    println!("on {name}: {described:?}");
    assert!(described.types.contains(&"f32"));
    if expected.feature() != "tch" {
        assert!(described.name.is_some());
        // A program that stands for a GPU is not what `auto` takes.
        assert_eq!(DeviceChoice::Auto.decide() == DeviceChoice::Cpu, described.software);
    }
}

/// Within the bounds of f32, which are the CPU's, but for what generation computes in another type.
fn selfcheck(device: &Device, dtype: Dtype) {
    let fixtures = Fixtures::compiled_in();
    let setting = Setting { dtype, ..Setting::new(&fixtures, device, Arithmetic::F32) };
    let lines = nextscale::parity::run(&setting, |line| println!("{line}"));
    assert!(lines.iter().all(Line::is_ok));
}

/// A run on both devices.
struct Run {
    name: &'static str,
    /// Of the shipped model; else of the tests' tiny one.
    shipped: bool,
    config: &'static str,
    /// The copies to the device at every scale but the first, where priors' operators are made as well.
    copies: u64,
}

fn runs() -> [Run; 7] {
    let run = |name, config| Run { name, shipped: false, config, copies: 1 };
    let cfg = "guidance: Cfg(scale: Ramp(3.0)), sampling: TopKTopP(top_k: 0, top_p: 0.0, temperature: 0.7)";
    let smooth = "guidance: Cfg(scale: 1.5), sampling: TopKTopP(top_k: 20, top_p: 0.9, more_smooth: true)";
    [
        Run { shipped: true, ..run("the shipped model under CFG", cfg) },
        run(
            "SSG over CFG",
            "guidance: Ssg(base: Cfg(scale: 1.5), prior: Dse(), beta: 0.5), sampling: TopKTopP(top_k: 20)",
        ),
        // The noise of the mix, besides that of the draw.
        Run { copies: 2, ..run("more_smooth", smooth) },
        run("APG", "guidance: Apg(scale: 3.0)"),
        run("a gated rule", "guidance: Gated(rule: Cfg(scale: 3.0), by: Entropy(above: 0.5))"),
        run(
            "an edit",
            "guidance: Cfg(scale: 1.5), edit: Paint(image: \"given.png\", rows: (0.25, 0.75), columns: (0.0, 0.5))",
        ),
        run(
            "an edit, requantised",
            "guidance: Cfg(scale: 1.5), edit: Keep(image: \"given.png\", rows: (0.0, 0.5), columns: (0.0, 1.0), tokens: Requantised)",
        ),
    ]
}

/// Keeps what a sampler draws, on its device, and answers with given tokens where there are any, so that a token that
/// differs is one difference and does not lead to another image.
#[derive(Debug)]
struct Following {
    sampler: Arc<dyn Sampler>,
    given: Vec<Tensor<3, Int>>,
    drawn: Mutex<Vec<Tensor<3, Int>>>,
}

impl Sampler for Following {
    fn draw(&self, logits: &LogitMap, moment: &Moment<'_>) -> nextscale::core::Result<Draw> {
        let Draw { tokens, weights } = self.sampler.draw(logits, moment)?;
        self.drawn.lock().unwrap().push(tokens.clone());
        Ok(Draw { tokens: self.given.get(moment.scale).cloned().unwrap_or(tokens), weights })
    }
}

/// Keeps every scale's guided logits and canvas, on their device, and counts copies.
#[derive(Default)]
struct Kept {
    logits: Vec<Tensor<3>>,
    canvases: Vec<Tensor<4>>,
    copies: Vec<Copies>,
    images: Option<Tensor<4>>,
    at: Copies,
}

impl Observer for Kept {
    fn scale(&mut self, seen: &Seen<'_>) -> nextscale::generate::Result<()> {
        self.logits.push(seen.guided.values().clone());
        self.canvases.push(seen.canvas.features.clone());
        let now = Copies::so_far();
        self.copies.push(now.since(self.at));
        self.at = now;
        Ok(())
    }

    fn images(&mut self, images: &Tensor<4>) -> nextscale::generate::Result<()> {
        self.images = Some(images.clone());
        Ok(())
    }
}

fn floats<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.to_data().try_into_vec_as().unwrap()
}

fn integers(tensor: &Tensor<3, Int>) -> Vec<i64> {
    tensor.to_data().try_into_vec_as().unwrap()
}

/// The largest difference, as a part of the largest value.
fn gap(ours: &[f32], theirs: &[f32]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let reach = theirs.iter().fold(0.0_f64, |reach, &x| reach.max(f64::from(x).abs()));
    let largest = ours.iter().zip(theirs).fold(0.0_f64, |largest, (&a, &b)| {
        let difference = (f64::from(a) - f64::from(b)).abs();
        if a == b {
            largest
        } else if difference.is_finite() {
            largest.max(difference)
        } else {
            f64::INFINITY
        }
    });
    if largest == 0.0 { 0.0 } else { largest / reach }
}

fn model(shipped: bool) -> String {
    if shipped { "Shipped(\"cifar10\")".into() } else { tiny_model() }
}

fn generation(device: &Device, run: &Run, dtype: Dtype) {
    let folder = tempfile::tempdir().unwrap();
    write_given(&folder.path().join("given.png"));
    let path = folder.path().join("run.ron");
    let model = model(run.shipped);
    fs::write(
        &path,
        format!("(model: {model}, condition: Labels([3, 5]), batch: 2, seed: 4, {})", run.config),
    )
    .unwrap();
    let prepared = Config::read(&path, &Registry::standard()).unwrap().prepare().unwrap();
    let config = &prepared.config;
    let on = |device: &Device, dtype: Dtype, given: Vec<Tensor<3, Int>>| {
        let model = prepared
            .load(&LoadOptions {
                dtype,
                with_encoder: config.edit.is_some(),
                conditions: &prepared.conditions,
                ..LoadOptions::new(device)
            })
            .unwrap();
        let edit = config.edit.as_ref().map(|edit| edit.load(&*model.tokenizer).unwrap().edit);
        let sampler = Arc::new(Following { sampler: config.sampler.clone(), given, drawn: Mutex::default() });
        let noise = Arc::new(Counter::new(config.seed));
        let rule = config.methods[0].rule.clone();
        let mut generator = Generator::new(model, rule, sampler.clone(), noise).unwrap();
        if let Some(edit) = edit {
            generator = generator.with_edit(edit);
        }
        let conditions: Vec<Condition> = prepared.conditions.clone();
        let batch = Batch { images: &[0, 1], conditions: &conditions };
        // The first batch brings what stays: operators of priors, compiled kernels.
        if !nextscale::core::is_cpu(device) {
            generator.batch(batch, &mut Kept::default(), &Stop::new()).unwrap();
            sampler.drawn.lock().unwrap().clear();
        }
        let mut kept = Kept { at: Copies::so_far(), ..Kept::default() };
        generator.batch(batch, &mut kept, &Stop::new()).unwrap();
        let drawn = std::mem::take(&mut *sampler.drawn.lock().unwrap());
        (kept, drawn)
    };
    let (cpu, drawn) = on(&Device::flex(), Dtype::F32, Vec::new());
    let given = drawn.iter().map(|tokens| {
        let data = TensorData::new(integers(tokens), tokens.dims());
        Tensor::<3, Int>::from_data(data, device)
    });
    let (ours, redrawn) = on(device, dtype, given.collect());

    let (mut wrong, mut tokens) = (0, 0);
    for (ours, theirs) in redrawn.iter().map(integers).zip(drawn.iter().map(integers)) {
        assert_eq!(ours.len(), theirs.len());
        tokens += theirs.len();
        wrong += ours.iter().zip(&theirs).filter(|(ours, theirs)| ours != theirs).count();
    }
    let largest = |gaps: &mut dyn Iterator<Item = f64>| gaps.fold(0.0, f64::max);
    let logits = largest(&mut ours.logits.iter().zip(&cpu.logits).map(|(a, b)| gap(&floats(a), &floats(b))));
    let canvases =
        largest(&mut ours.canvases.iter().zip(&cpu.canvases).map(|(a, b)| gap(&floats(a), &floats(b))));
    let images = gap(&floats(&ours.images.unwrap()), &floats(&cpu.images.unwrap()));
    println!(
        "{} in {dtype}: {wrong} of {tokens} tokens differ; logits {logits:.1e}, canvases {canvases:.1e}, images {images:.1e}; copies {:?}",
        run.name, ours.copies
    );
    assert!(ours.logits.len() == cpu.logits.len() && tokens > 0);
    let [bound, share] = match (dtype, run.shipped) {
        (Dtype::F32, _) => [BOUND, TOKENS],
        (_, true) => [HALF_SHIPPED, HALF_TOKENS],
        (_, false) => [HALF, HALF_TOKENS],
    };
    if dtype != Dtype::F32 {
        // Nothing that computes in f32 is that far off.
        assert!(logits > BOUND && images > BOUND, "{}: {dtype} is f32", run.name);
    }
    for (what, gap) in [("logits", logits), ("canvases", canvases), ("images", images)] {
        assert!(gap <= bound, "{} in {dtype}: {what} are {gap:e} off, allowed {bound:e}", run.name);
    }
    assert!(
        wrong as f64 <= share * tokens as f64,
        "{} in {dtype}: {wrong} of {tokens} tokens differ",
        run.name
    );
    for (k, copies) in ours.copies.iter().enumerate() {
        assert_eq!((copies.up, copies.down), (run.copies, 0), "{}: scale {k}: {copies:?}", run.name);
    }
}

fn commands(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    write_given(&at("given.png"));
    for (at, flip) in [("real/0.png", false), ("real/1.png", true)].map(|(path, flip)| (at(path), flip)) {
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        let picture = image::open(folder.path().join("given.png")).unwrap();
        if flip { picture.fliph() } else { picture }.save(at).unwrap();
    }
    let model = model(false);
    fs::write(
        at("run.ron"),
        format!("(model: {model}, condition: Labels([3, 5]), batch: 2, guidance: Cfg(scale: 1.5), sampling: TopKTopP(top_k: 20))"),
    )
    .unwrap();
    fs::write(
        at("ablation.ron"),
        format!(
            "(base: (model: {model}, condition: Labels([3, 5]), batch: 2, guidance: Cfg(scale: 1.5)),
             variants: [
                (name: \"none\", set: {{}}),
                (name: \"ssg\", set: {{\"guidance\": Ssg(base: Cfg(scale: 1.5), prior: Dse(), beta: 0.5)}}),
             ],
             baseline: \"none\", seeds: [1, 2], samples: 2, traces: 2, reference: Images(\"real\"), timing: 0)"
        ),
    )
    .unwrap();
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    for device in ["cpu", name] {
        let out = |what: &str| text(at(&format!("{}-{what}", device.replace(':', "-"))));
        let run = |arguments: &[&str], out: &str| {
            let begin = Instant::now();
            command(&[arguments, &["--out", out, "--device", device]].concat());
            println!("-- {} on {device}: {} s", arguments[0], begin.elapsed().as_secs());
        };
        run(&["generate", &text(at("run.ron"))], &out("run"));
        run(&["calibrate", &text(at("run.ron")), "--seed", "9"], &out("marginal.safetensors"));
        run(&["ablate", &text(at("ablation.ron"))], &out("ablation"));
        let evaluated = out("evaluated.json");
        let images = text(at("real"));
        command(&["evaluate", &out("run"), "--reference", &images, "--json", &evaluated, "--device", device]);
        for (what, settings) in [
            ("tokenizer", ["unquantised_steps=2", "steps=4", "restart_every=1", DISCRIMINATOR].as_slice()),
            ("backbone", &["steps=3", "model.depth=2"]),
        ] {
            let config = format!("{}/configs/train/fashion-mnist-{what}.ron", env!("CARGO_MANIFEST_DIR"));
            fashion_mnist(&at("data"));
            let data = format!("data=FashionMnist({:?})", at("data"));
            // The backbone's starts from the CPU's tokenizer on both.
            let tokenizer = format!("tokenizer={:?}", at("cpu-tokenizer/tokenizer.safetensors"));
            let mut arguments = vec![
                "train",
                what,
                &config,
                "--set",
                &data,
                "--set",
                "batch=4",
                "--set",
                "training.log_every=1",
            ];
            settings.iter().for_each(|setting| arguments.extend(["--set", setting]));
            if what == "backbone" {
                arguments.extend(["--set", &tokenizer]);
            }
            run(&arguments, &out(what));
        }
    }
    compare(&|device, path| at(&format!("{}-{path}", device.replace(':', "-"))), name);
}

/// What the commands wrote on both devices.
fn compare(at: &dyn Fn(&str, &str) -> PathBuf, name: &str) {
    // Averages of logits, over the images of a calibration.
    let averages = |device: &str| {
        let bytes = fs::read(at(device, "marginal.safetensors")).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let mut names: Vec<String> = file.names().into_iter().map(|name| name.to_string()).collect();
        names.sort();
        let values = names.iter().flat_map(|name| {
            let tensor = file.tensor(name).unwrap();
            assert_eq!(tensor.dtype(), safetensors::Dtype::F32, "{name}");
            tensor.data().chunks(4).map(|x| f32::from_le_bytes(x.try_into().unwrap())).collect::<Vec<_>>()
        });
        values.collect::<Vec<f32>>()
    };
    let marginal = gap(&averages(name), &averages("cpu"));
    // The losses of every step of both trainings.
    let losses = |device: &str, what: &str| {
        let text = fs::read_to_string(at(device, what).join("log.csv")).unwrap();
        let column = text.lines().next().unwrap().split(',').position(|column| column == "loss").unwrap();
        let loss = |line: &str| line.split(',').nth(column).unwrap().parse::<f32>().unwrap();
        text.lines().skip(1).map(loss).collect::<Vec<f32>>()
    };
    let trained = ["tokenizer", "backbone"].map(|what| {
        let (ours, theirs) = (losses(name, what), losses("cpu", what));
        assert!(theirs.len() >= 3, "{what}: {theirs:?}");
        println!("losses of the {what}: {ours:?}, on the CPU {theirs:?}");
        gap(&ours, &theirs)
    });
    // The same pictures, except for last digits.
    let picture = |device: &str, image: u32| {
        let path = at(device, "run").join(format!("images/{image:05}.png"));
        image::open(path).unwrap().to_rgb8().into_raw()
    };
    let furthest = (0..2).flat_map(|image| {
        let pairs = picture(name, image).into_iter().zip(picture("cpu", image));
        pairs.map(|(ours, theirs)| ours.abs_diff(theirs)).collect::<Vec<_>>()
    });
    let furthest = furthest.max().unwrap();
    // Every number of an evaluation.
    let measures = |device: &str| {
        let text = fs::read_to_string(at(device, "evaluated.json")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut numbers = Vec::new();
        collect(&json["measures"], &mut numbers);
        assert!(!numbers.is_empty(), "{text}");
        numbers
    };
    let evaluated = gap(&measures(name), &measures("cpu"));
    for path in ["report.md", "measures.csv"] {
        assert!(at(name, "ablation").join(path).is_file());
    }
    // Scale by scale what happened at it: entropies, corrections, energies of bands. Each within a part of itself, since the
    // energies of low bands are many times those of high ones.
    let (ours, theirs) = (traced(&at(name, "ablation")), traced(&at("cpu", "ablation")));
    assert!(ours.len() == theirs.len() && theirs.len() > 50, "{} numbers of scales", theirs.len());
    let far = |(ours, theirs): (&f32, &f32)| (ours - theirs).abs() / theirs.abs().max(1e-3);
    let scales = ours.iter().zip(&theirs).map(far).fold(0.0, f32::max);
    println!("numbers of scales {scales:.1e}");
    assert!(f64::from(scales) <= BOUND, "{scales:e}");
    println!(
        "calibration {marginal:.1e}, losses {:.1e} and {:.1e}, pixels {furthest} of 255, evaluation {evaluated:.1e}",
        trained[0], trained[1]
    );
    assert!(marginal <= BOUND && furthest <= 1);
    // FD is a difference of nearly equal numbers.
    assert!(evaluated <= 1e-3, "{evaluated:e}");
    // The CPU's Muon multiplies in bf16 where the processor does.
    assert!(trained[0] <= 1e-5 && trained[1] <= 2e-3, "{trained:?}");
}

/// The numbers of every scale of an ablation's traces: first those of the rule without a prior.
fn traced(folder: &Path) -> Vec<f32> {
    let mut texts = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                folders.push(path);
            } else if name.starts_with("trace-") && name.ends_with(".json") {
                texts.push(fs::read_to_string(path).unwrap());
            }
        }
    }
    assert_eq!(texts.len(), 2);
    let json = texts.iter().map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap());
    let mut rules: Vec<Vec<f32>> = json
        .map(|json| {
            let mut numbers = Vec::new();
            collect(&json, &mut numbers);
            numbers
        })
        .collect();
    rules.sort_by_key(Vec::len);
    rules.concat()
}

fn collect(value: &serde_json::Value, numbers: &mut Vec<f32>) {
    match value {
        serde_json::Value::Number(number) => numbers.extend(number.as_f64().map(|x| x as f32)),
        serde_json::Value::Array(values) => values.iter().for_each(|value| collect(value, numbers)),
        serde_json::Value::Object(values) => values.values().for_each(|value| collect(value, numbers)),
        _ => {}
    }
}
