//! From a config to a folder: its contents, resuming after an interruption, traces, editing.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{config, go, prepare};
use nextscale_config::Document;
use nextscale_core::{LogitMap, Passes, ScaleSchedule};
use nextscale_guidance::{Conditional, Guidance, Step};
use nextscale_pipeline::registry::Entry;
use nextscale_pipeline::{Config, Error, Registry, Result, RunOptions, Stop, Summary, run};
use safetensors::SafeTensors;

const VARIANTS: &str = r#"variants: [
    ("none", Conditional),
    ("cfg + ssg", Ssg(base: Cfg(scale: Ramp(1.5)), prior: Dse(), beta: Linear(from: 0.5, to: 0.0))),
]"#;

/// Every file below a folder with its bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

#[test]
fn a_folder_holds_config_images_grid_and_npz() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("out");
    let text = config("Labels([3, 7])", &format!("{VARIANTS}, npz: true"));
    let summary = go(&text, &RunOptions::new(&out)).unwrap();
    assert_eq!((summary.made, summary.found), (4, 0));
    let names: Vec<String> = files(&out).into_keys().map(|path| path.display().to_string()).collect();
    assert_eq!(
        names,
        [
            "cfg-ssg/00000.png",
            "cfg-ssg/00001.png",
            "cfg-ssg.npz",
            "config.ron",
            "grid.png",
            "images.csv",
            "manifest.json",
            "none/00000.png",
            "none/00001.png",
            "none.npz",
        ]
    );
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    // The resolved config is a valid config for the same images.
    let resolved = fs::read_to_string(out.join("config.ron")).unwrap();
    assert_eq!(prepare(&resolved).unwrap().identity(), prepare(&text).unwrap().identity());
    // The same run again finds everything there.
    let again = go(&text, &RunOptions::new(&out)).unwrap();
    assert_eq!((again.made, again.found), (0, 4));
}

/// The conditional logits, with a request to stop after a number of calls.
#[derive(Debug)]
struct Interrupting {
    left: AtomicUsize,
    stop: Stop,
}

impl Guidance for Interrupting {
    fn guide(&self, step: &Step<'_>) -> nextscale_core::Result<LogitMap> {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.stop.request();
        }
        Conditional.guide(step)
    }

    fn passes(&self, k: usize, schedule: &ScaleSchedule) -> Passes {
        Conditional.passes(k, schedule)
    }

    fn lookback(&self) -> usize {
        0
    }
}

/// A run whose rule requests a stop after `calls` scales.
fn go_until(text: &str, options: RunOptions, calls: usize) -> Result<Summary> {
    let rule = Arc::new(Interrupting { left: AtomicUsize::new(calls), stop: options.stop.clone() });
    // It shares a counter with this test, which no config could provide.
    let rule: Arc<dyn Guidance> = rule;
    let registry = Registry::standard().with(Entry::value("Interrupting", "For this test.", rule));
    let config = Config::from_node(&Document::parse("run.ron", text)?, Path::new(""), &registry)?;
    run(&config.prepare()?, &options)
}

#[test]
fn an_interrupted_run_goes_on_and_equals_a_straight_one() {
    let root = tempfile::tempdir().unwrap();
    let variants =
        "variants: [(\"none\", Interrupting), (\"ssg\", Ssg(base: Interrupting, prior: Dse(), beta: 0.5))]";
    let text = config("PerClass(1)", &format!("batch: 3, {variants}"));
    let options = |name: &str| RunOptions {
        trace: Some(root.path().join(format!("{name}-trace.safetensors"))),
        ..RunOptions::new(root.path().join(name))
    };
    // Ten images per rule, three per batch, four scales.
    let straight = go_until(&text, options("straight"), usize::MAX).unwrap();
    assert_eq!(straight.made, 20);

    let pngs = |variant: &str| {
        let folder = root.path().join("broken.partial").join(variant);
        fs::read_dir(folder)
            .unwrap()
            .flatten()
            .filter(|e| e.path().extension() == Some("png".as_ref()))
            .count()
    };
    // In the second batch of the first rule; in the second of the second, after the rest of the first; at the
    // end of a batch.
    for (calls, finished) in [(6, (3, 0)), (4 * 3 + 4 + 1, (10, 3)), (8, (10, 6))] {
        let error = go_until(&text, options("broken"), calls).unwrap_err();
        assert!(matches!(error, Error::Stopped), "{error}");
        assert_eq!((pngs("none"), pngs("ssg")), finished);
        assert!(!root.path().join("broken").exists());
    }
    let last = go_until(&text, options("broken"), usize::MAX).unwrap();
    assert_eq!((last.made, last.found), (4, 16));

    assert_eq!(files(&root.path().join("broken")), files(&root.path().join("straight")));
    for variant in ["none", "ssg"] {
        let trace =
            |name: &str| fs::read(root.path().join(format!("{name}-trace.{variant}.safetensors"))).unwrap();
        assert!(trace("broken") == trace("straight"), "traces of {variant} differ");
    }
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 6);
}

