//! What a program asks of an NVIDIA GPU, without one: kernels that compile, and launches, copies and waits, counted
//! scale by scale. The driver is a stand-in (`driver/libcuda.c`) that computes nothing; NVRTC, which compiles
//! kernels, is the real one.
//!
//! `cargo test --profile device --features nextscale-pipeline/cuda --test driver`: without the feature `autotune`,
//! whose trials would be counted, too, and whose times mean nothing here. cubecl measures a device's throughput for
//! these trials alone. NVRTC comes from PyPI; docs/src/gpu.md has the command, which makes the folder target/nvrtc.
//! NEXTSCALE_NVRTC names another such folder. Without it the test says so and ends; NEXTSCALE_NEEDS_NVRTC=1 makes that a
//! failure.
//!
//! `NEXTSCALE_UPDATE_DOCS=1` writes the table of docs/src/gpu.md instead of comparing it.

mod inputs;
mod stand_in;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor};
use nextscale::backbones::var::{Initialisation, VarConfig};
use nextscale::core::noise::Counter;
use nextscale::core::{Condition, Dtype};
use nextscale::generate::Copies;
use nextscale::generate::edit::{Edit, Keep, Region};
use nextscale::generate::observe::{Observer, Part, Seen};
use nextscale::pipeline::device::{DeviceChoice, describe};
use nextscale::pipeline::images::to_pictures;
use nextscale::pipeline::{Batch, Config, Generator, Model, Registry, Stop};
use nextscale::tokenizers::vq::VqvaeConfig;

use inputs::{command, fashion_mnist, tiny_model, write_given};
use stand_in::{Counts, Driver};

/// The cards whose kernels are compiled, by compute capability; the table has the counts of the first.
const CARDS: [u32; 2] = [80, 90];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder that has NVRTC and CUDA's headers as PyPI packs them.
fn nvrtc() -> Option<PathBuf> {
    let named = std::env::var_os("NEXTSCALE_NVRTC").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| root().join("target/nvrtc"));
    let there =
        folder.join("nvidia/cuda_nvrtc/lib").is_dir() && folder.join("nvidia/cuda_runtime/include").is_dir();
    if !there {
        assert!(std::env::var_os("NEXTSCALE_NEEDS_NVRTC").is_none(), "{} has no NVRTC", folder.display());
        println!("SKIPPED: {} has no NVRTC", folder.display());
    }
    there.then_some(folder)
}

#[test]
fn every_kernel_compiles_and_no_scale_copies_more_than_its_random_numbers() {
    let Some(nvrtc) = nvrtc() else { return };
    if cfg!(feature = "autotune") {
        panic!("build this test with --features nextscale-pipeline/cuda, without autotune");
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut compiler = Command::new("cc");
    compiler
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(at("libcuda.so"))
        .arg(root().join("tests/driver/libcuda.c"));
    assert!(compiler.status().expect("cc runs").success());

    let begin = Instant::now();
    // Side by side: NVRTC has one thread.
    let begun = CARDS.map(|card| {
        let counts = at(&format!("counts-{card}"));
        fs::write(&counts, [0_u8; size_of::<Counts>()]).unwrap();
        let libraries = [folder.path().to_owned(), nvrtc.join("nvidia/cuda_nvrtc/lib")];
        let mut counted = Command::new(std::env::current_exe().unwrap());
        counted
            .args(["--exact", "counted", "--ignored", "--nocapture"])
            .env("LD_LIBRARY_PATH", std::env::join_paths(libraries).unwrap())
            .env("CUDA_PATH", nvrtc.join("nvidia/cuda_runtime"))
            .env("STAND_IN_CARD", card.to_string())
            .env("STAND_IN_COUNTS", &counts)
            .env("STAND_IN_TABLE", at(&format!("sm_{card}.md")));
        let log = std::env::var_os("STAND_IN_LOG").map_or_else(|| at("log"), PathBuf::from);
        counted.env("STAND_IN_LOG", log.with_extension(card.to_string()));
        (card, counts, counted.spawn().unwrap())
    });
    let ended = begun.map(|(card, counts, mut counted)| (card, counts, counted.wait().unwrap()));
    for (card, counts, status) in ended {
        assert!(status.success(), "sm_{card}");
        let kernels = Driver(counts).counts().kernels;
        let seconds = begin.elapsed().as_secs();
        println!("sm_{card}: NVRTC compiled {kernels} kernels in {seconds} s at most; nothing was computed");
        assert!(kernels > 100, "{kernels}");
    }
    compare(&fs::read_to_string(at(&format!("sm_{}.md", CARDS[0]))).unwrap());
}

/// Compares the counts with those of the page, between two comments.
fn compare(made: &str) {
    let path = root().join("docs/src/gpu.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once("<!-- counted by tests/driver.rs -->\n").unwrap();
    let (committed, after) = rest.split_once("<!-- end -->\n").unwrap();
    if std::env::var_os("NEXTSCALE_UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{before}<!-- counted by tests/driver.rs -->\n{made}<!-- end -->\n{after}"))
            .unwrap();
        return;
    }
    assert!(agree(made, committed), "docs/src/gpu.md is out of date; the counts are now\n{made}");
}

