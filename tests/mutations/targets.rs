//! The targets of damaged bytes: every reader of files that other programs, or people, write.

use std::path::{Path, PathBuf};

use nextscale::ablation::judge::Judges;
use nextscale::ablation::validate::Card;
use nextscale::ablation::{Ablation, Store};
use nextscale::config::Document;
use nextscale::families::infinity::training::tokenizer::TrainBitwise;
use nextscale::families::var::training as var;
use nextscale::metrics::source::ImageSource;
use nextscale::metrics::{Probe, Statistics};
use nextscale::pipeline::{Config, Registry};
use nextscale::text::PaddedEncoder;
use nextscale::train::data::Source;
use nextscale::weights::WeightFile;

/// Reads bytes, ignoring the result.
type Read = Box<dyn Fn(&[u8])>;

/// A reader, and sound input for it.
pub struct Target {
    pub name: &'static str,
    pub corpus: Vec<Vec<u8>>,
    pub read: Read,
}

fn project() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    // The fuzz targets, which read with these readers too, are a folder deeper.
    let deeper = here.ends_with("fuzz").then(|| here.parent()).flatten();
    deeper.unwrap_or(here).into()
}

/// All files of a folder with this ending.
fn files(folder: &str, ending: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> =
        std::fs::read_dir(project().join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let named = |path: &PathBuf| path.to_string_lossy().ends_with(ending);
    paths.iter().filter(|path| named(path)).map(|path| std::fs::read(path).unwrap()).collect()
}

/// Reads bytes from a file of this name, in a temporary folder.
fn from_file(name: &'static str, read: impl Fn(&Path) + 'static) -> Read {
    let folder = tempfile::tempdir().unwrap();
    Box::new(move |bytes| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        read(&path);
    })
}

/// Opens a language model of which one description at a time is damaged, and reads a prompt.
fn language_model() -> Read {
    let folder = tempfile::tempdir().unwrap();
    let sound = project().join("tests/fixtures/text/qwen2");
    for entry in std::fs::read_dir(sound).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    Box::new(move |bytes| {
        for name in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
            let path = folder.path().join(name);
            let kept = std::fs::read(&path).unwrap();
            std::fs::write(&path, bytes).unwrap();
            if let Ok(encoder) = PaddedEncoder::open(folder.path(), folder.path(), 12, Some("Draw: ")) {
                let _ = encoder.tokenizer().tokens("a réd truck 🚚 <|im_end|>");
            }
            std::fs::write(path, kept).unwrap();
        }
    })
}