#[test]
fn a_run_that_is_stopped_before_its_first_image_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let options = RunOptions {
        trace: Some(root.path().join("t.safetensors")),
        ..RunOptions::new(root.path().join("out"))
    };
    let text = config("PerClass(1)", "batch: 3, guidance: Interrupting");
    go_until(&text, options, 2).unwrap_err();
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn a_trace_has_everything_in_order() {
    let root = tempfile::tempdir().unwrap();
    let trace = root.path().join("trace.safetensors");
    let rest =
        "batch: 2, guidance: Ssg(base: Cfg(scale: 1.0), prior: Dse(), beta: List([0.5, 0.5, 0.0, 0.5]))";
    let options = RunOptions { trace: Some(trace.clone()), ..RunOptions::new(root.path().join("out")) };
    go(&config("Labels([1, 2, 3])", rest), &options).unwrap();
    let bytes = fs::read(&trace).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let shape = |name: &str| file.tensor(name).ok().map(|tensor| tensor.shape().to_vec());
    for k in 0..4 {
        let positions = (k + 1) * (k + 1);
        for what in ["conditional", "unconditional", "guided"] {
            assert_eq!(shape(&format!("scale.{k}.{what}")), Some(vec![3, positions, 64]), "{what} {k}");
        }
        // Absent at scale 0 and where β is 0.
        let prior = (k == 1 || k == 3).then(|| vec![3, positions, 64]);
        assert_eq!(shape(&format!("scale.{k}.prior")), prior, "prior {k}");
        assert_eq!(shape(&format!("scale.{k}.tokens")), Some(vec![3, positions]));
        assert_eq!(shape(&format!("scale.{k}.canvas")), Some(vec![3, 8, 4, 4]));
    }
    assert_eq!(shape("images"), Some(vec![3, 3, 64, 64]));
    assert_eq!(file.len(), 4 * 5 + 2 + 1);
    assert_eq!(file.tensor("scale.3.tokens").unwrap().dtype(), safetensors::Dtype::I64);

    // guided = cfg + 0.5·(cfg - prior), and the images are those of the PNGs.
    let read = |name: &str| -> Vec<f32> { bytemuck::pod_collect_to_vec(file.tensor(name).unwrap().data()) };
    let (c, u) = (read("scale.3.conditional"), read("scale.3.unconditional"));
    let expected = c.iter().zip(&u).zip(read("scale.3.prior")).map(|((c, u), p)| {
        let cfg = 2.0 * c - u;
        cfg + 0.5 * (cfg - p)
    });
    common::assert_near(&read("scale.3.guided"), &expected.collect::<Vec<_>>(), 1e-4, "guided");
    let last = nextscale_pipeline::images::read(&root.path().join("out/images/00002.png")).unwrap();
    let image = &read("images")[2 * 3 * 4096..];
    for (x, y, channel) in [(0, 0, 0), (63, 5, 1), (20, 40, 2)] {
        let value = image[channel * 4096 + y * 64 + x];
        assert_eq!(last.get_pixel(x as u32, y as u32)[channel], (255.0 * value) as u8);
    }
}