/// Whether two tables are the same but for numbers that differ by at most one in fifty: burn fuses by what its threads
/// have fused before, so that launches of a training step are now and then a few more. Numbers below fifty are equal.
fn agree(made: &str, committed: &str) -> bool {
    let words = |table: &str| table.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (made, committed) = (words(made), words(committed));
    let alike = |a: &String, b: &String| match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(a), Ok(b)) => a.abs_diff(b) * 50 <= b,
        _ => a == b,
    };
    made.len() == committed.len() && made.iter().zip(&committed).all(|(a, b)| alike(a, b))
}

#[test]
fn tables_agree_up_to_a_fiftieth_of_large_numbers() {
    let page = "| a | 12 | 1000 |";
    assert!(agree(page, page) && agree("| a | 12 | 1020 |", page));
    for other in ["| a | 13 | 1000 |", "| a | 12 | 1021 |", "| b | 12 | 1000 |", "| a | 12 |"] {
        assert!(!agree(other, page), "{other}");
    }
}

/// The process behind the stand-in.
#[test]
#[ignore = "runs in a process of its own, behind the stand-in"]
fn counted() {
    let driver = Driver(std::env::var_os("STAND_IN_COUNTS").unwrap().into());
    let device = "cuda".parse::<DeviceChoice>().unwrap().open().unwrap();
    // Nothing of this is for a GPU that computes.
    assert_eq!(describe(&device).name.as_deref(), Some("stand-in that computes nothing"));
    refusals(&device);
    let mut table = generations(&driver, &device);
    // In this order, since burn fuses by what it has fused before.
    let others = commands(&driver, &device);
    table.push_str(&totals(&driver, &device));
    table.push_str(&others);
    fs::write(std::env::var_os("STAND_IN_TABLE").unwrap(), table).unwrap();
}

/// VAR-d16's blocks, heads, scales and codes at a quarter of its width, which changes no launch.
fn sizes() -> VarConfig {
    VarConfig { width: 256, hidden: 1024, ..VarConfig::published(16).unwrap() }
}

/// Random weights: no weight changes what is asked for.
fn model(device: &Device, dtype: Dtype) -> Model {
    let config = sizes();
    let backbone = config.init_to_generate(&Initialisation::default(), device, dtype).unwrap();
    let tokenizer = VqvaeConfig { channels: 32, ..VqvaeConfig::published() };
    let tokenizer = tokenizer.init(config.schedule, 0, device).unwrap().decoding_in(dtype);
    let conditioner = Arc::new(backbone.conditioner());
    Model::new(Arc::new(tokenizer), Arc::new(backbone), conditioner).unwrap()
}

/// Gradients in f16 would need a scale of their own.
fn refusals(device: &Device) {
    let refusal = sizes().init_to_train(&Initialisation::default(), device, Dtype::F16).err().unwrap();
    assert!(refusal.to_string().contains("train in bf16 or f32"), "{refusal}");
}

/// A rule with its sampling, and the copies to the device at every scale: the draw's random numbers, and those of
/// the soft mix.
struct Run {
    name: &'static str,
    config: &'static str,
    edit: bool,
    copies: u64,
}