pub fn targets() -> Vec<Target> {
    let configs = || {
        [files("configs", ".ron"), files("configs/train", ".ron"), files("configs/validate", ".ron")].concat()
    };
    let mut all = vec![
        Target {
            name: "config",
            corpus: configs(),
            read: Box::new(|bytes| {
                let Ok(text) = std::str::from_utf8(bytes) else { return };
                let registry = Registry::standard();
                let Ok(tree) = Document::parse("mutant.ron", text) else { return };
                let folder = project().join("configs");
                let _ = Config::from_node(&tree, &folder, &registry).and_then(Config::prepare);
                let _ = Ablation::from_node(&tree, &folder, &registry, &Judges::standard());
                let _ = Card::from_node(&tree, &folder, &registry, None);
                let _ = tree.decode::<var::TrainTokenizer>();
                let _ = tree.decode::<var::TrainBackbone>();
                let _ = tree.decode::<TrainBitwise>();
            }),
        },
        Target {
            name: "config-set",
            corpus: [
                "guidance.beta=0.4",
                "guidance.prior=Dse(low_band: Verbatim)",
                "variants[1].1.beta=2",
                "x=None",
            ]
            .map(|text| text.as_bytes().to_vec())
            .to_vec(),
            read: Box::new(|bytes| {
                let Ok(text) = std::str::from_utf8(bytes) else { return };
                let config = std::fs::read_to_string(project().join("configs/quickstart.ron")).unwrap();
                let mut tree = Document::parse("quickstart.ron", &config).unwrap();
                let _ = tree.assign(text);
                let _ = Config::from_node(&tree, Path::new(""), &Registry::standard());
            }),
        },
        Target {
            name: "weights-pickle",
            corpus: ["vae.pth", "var_aln.pth", "var_saln.pth"]
                .map(|name| std::fs::read(project().join("tests/fixtures/var").join(name)).unwrap())
                .to_vec(),
            read: from_file("mutant.pth", |path| {
                if let Ok(file) = WeightFile::open(path) {
                    let _ = Registry::standard().recognise(&file);
                }
            }),
        },
        Target {
            name: "weights-safetensors",
            corpus: [
                "tests/fixtures/var/vae.safetensors",
                "tests/fixtures/var/var_aln.safetensors",
                "tests/fixtures/hart/ada_lin/llm/model.safetensors",
                "tests/fixtures/hart/tokenizer/model.safetensors",
                "models/lite0/cifar10-probe.safetensors",
                "models/cifar10/marginal.safetensors",
            ]
            .map(|name| std::fs::read(project().join(name)).unwrap())
            .to_vec(),
            read: from_file("mutant.safetensors", |path| {
                if let Ok(file) = WeightFile::open(path) {
                    let _ = Registry::standard().recognise(&file);
                }
                let _ = (Probe::read(path), Statistics::read(path));
                let _ = nextscale::pipeline::calibration::read(path);
            }),
        },
        Target {
            name: "weights-language-model",
            corpus: ["config.json", "tokenizer.json", "tokenizer_config.json"]
                .map(|name| std::fs::read(project().join("tests/fixtures/text/qwen2").join(name)).unwrap())
                .to_vec(),
            read: language_model(),
        },
        Target {
            name: "npz",
            corpus: vec![npz(), stored()],
            read: from_file("mutant.npz", |path| {
                if let Ok(source) = ImageSource::open(path) {
                    let _ = source.read(2, |_| Ok(()));
                    let _ = source.labels(&["a".into(), "b".into()]);
                }
                let _ = nextscale::metrics::Input::open(path, None);
            }),
        },
        Target {
            name: "images",
            corpus: [
                image::ImageFormat::Png,
                image::ImageFormat::Jpeg,
                image::ImageFormat::Bmp,
                image::ImageFormat::Tiff,
            ]
            .map(|format| {
                let picture =
                    image::RgbImage::from_fn(9, 7, |x, y| image::Rgb([x as u8 * 20, y as u8 * 30, 7]));
                let mut bytes = std::io::Cursor::new(Vec::new());
                picture.write_to(&mut bytes, format).unwrap();
                bytes.into_inner()
            })
            .to_vec(),
            read: from_file("mutant.png", |path| {
                let folder = path.parent().unwrap();
                if let Ok(source) = ImageSource::open(folder) {
                    let _ = source.read(2, |_| Ok(()));
                }
            }),
        },
        Target {
            name: "idx",
            corpus: vec![idx(&[3, 4, 4], 48), idx(&[3], 3)],
            read: from_file("train-images-idx3-ubyte", |path| {
                let folder = path.parent().unwrap();
                let bytes = std::fs::read(path).unwrap();
                for name in ["train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"] {
                    std::fs::write(folder.join(name), &bytes).unwrap();
                }
                let _ = Source::FashionMnist(folder.into()).load();
            }),
        },
    ];
    all.push(Target {
        name: "json",
        corpus: vec![
            br#"{"name": "a", "version": "0", "device": "cpu", "scales": [[1, 1]], "seeds": [4], "samples": 2, "baseline": 0,
            "measures": ["Pixels"], "folder": ".", "reference": null, "tuned": null, "traces": 4, "completion": "key",
            "cells": [{"name": "cfg", "id": "00ff", "model": "m", "weights": "w", "guidance": "g", "sampling": "s",
            "pixels": "AsTheyAre", "settings": [], "chosen": null}]}"#
                .to_vec(),
            br#"{"format":1,"version":"0","config":"c","weights":"w","device":"cpu","folders":["images"],"images":3}"#.to_vec(),
            br#"{"distances": [[1.5, 2.5], [3.5]]}"#.to_vec(),
        ],
        read: from_file("ablation.json", |path| {
            let folder = path.parent().unwrap();
            let bytes = std::fs::read(path).unwrap();
            std::fs::write(folder.join("manifest.json"), &bytes).unwrap();
            let _ = ImageSource::open(folder);
            let Ok(store) = Store::open_existing(folder) else { return };
            let _ = nextscale::ablation::report::build(
                &store,
                &Judges::standard(),
                &nextscale::burn::tensor::Device::flex(),
                |_, _| {},
            );
            let _ = nextscale::ablation::store::CellImages::find(&folder.join("0"));
        }),
    });
    all
}

fn npz() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    let picture = |i: usize| Ok(image::RgbImage::from_pixel(3, 2, image::Rgb([i as u8; 3])));
    nextscale::pipeline::images::write_npz(&path, 3, (2, 3), Some(&[0, 1, 0]), picture).unwrap();
    std::fs::read(path).unwrap()
}

/// Moments.
fn stored() -> Vec<u8> {
    use npyz::WriterBuilder;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    let mut writer = npyz::npz::NpzWriter::create(&path).unwrap();
    for (name, shape) in [("mu", vec![2]), ("sigma", vec![2, 2])] {
        let array = writer.array::<f64>(name, Default::default()).unwrap().default_dtype().shape(&shape);
        let mut array = array.begin_nd().unwrap();
        array.extend((0..2_usize.pow(shape.len() as u32)).map(|i| i as f64)).unwrap();
        array.finish().unwrap();
    }
    drop(writer);
    std::fs::read(path).unwrap()
}

fn idx(axes: &[u32], bytes: usize) -> Vec<u8> {
    let mut file = vec![0, 0, 8, axes.len() as u8];
    file.extend(axes.iter().flat_map(|axis| axis.to_be_bytes()));
    file.extend((0..bytes).map(|i| i as u8 % 10));
    file
}