#[test]
fn a_trace_is_cut_to_scales_images_and_fields_and_says_what_it_is_of() {
    let root = tempfile::tempdir().unwrap();
    let rest = "batch: 2, guidance: Ssg(base: Cfg(scale: Ramp(3.0)), prior: Dse(), beta: 0.5)";
    let traced = |name: &str, rest: &str| {
        let trace = root.path().join(format!("{name}.safetensors"));
        let options = RunOptions { trace: Some(trace.clone()), ..RunOptions::new(root.path().join(name)) };
        go(&config("Labels([1, 2, 3, 4, 5])", rest), &options).unwrap();
        fs::read(trace).unwrap()
    };
    let cut = "trace: (scales: [3, 1], images: [4, 1], fields: [Guided, Tokens], dtype: f16)";
    let (whole, cut) = (traced("whole", rest), traced("cut", &format!("{rest}, {cut}")));
    let (whole, few) = (SafeTensors::deserialize(&whole).unwrap(), SafeTensors::deserialize(&cut).unwrap());
    let mut names = few.names();
    names.sort_unstable();
    assert_eq!(names, ["scale.1.guided", "scale.1.tokens", "scale.3.guided", "scale.3.tokens"]);
    for k in [1, 3] {
        let positions = (k + 1) * (k + 1);
        let tensor = |file: &SafeTensors<'_>, what: &str| {
            let tensor = file.tensor(&format!("scale.{k}.{what}")).unwrap();
            (tensor.dtype(), tensor.shape().to_vec(), tensor.data().to_vec())
        };
        let (_, _, all) = tensor(&whole, "tokens");
        let (_, shape, kept) = tensor(&few, "tokens");
        let image = |i: usize| &all[i * positions * 8..(i + 1) * positions * 8];
        assert_eq!((shape, kept), (vec![2, positions], [image(1), image(4)].concat()));
        let (_, _, all) = tensor(&whole, "guided");
        let (dtype, shape, kept) = tensor(&few, "guided");
        assert_eq!((dtype, shape), (safetensors::Dtype::F16, vec![2, positions, 64]));
        let all: Vec<f32> = bytemuck::pod_collect_to_vec(&all);
        let kept: Vec<half::f16> = bytemuck::pod_collect_to_vec(&kept);
        let image = |i: usize| all[i * positions * 64..(i + 1) * positions * 64].iter();
        let rounded: Vec<half::f16> = image(1).chain(image(4)).map(|&v| half::f16::from_f32(v)).collect();
        assert_eq!(kept, rounded);
    }
    // The images are the same ones, and the file says of which run it is.
    let pngs = |name: &str| files(&root.path().join(name).join("images"));
    assert_eq!(pngs("cut"), pngs("whole"));
    let (_, metadata) = SafeTensors::read_metadata(&cut).unwrap();
    let about = metadata.metadata().clone().unwrap();
    assert_eq!((about["labels"].as_str(), about["indices"].as_str()), ("[\"2\",\"5\"]", "[1,4]"));
    assert_eq!(about["scales"], "1 2 3 4");
    let strengths: BTreeMap<String, Vec<f64>> = serde_json::from_str(&about["strengths"]).unwrap();
    assert_eq!(strengths["guidance.base.scale"], [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(strengths["guidance.beta"], [0.5; 4]);
    prepare(&about["config"]).unwrap();
    let error = prepare(&config("Labels([1])", "guidance: Conditional, trace: (scales: [4])")).err().unwrap();
    assert!(error.to_string().contains("there is no scale 4"), "{error}");
}

#[test]
fn a_cut_trace_is_gone_on_with() {
    let root = tempfile::tempdir().unwrap();
    let text = config("PerClass(1)", "batch: 3, guidance: Interrupting, trace: (images: [4, 9])");
    let options = |name: &str| RunOptions {
        trace: Some(root.path().join(format!("{name}.safetensors"))),
        ..RunOptions::new(root.path().join(name))
    };
    go_until(&text, options("straight"), usize::MAX).unwrap();
    // In the second batch, when no image that is kept is done, and in the third.
    for calls in [6, 6] {
        go_until(&text, options("broken"), calls).unwrap_err();
    }
    go_until(&text, options("broken"), usize::MAX).unwrap();
    let trace = |name: &str| fs::read(root.path().join(format!("{name}.safetensors"))).unwrap();
    assert!(trace("broken") == trace("straight"));
}

#[test]
fn editing_keeps_what_it_is_told_to() {
    let root = tempfile::tempdir().unwrap();
    let picture = image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([x as u8 * 4, y as u8 * 4, 90]));
    let given = root.path().join("given.png");
    picture.save(&given).unwrap();
    let edited = |box_: &str, name: &str| {
        let rest = format!("guidance: Conditional, edit: Keep(image: {given:?}, {box_})");
        go(&config("Null", &rest), &RunOptions::new(root.path().join(name))).unwrap();
        fs::read(root.path().join(name).join("images/00000.png")).unwrap()
    };
    let whole = edited("rows: (0, 1), columns: (0, 1)", "whole");
    let half = edited("rows: (0, 1), columns: (0, 0.5)", "half");
    assert_ne!(whole, half);
    // With everything kept, seeds have no effect.
    let rest = format!("guidance: Conditional, edit: Keep(image: {given:?}, rows: (0, 1), columns: (0, 1))");
    let text = config("Null", &rest).replace("seed: 3", "seed: 4");
    go(&text, &RunOptions::new(root.path().join("other"))).unwrap();
    assert_eq!(fs::read(root.path().join("other/images/00000.png")).unwrap(), whole);

    // Several images and boxes, requantised tokens, and given pixels pasted over the kept part.
    let other = image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([200, x as u8, (x * y) as u8]));
    other.save(root.path().join("other.png")).unwrap();
    let boxes = "boxes: [(rows: (0, 0.5), columns: (0, 1)), (rows: (0.5, 1), columns: (0.5, 1))]";
    let images = format!("images: [{given:?}, {:?}]", root.path().join("other.png"));
    let pasted = |more: &str, name: &str| {
        let rest = format!("guidance: Conditional, edit: Keep({images}, {boxes}{more})");
        let summary = go(&config("Null(3)", &rest), &RunOptions::new(root.path().join(name))).unwrap();
        let picture = |i: u64| {
            image::open(root.path().join(name).join(format!("images/0000{i}.png"))).unwrap().into_rgb8()
        };
        (summary.kept.unwrap(), (0..3).map(picture).collect::<Vec<_>>())
    };
    let (encoded, plain) = pasted("", "plain");
    let (requantised, made) = pasted(", tokens: Requantised, paste: true", "pasted");
    assert_eq!(encoded.reconstruction, requantised.reconstruction);
    assert!(!encoded.pasted && requantised.pasted);
    assert!(requantised != encoded && encoded.mean() > 0.0, "{requantised:?} {encoded:?}");
    let kept = |x: u32, y: u32| y < 32 || x >= 32;
    for (i, given) in [&picture, &other, &picture].into_iter().enumerate() {
        let same = |made: &image::RgbImage| {
            given
                .enumerate_pixels()
                .filter(|(x, y, _)| kept(*x, *y))
                .all(|(x, y, p)| made.get_pixel(x, y) == p)
        };
        assert!(same(&made[i]) && !same(&plain[i]));
    }

    // A larger image, resized: as its middle is, given in the right size.
    let wide = image::RgbImage::from_fn(200, 128, |x, y| image::Rgb([x as u8, y as u8, 90]));
    wide.save(root.path().join("wide.png")).unwrap();
    nextscale_files::centre_square(&wide, 64).save(root.path().join("middle.png")).unwrap();
    let of = |image: &str, more: &str, name: &str| {
        let image = root.path().join(image);
        let edit = format!("Paint(image: {image:?}, rows: (0, 1), columns: (0, 0.5), paste: true{more})");
        let rest = format!("guidance: Conditional, edit: {edit}");
        go(&config("Null", &rest), &RunOptions::new(root.path().join(name))).unwrap();
        fs::read(root.path().join(name).join("images/00000.png")).unwrap()
    };
    assert!(of("wide.png", ", resize: true", "resized") == of("middle.png", "", "as-given"));

    image::RgbImage::new(32, 64).save(&given).unwrap();
    let error = go(&text, &RunOptions::new(root.path().join("small"))).unwrap_err().to_string();
    assert!(error.contains("32 × 64 pixels, and the model's images are 64 × 64"), "{error}");
    assert!(!root.path().join("small.partial").exists());
}