/// VAR's own sampling, but for the soft mix.
const RUNS: [Run; 4] = [
    Run {
        name: "CFG",
        config: "guidance: Cfg(scale: Ramp(1.5)), sampling: TopKTopP(top_k: 900, top_p: 0.96)",
        edit: false,
        copies: 1,
    },
    Run {
        name: "SSG over CFG",
        config: "guidance: Ssg(base: Cfg(scale: Ramp(1.5)), prior: Dse(), beta: 0.5), sampling: TopKTopP(top_k: 900, top_p: 0.96)",
        edit: false,
        copies: 1,
    },
    Run {
        name: "CFG, `more_smooth`",
        config: "guidance: Cfg(scale: Ramp(1.5)), sampling: TopKTopP(top_k: 900, top_p: 0.96, more_smooth: true)",
        edit: false,
        copies: 2,
    },
    Run {
        name: "CFG, an edit",
        config: "guidance: Cfg(scale: Ramp(1.5)), sampling: TopKTopP(top_k: 900, top_p: 0.96)",
        edit: true,
        copies: 1,
    },
];

/// Reads the counts between the steps of a batch. Each reading hands over what was begun, and its own wait is not
/// counted.
struct Readings<'a> {
    driver: &'a Driver,
    device: &'a Device,
    idle: Counts,
    at: Counts,
    copies_at: Copies,
    begun: bool,
    counts: Vec<Counts>,
    /// Those of the loop's own, of each scale.
    copies: Vec<Copies>,
}

impl<'a> Readings<'a> {
    fn new(driver: &'a Driver, device: &'a Device) -> Self {
        driver.let_go(device);
        let idle = driver.idle(device);
        let at = driver.after(device);
        let (counts, copies, copies_at) = (Vec::new(), Vec::new(), Copies::so_far());
        Self { driver, device, idle, at, copies_at, begun: false, counts, copies }
    }

    fn read(&mut self) {
        let counts = self.driver.after(self.device);
        self.counts.push(counts.since(self.at).since(self.idle));
        self.at = counts;
    }
}

impl Observer for Readings<'_> {
    /// The first is the start of the sessions.
    fn part(&mut self, _: Part, _: Duration) {
        if !std::mem::replace(&mut self.begun, true) {
            self.read();
            self.copies_at = Copies::so_far();
        }
    }

    fn scale(&mut self, _: &Seen<'_>) -> nextscale::generate::Result<()> {
        self.read();
        let copies = Copies::so_far();
        self.copies.push(copies.since(self.copies_at));
        self.copies_at = copies;
        Ok(())
    }
}

/// One image under every rule, in bf16: what the table has of f32 for every scale, for whole images.
fn totals(driver: &Driver, device: &Device) -> String {
    let registry = Registry::standard();
    let model = model(device, Dtype::Bf16);
    let mut table =
        "\n| the same in bf16 | launches | copies to the GPU | copies from it | waits |\n|---|--:|--:|--:|--:|\n".to_owned();
    for run in &RUNS {
        let counts = generation(driver, device, &model, run, &registry);
        are_halves(&Driver::launched(&counts), sizes().depth);
        let sum = |number: fn(&Counts) -> u64| counts.iter().map(number).sum::<u64>();
        let (launches, up) = (sum(|counts| counts.launches), sum(|counts| counts.to_device));
        let (down, waits) = (sum(|counts| counts.to_host), sum(|counts| counts.waits));
        writeln!(table, "| **{}** | {launches} | {up} | {down} | {waits} |", run.name).unwrap();
    }
    table
}