/// With a trained tokenizer, requantised tokens reduce the kept part's error to about that of the tokenizer
/// alone.
#[test]
fn requantised_tokens_keep_more_than_those_of_the_given_image() {
    let root = tempfile::tempdir().unwrap();
    let shipped = |rest: &str| format!("(model: Shipped(\"cifar10\"), guidance: Cfg(scale: 2.0), {rest})");
    go(&shipped("condition: Labels([8])"), &RunOptions::new(root.path().join("given"))).unwrap();
    let given = root.path().join("given/images/00000.png");
    let kept = |tokens: &str| {
        let edit = format!("Keep(image: {given:?}, rows: (0, 1), columns: (0, 0.5), tokens: {tokens})");
        let text = shipped(&format!("seed: 5, condition: Labels([0, 3, 6, 9]), edit: {edit}"));
        go(&text, &RunOptions::new(root.path().join(tokens))).unwrap().kept.unwrap()
    };
    let (encoded, requantised) = (kept("Encoded"), kept("Requantised"));
    println!(
        "encoded {:.1}, requantised {:.1}, the tokenizer alone {:.1}",
        encoded.mean(),
        requantised.mean(),
        encoded.reconstruction
    );
    assert!(requantised.mean() < 0.8 * encoded.mean(), "{requantised:?} {encoded:?}");
}