/// Checks by the names of kernels, which have the types that they read and write, that what a generation in bf16 launches
/// computes in bf16: at its start, at every scale, and after the last.
fn are_halves(parts: &[Vec<String>], depth: usize) {
    let (scales, [image]) = (&parts[1..parts.len() - 1], &parts[parts.len() - 1..]) else { unreachable!() };
    let count = |names: &[String], start: &str| names.iter().filter(|name| name.starts_with(start)).count();
    for (k, names) in scales.iter().enumerate() {
        // Weights, activations and cache: projections, scores, mixtures, outputs, and both layers of the MLP.
        assert_eq!(count(names, "matmul_entry_lhs_bf16"), 6 * depth, "scale {k}: {names:#?}");
        // Two of resampling, the words' and the head; under SSG the prior; and soft mixes of codes.
        assert!(count(names, "matmul_entry_lhs_f32") <= 6, "scale {k}: {names:#?}");
        for (kernel, all) in
            [("split", depth), ("write", depth), ("softmax_rows", depth), ("norm_rows", 2 * depth)]
        {
            assert_eq!(count(names, &format!("{kernel}_t_bf16")), all, "{kernel} at scale {k}: {names:#?}");
        }
        // Nothing is launched only to change a type.
        assert!(
            !names.iter().any(|name| name.starts_with("cast_element") && name.contains("bf16")),
            "scale {k}: {names:#?}"
        );
    }
    // The tokenizer's own convolution, and that which makes the image.
    assert_eq!(count(image, "direct_conv2d"), 2, "{image:#?}");
    // Group norms, of which several cubes take a large group, read bf16, and the last one, before that convolution, writes f32.
    let norms = |types: &str| {
        count(image, &format!("norm_groups_i_{types}")) + count(image, &format!("normalise_i_{types}"))
    };
    assert_eq!(norms("bf16_o_f32"), 1, "{image:#?}");
    assert_eq!(norms("f32"), 0, "{image:#?}");
}

/// One image under every rule.
fn generations(driver: &Driver, device: &Device) -> String {
    let registry = Registry::standard();
    let model = model(device, Dtype::F32);
    let grids: Vec<String> = model.schedule().grids().iter().map(|grid| grid.to_string()).collect();
    let mut table = format!("| VAR-d16, one image | start | {} | image | all |\n", grids.join(" | "));
    writeln!(table, "|---{}|", "|--:".repeat(grids.len() + 3)).unwrap();
    for run in &RUNS {
        let counts = generation(driver, device, &model, run, &registry);
        let mut line = |what: &str, number: fn(&Counts) -> u64| {
            let numbers: Vec<u64> = counts.iter().map(number).collect();
            let cells: Vec<String> = numbers.iter().map(u64::to_string).collect();
            writeln!(table, "| {what} | {} | {} |", cells.join(" | "), numbers.iter().sum::<u64>()).unwrap();
        };
        line(&format!("**{}**: launches", run.name), |counts| counts.launches);
        line("copies to the GPU", |counts| counts.to_device);
        line("copies from it", |counts| counts.to_host);
        line("waits", |counts| counts.waits);
    }
    table
}

fn generation(
    driver: &Driver,
    device: &Device,
    model: &Model,
    run: &Run,
    registry: &Registry,
) -> Vec<Counts> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.ron");
    // Rule and sampling; the model is the given one.
    fs::write(&path, format!("(model: Shipped(\"cifar10\"), condition: Labels([3]), {})", run.config))
        .unwrap();
    let config = Config::read(&path, registry).unwrap();
    let noise = Arc::new(Counter::new(config.seed));
    let mut generator =
        Generator::new(model.clone(), config.methods[0].rule.clone(), config.sampler.clone(), noise).unwrap();
    if run.edit {
        let (height, width) = model.tokenizer.image_size();
        let given = Tensor::zeros([1, 3, height, width], device);
        let region = Region { rows: (0.25, 0.75), columns: (0.0, 0.5) };
        generator =
            generator.with_edit(Edit::of_images(&*model.tokenizer, given, &[region], Keep::Outside).unwrap());
    }
    let conditions = [Condition::Class(3)];
    let batch = Batch { images: &[0], conditions: &conditions };
    let counted = || {
        let mut readings = Readings::new(driver, device);
        to_pictures(generator.batch(batch, &mut readings, &Stop::new()).unwrap()).unwrap();
        readings.read();
        readings
    };
    // The first batches bring what stays: kernels, the sizes that they are told, operators of priors. They are read as the
    // counted one is, since reading hands over what was begun, and burn then fuses other operations.
    // How many it takes differs: burn looks for more to fuse as it goes.
    let mut readings = counted();
    for _ in 0..20 {
        let before = std::mem::replace(&mut readings, counted());
        let compiled = readings.counts.iter().any(|counts| counts.kernels > 0);
        if before.counts == readings.counts && !compiled {
            break;
        }
    }
    let Readings { counts, copies, .. } = readings;
    println!("{}: {counts:?}", run.name);
    assert_eq!((counts.len(), copies.len()), (model.schedule().len() + 2, model.schedule().len()));
    for (k, (counts, copies)) in counts[1..].iter().zip(&copies).enumerate() {
        // Nothing of the size of the logits: a number for each position, and an image's number in three parts.
        let bytes = 4 * model.schedule().grid(k).positions() as u64 + 12;
        assert!(counts.to_device_bytes <= bytes, "{}: scale {k}: {counts:?}", run.name);
        let asked = (counts.to_device, counts.to_host, counts.on_device, counts.waits, counts.kernels);
        assert_eq!(asked, (run.copies, 0, 0, 0, 0), "{}: scale {k}: {counts:?}", run.name);
        // The loop's own count, which tests on other devices read, is the driver's.
        let own = (copies.up, copies.up_bytes, copies.down);
        assert_eq!(own, (counts.to_device, counts.to_device_bytes, 0), "{}: scale {k}", run.name);
        assert!(counts.launches > 0);
    }
    // The pixels come back as bytes, with a flag for each of a picture's 1,024 bytes and each position's logits.
    let (height, width) = model.tokenizer.image_size();
    let pixels = 3 * height * width;
    let most = pixels + 4 * (pixels / 1024 + model.schedule().positions());
    let read = counts[counts.len() - 1].to_host_bytes;
    assert!(
        read <= most as u64,
        "{}: {read} bytes of an image are read, at most {most} are needed",
        run.name
    );
    counts
}

/// What one thing more may ask for at most.
struct Most {
    to_device: u64,
    /// `None` if they are not bounded.
    waits: Option<u64>,
}

/// The other commands, each as the difference of two runs of which one does one thing more.
fn commands(driver: &Driver, device: &Device) -> String {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path).to_str().unwrap().to_owned();
    fs::write(at("model.ron"), format!("(model: {})", tiny_model())).unwrap();
    for count in [2, 3] {
        fs::create_dir(at(&format!("images-{count}"))).unwrap();
        (0..count).for_each(|image| write_given(Path::new(&at(&format!("images-{count}/{image}.png")))));
    }
    fashion_mnist(Path::new(&at("data")));
    let data = format!("data=FashionMnist({:?})", at("data"));
    let tokenizer = format!("tokenizer={:?}", at("of-tokenizer-f32-4/tokenizer.safetensors"));
    let reconstruct = |count: usize| {
        let images = at(&format!("images-{count}"));
        let out = at("reconstructed.npz");
        command(&[
            "reconstruct",
            &at("model.ron"),
            &images,
            "--batch",
            "1",
            "--out",
            &out,
            "--device",
            "cuda",
        ]);
        fs::remove_file(out).unwrap();
    };
    let evaluate = |count: usize| {
        let (images, out) = (at(&format!("images-{count}")), at("statistics.safetensors"));
        command(&["evaluate", &images, "--save-statistics", &out, "--features", "lite0", "--device", "cuda"]);
        fs::remove_file(out).unwrap();
    };
    let calibrate = |count: usize| {
        let (config, out) = (at("calibration.ron"), at("marginal.safetensors"));
        let labels = &[3, 5, 7][..count];
        let model = tiny_model();
        fs::write(&config, format!("(model: {model}, condition: Labels({labels:?}), batch: 1, guidance: Cfg(scale: 1.5), sampling: TopKTopP(top_k: 20))")).unwrap();
        command(&["calibrate", &config, "--out", &out, "--device", "cuda"]);
        fs::remove_file(out).unwrap();
    };
    let train = |what: &str, dtype: Dtype, steps: usize, more: &[&str]| {
        let config = root().join(format!("configs/train/fashion-mnist-{what}.ron"));
        let (config, steps_set) = (config.to_str().unwrap(), format!("steps={steps}"));
        let out = at(&format!("of-{what}-{dtype}-{steps}"));
        let dtype = format!("dtype={dtype}");
        fs::remove_dir_all(&out).ok();
        // Quietly: a line of progress, which has a loss to show, is due after half a minute.
        let always = [
            "--quiet", "train", what, config, "--out", &out, "--device", "cuda", "--set", &data, "--set",
            "batch=4",
        ];
        command(&[&always[..], &["--set", &steps_set, "--set", &dtype], more].concat());
    };
    let train_tokenizer = |dtype| {
        let discriminator = "adversarial=Some((weight: 0.1, from_step: 1, channels: 8))";
        move |steps: usize| {
            train("tokenizer", dtype, steps, &["--set", "unquantised_steps=1", "--set", discriminator]);
        }
    };
    let train_backbone = |dtype| {
        let tokenizer = &tokenizer;
        move |steps: usize| {
            let sizes = ["--set", "model.depth=2", "--set", "shift=2", "--set", tokenizer];
            train("backbone", dtype, steps, &sizes);
        }
    };

    // What a step of a training asks for beside its launches: nothing is read and nothing waits. Copied to the GPU are the images
    // of each of two micro-batches, with the classes of a backbone, and twice the step's rates. What exceeds that are
    // the sizes that burn tells of operations that it newly fuses, as it still does after several runs; and after every 64 copies
    // cubecl waits.
    const STEP: Most = Most { to_device: 10, waits: Some(1) };
    // An image. Its waits are of a thread of cubecl's, for what one thread's stream reads of another's.
    const IMAGE: Most = Most { to_device: 4, waits: None };
    // The draws' numbers of 4 scales and the image's class; what comes back are faults and sums.
    const CALIBRATION: Most = Most { to_device: 10, waits: None };
    let mut table = "\n| one more | launches | copies from the GPU | to it, at most | waits, at most |\n|---|--:|--:|--:|--:|\n".to_owned();
    let mut row = |what: &str, [few, more]: [usize; 2], most: Most, run: &dyn Fn(usize)| {
        let mut counted = |number: usize| {
            let before = driver.after(device);
            run(number);
            driver.after(device).since(before)
        };
        // The first brings what stays.
        counted(more);
        let [few, more] = [few, more].map(&mut counted);
        println!("{what}: {more:?}, with one less {few:?}");
        let Counts { launches, to_host, .. } = more.since(few);
        assert!(launches > 0, "{what}");
        let Most { to_device, waits } = most;
        assert!(more.to_device <= few.to_device + to_device, "{what}: more than {to_device} copies");
        assert!(
            waits.is_none_or(|waits| more.waits <= few.waits + waits),
            "{what}: more than {waits:?} waits"
        );
        let waits = waits.map(|waits| waits.to_string()).unwrap_or_default();
        writeln!(table, "| {what} | {launches} | {to_host} | {to_device} | {waits} |").unwrap();
        more.since(few)
    };
    row("image of `reconstruct`, the tests' tiny model", [2, 3], IMAGE, &reconstruct);
    let calibration = row("image of `calibrate`, the tests' tiny model", [2, 3], CALIBRATION, &calibrate);
    // Sums over the positions of its 4 scales for 64 codes, and a flag for each of 30 positions: its logits have 7,680 bytes.
    assert!(calibration.to_host_bytes <= 4 * (4 * 64 + 30), "{calibration:?}");
    for (dtype, said) in [(Dtype::F32, "Fashion-MNIST, batch 4"), (Dtype::Bf16, "in bf16")] {
        let steps = [
            ("tokenizer`, with a discriminator", &train_tokenizer(dtype) as &dyn Fn(usize)),
            ("backbone`, depth 2, on shifted images", &train_backbone(dtype)),
        ];
        for (what, train) in steps {
            let step = row(&format!("step of `train {what}, {said}"), [3, 4], STEP, train);
            assert_eq!(step.to_host, 0, "{what}, {said}");
        }
    }
    let mut whole = |what: &str, run: &dyn Fn(usize)| {
        run(2);
        let before = driver.after(device);
        run(2);
        let Counts { launches, to_host, .. } = driver.after(device).since(before);
        println!("{what}: {launches}");
        assert!(launches > 0, "{what}");
        writeln!(table, "| {what} | {launches} | {to_host} | | |").unwrap();
    };
    whole("`evaluate` of two images on Lite0's features, loading included", &evaluate);
    table
}
