//! How every command treats all kinds of files and folders.

use super::program::Place;

const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

fn put(place: &Place, name: &str, seed: u32, side: u32) {
    let path = place.path(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let value = |x: u32, y: u32| (seed * 4096 + y * 64 + x).wrapping_mul(2_654_435_761).to_le_bytes();
    let picture = image::RgbImage::from_fn(side, side + seed % 3, |x, y| {
        let bytes = value(x, y);
        image::Rgb([bytes[1], bytes[2], bytes[3]])
    });
    picture.save(path).unwrap();
}

/// `set/{train,test}/{a,b}/N.png`, of different sizes.
fn set(place: &Place) {
    for seed in 0..12 {
        let (split, class) = (["train", "test"][seed as usize % 2], ["a", "b"][seed as usize / 2 % 2]);
        put(place, &format!("set/{split}/{class}/{seed}.png"), seed, 8);
    }
}

#[test]
fn images_are_named_the_same_way_for_every_command() {
    let place = Place::new();
    set(&place);
    place.config("run.ron", "condition: PerClass(1), guidance: Conditional");
    assert_eq!(place.run(&["generate", "run.ron"]).code, Some(0));
    let train = "Train(Folder(root: \"set\", size: 8))";
    let test = "Test(Folder(root: \"set\", size: 8))";
    let ran = place.run(&["evaluate", train, "--reference", test, "--json", "a.json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains(&format!("samples    {train}, 6 images, 8×8")), "{}", ran.out);
    // A folder with --size is the same images.
    let folder = place.run(&["evaluate", "set/train", "--reference", "set/test", "--size", "8"]);
    assert_eq!(folder.code, Some(0), "{folder:?}");
    let first = |out: &str| out.lines().next().unwrap().to_owned();
    assert_eq!(first(&folder.out), first(&ran.out));
    assert!(folder.out.contains("6 images, 8×8, brought to squares of 8"), "{}", folder.out);
    // Without it the first that differs is named, before any image is measured.
    let mixed = place.run(&["evaluate", "set/train", "--reference", "set/test"]);
    assert!(mixed.code == Some(1) && mixed.err.contains("--size N"), "{mixed:?}");
    // A data set with two splits is not a set of images, and the remedy is a line to copy.
    let both =
        place.run(&["evaluate", "Folder(root: \"set\", size: 8)", "--reference", "set/test", "--size", "8"]);
    assert!(both.code == Some(2) && both.err.contains("Test(Folder(root"), "{both:?}");
    let near = place.run(&["neighbours", "set/test", "--data", train, "--out", "a.png", "--size", "8"]);
    assert_eq!(near.code, Some(0), "{near:?}");
    let rebuilt = place.run(&["reconstruct", "run.ron", test, "--out", "rec.npz", "--size", "64"]);
    assert_eq!((rebuilt.code, &*rebuilt.out), (Some(0), "wrote rec.npz: 6 images\n"), "{}", rebuilt.err);
    let run = place.run(&["evaluate", "run", "--reference", "rec.npz", "--rec", "rec.npz"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let shipped = place.run(&["evaluate", "run", "--reference", "cifar10"]);
    assert!(shipped.code == Some(0) && shipped.out.contains("10000 images"), "{shipped:?}");
}

#[test]
fn every_command_says_what_it_passes_over() {
    let place = Place::new();
    set(&place);
    for split in ["train", "test"] {
        std::fs::write(place.path(&format!("set/{split}/a/notes.txt")), "x").unwrap();
    }
    place.config("run.ron", "condition: PerClass(1), guidance: Conditional");
    let folder = "Folder(root: \"set\", size: 8)";
    let commands: [&[&str]; 4] = [
        &["evaluate", "set/train", "--reference", "set/test", "--size", "8"],
        &["neighbours", "set/train", "--data", "set/test", "--out", "a.png", "--size", "8"],
        &["reconstruct", "run.ron", "set/test", "--out", "rec.npz", "--size", "64"],
        &["probe", "fit", folder, "--out", "probe.safetensors"],
    ];
    for arguments in commands {
        let ran = place.run(arguments);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let said = ran.out + &ran.err;
        assert!(said.contains("left out: ") && said.contains(" txt"), "{arguments:?}: {said}");
    }
}

#[test]
fn moments_without_the_network_they_are_of_say_which() {
    let place = Place::new();
    put(&place, "set/0.png", 0, 8);
    let mut writer = npyz::npz::NpzWriter::create(place.path("stats.npz")).unwrap();
    for (name, shape) in [("mu", vec![4]), ("sigma", vec![4, 4])] {
        use npyz::WriterBuilder;
        let array = writer.array::<f64>(name, Default::default()).unwrap().default_dtype().shape(&shape);
        let mut array = array.begin_nd().unwrap();
        let side = shape.len();
        array.extend((0..4_usize.pow(side as u32)).map(|i| f64::from(u8::from(i % 5 == 0)))).unwrap();
        array.finish().unwrap();
    }
    drop(writer);
    let ran = place.run(&["evaluate", "set", "--reference", "stats.npz"]);
    assert!(ran.code == Some(1) && ran.err.contains("--features pt_inception"), "{ran:?}");
    let inspected = place.run(&["inspect", "stats.npz"]);
    assert!(inspected.code == Some(0) && inspected.out.contains("--reference"), "{inspected:?}");
}

#[test]
fn a_tokenizer_alone_is_taken_in_either_format_or_the_config_to_write_is_told() {
    let place = Place::new();
    put(&place, "set/0.png", 0, 64);
    let fixture = format!("{PROJECT}/tests/fixtures/var/vae.pth");
    let ran = place.run(&["reconstruct", &fixture, "set", "--out", "rec.npz"]);
    assert!(ran.code != Some(0) && !ran.err.contains("UTF-8"), "{ran:?}");
    assert!(ran.err.contains("(model: Var(tokenizer:") || ran.err.contains("norm_groups"), "{ran:?}");
    let backbone = format!("{PROJECT}/models/cifar10/backbone.safetensors");
    let none = place.run(&["reconstruct", &backbone, "set", "--out", "rec.npz"]);
    assert!(none.code == Some(2) && none.err.contains("is not a tokenizer"), "{none:?}");
    assert_eq!(place.files(), ["set/0.png"]);
}

#[test]
fn inspect_knows_everything_that_the_program_reads_and_writes() {
    let place = Place::new();
    set(&place);
    place.config("run.ron", "condition: PerClass(1), guidance: Conditional");
    let made = ["generate", "run.ron", "--out", "made", "--trace", "trace.safetensors"];
    assert_eq!(place.run(&made).code, Some(0));
    let saved = ["evaluate", "set/test", "--size", "8", "--save-statistics", "stats.safetensors"];
    assert_eq!(place.run(&saved).code, Some(0));
    let fitted = ["probe", "fit", "Folder(root: \"set\", size: 8)", "--out", "probe.safetensors"];
    assert_eq!(place.run(&fitted).code, Some(0));
    std::fs::write(place.path("ablation.ron"), "(base: (model: Shipped(\"cifar10\")), variants: [])")
        .unwrap();
    std::fs::write(place.path("page.pth"), "<!DOCTYPE html><html></html>").unwrap();
    let of = |file: &str| format!("{PROJECT}/{file}");
    let cases = [
        ("made".into(), "A run folder: 10 images"),
        ("made/config.ron".into(), "nextscale generate made/config.ron"),
        ("trace.safetensors".into(), "A trace of 10 images"),
        ("stats.safetensors".into(), "Statistics of 6 images"),
        ("probe.safetensors".into(), "A linear probe of 2 classes"),
        ("ablation.ron".into(), "The config of an ablation: nextscale ablate"),
        ("set".into(), "A data set by class: 'Folder("),
        ("set/test/a/1.png".into(), "One PNG image"),
        (of("models/lite0/lite0-f16.safetensors"), "takes it as --features"),
        (of("models/lite0/cifar10-probe.safetensors"), "A linear probe of 10 classes"),
        (of("models/lite0/cifar10-test.safetensors"), "Statistics of 10000 images"),
        (of("models/cifar10/marginal.safetensors"), "Marginal(file: ..)"),
        (of("models/cifar10/tokenizer.safetensors"), "tokenizer that can be used"),
        (of("models/cifar10/backbone.safetensors"), "transformer that can be used"),
    ];
    for (file, told) in cases {
        let ran = place.run(&["inspect", &file]);
        assert!(ran.code == Some(0) && ran.out.contains(told), "{file}: {ran:?}");
    }
    let page = place.run(&["inspect", "page.pth"]);
    assert!(page.code == Some(1) && page.err.contains("web page"), "{page:?}");
}

/// Replaces a tensor by name; `None` drops it.
type Change = dyn Fn(&str, Vec<f32>) -> Option<Vec<f32>>;

#[test]
fn inspect_says_what_generate_would() {
    let place = Place::new();
    let whole = nextscale::weights::WeightFile::open(format!("{PROJECT}/tests/fixtures/var/vae.safetensors"))
        .unwrap();
    let tensors = |change: &Change| {
        let named = whole.names().filter_map(|name| {
            let (values, shape) = whole.values(name).unwrap();
            let values = change(name, values)?;
            Some((name.to_owned(), burn::tensor::TensorData::new(values, shape)))
        });
        let path = place.path("vae.safetensors");
        let precision = nextscale::weights::Precision::F32;
        nextscale::weights::save_safetensors(&path, named.collect::<Vec<_>>(), precision, whole.metadata())
            .unwrap();
        place.run(&["inspect", "vae.safetensors"])
    };
    let sound = tensors(&|_, values| Some(values));
    assert_eq!(sound.code, Some(0), "{sound:?}");
    let lacking = tensors(&|name, values| (name != "decoder.conv_out.bias").then_some(values));
    assert!(lacking.code == Some(1) && lacking.err.contains("decoder.conv_out.bias"), "{lacking:?}");
    let diverged = tensors(&|name, mut values| {
        if name == "decoder.conv_out.bias" {
            values[0] = f32::NAN;
        }
        Some(values)
    });
    assert!(diverged.code == Some(1) && diverged.err.contains("holds NaN"), "{diverged:?}");
}

#[test]
fn a_config_of_another_kind_and_what_is_no_config_are_answered_with_the_command_that_takes_it() {
    let place = Place::new();
    std::fs::write(place.path("ablation.ron"), "(base: (model: Shipped(\"cifar10\")), variants: [])")
        .unwrap();
    place.config("run.ron", "condition: PerClass(1), guidance: Conditional");
    std::fs::create_dir(place.path("folder")).unwrap();
    let weights = format!("{PROJECT}/tests/fixtures/var/vae.pth");
    let classifier = format!("{PROJECT}/configs/train/cifar10-classifier.ron");
    let backbone = format!("{PROJECT}/configs/train/cifar10-backbone.ron");
    let cases: [(&[&str], &str); 9] = [
        (&["train", "tokenizer", &classifier], "the config of a classifier's training, not of a tokenizer's"),
        (&["train", "tokenizer", &backbone], "run it with: nextscale train backbone "),
        (&["train", "classifier", &backbone], "run it with: nextscale train backbone "),
        (&["generate", "ablation.ron"], "nextscale ablate ablation.ron"),
        (&["calibrate", "ablation.ron", "--out", "a.safetensors"], "nextscale ablate ablation.ron"),
        (&["ablate", "run.ron"], "nextscale generate run.ron"),
        (&["train", "tokenizer", "run.ron"], "nextscale generate run.ron"),
        (&["generate", &weights], "nextscale inspect"),
        (&["generate", "folder"], "is a folder, not a config"),
    ];
    for (arguments, told) in cases {
        let ran = place.run(arguments);
        assert!(ran.code == Some(2) && ran.err.contains(told), "{arguments:?}: {ran:?}");
    }
    assert_eq!(place.files(), ["ablation.ron", "run.ron"]);
}

/// A closed pipe, a full disk under the output: neither is an error of work whose result is elsewhere. Where the
/// output is the result, a full disk has lost it.
#[cfg(target_os = "linux")]
#[test]
fn words_that_cannot_be_printed_do_not_end_a_command() {
    use std::process::Stdio;

    let place = Place::new();
    set(&place);
    place.config("run.ron", "condition: PerClass(1), guidance: Conditional");
    let weights = format!("{PROJECT}/tests/fixtures/var/vae.safetensors");
    let run = |arguments: &[&str], expected: i32| {
        let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let status = place.command(arguments).stdout(full()).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(expected), "{arguments:?}");
        let told = place.ran(place.command(arguments).stdout(full()).output().unwrap());
        let lost = told.err.contains("the output cannot be written: ");
        assert!(told.code == Some(expected) && lost == (expected == 1), "{arguments:?}: {told:?}");
        // The reader has gone, which `| head -1` does too.
        let mut child = place.command(arguments).stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{arguments:?}");
    };
    let measured = ["evaluate", "set/test", "--reference", "set/train", "--size", "8"];
    let to_file = [&measured[..], &["--json", "a.json"]].concat();
    let work: [&[&str]; 3] = [&["generate", "run.ron"], &["generate", "run.ron", "--out", "b"], &to_file];
    work.iter().for_each(|arguments| run(arguments, 0));
    assert!(place.path("a.json").exists());
    let products: [&[&str]; 11] = [
        &["list"],
        &["schema"],
        &["completions", "bash"],
        &["devices"],
        &["inspect", "run.ron"],
        &["inspect", "set"],
        &["inspect", &weights, "--tensors"],
        &["--help"],
        &["generate", "--help"],
        &["--version"],
        &measured,
    ];
    products.iter().for_each(|arguments| run(arguments, 1));
    #[cfg(feature = "hub")]
    for arguments in [&["models"][..], &["models", "d16"]] {
        run(arguments, 1);
    }
}

/// Every argument that names a file, with a folder in its place.
#[test]
fn a_folder_in_a_file_s_place_is_named() {
    let place = Place::new();
    set(&place);
    place.config("run.ron", "condition: PerClass(1), guidance: Conditional");
    std::fs::create_dir(place.path("folder")).unwrap();
    std::fs::write(place.path("folder/inside.txt"), "x").unwrap();
    let commands: [&[&str]; 21] = [
        &["generate", "folder"],
        &["generate", "run.ron", "--out", "out", "--trace", "folder"],
        &["calibrate", "folder", "--out", "a"],
        &["calibrate", "run.ron", "--out", "folder"],
        &["ablate", "folder"],
        &["train", "classifier", "folder"],
        &["bench", "folder"],
        &["bench", "run.ron", "--runs", "1", "--json", "folder"],
        &["curves", "folder", "--out", "a.svg"],
        &["evaluate", "set/test", "--reference", "set/train", "--size", "8", "--features", "folder"],
        &["evaluate", "set/test", "--size", "8", "--probe", "folder"],
        &["evaluate", "set/test", "--size", "8", "--classifier", "folder"],
        &["validate", "folder"],
        &[
            "bench",
            "run.ron",
            "--runs",
            "1",
            "--set",
            "model=Var(tokenizer: \"folder\", backbone: \"folder\")",
        ],
        &["neighbours", "set/test", "--data", "set/train", "--size", "8", "--out", "folder"],
        &["curves", "log.csv", "--out", "folder"],
        &["evaluate", "set/test", "--reference", "set/train", "--size", "8", "--json", "folder"],
        &["evaluate", "set/test", "--size", "8", "--save-statistics", "folder"],
        &["reconstruct", "folder", "set/test", "--size", "64", "--out", "a.npz"],
        &["reconstruct", "run.ron", "set/test", "--size", "64", "--out", "folder"],
        &["probe", "fit", "Folder(root: \"set\", size: 8)", "--out", "folder"],
    ];
    let before = place.files();
    let mut wrong = String::new();
    for command in commands {
        let ran = place.run(command);
        let named = ran.err.replace("\n  │ ", "").contains("folder");
        if !matches!(ran.code, Some(1 | 2))
            || !named
            || ran.err.contains("panicked")
            || place.files() != before
        {
            wrong += &format!("{command:?}: {ran:?}\n{:?}\n", place.files());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    // An option that takes a file shows those in the folder.
    for option in ["--classifier", "--probe", "--features"] {
        let ran =
            place.run(&["evaluate", "set/test", "--reference", "set/train", "--size", "8", option, "folder"]);
        let told = ran.err.replace("\n  │ ", "");
        assert!(ran.code == Some(2) && told.contains(&format!("{option} takes ")), "{ran:?}");
        assert!(
            told.contains("; folder is a folder") && told.contains("in it: folder/inside.txt"),
            "{ran:?}"
        );
    }
    // Other weights are called what they are.
    let weights = format!("{PROJECT}/tests/fixtures/var/vae.safetensors");
    let ran = place.run(&[
        "evaluate",
        "set/test",
        "--size",
        "8",
        "--reference",
        "set/train",
        "--features",
        &weights,
    ]);
    let told = ran.err.replace("\n  │ ", "");
    assert!(ran.code == Some(2) && told.contains("is none of them") && told.contains("tokenizer"), "{ran:?}");
    // The same where the model's own file, or the averages of a prior, is a folder.
    let fixtures = format!("{PROJECT}/tests/fixtures/var");
    for text in [
        format!("(model: Var(tokenizer: \"folder\", backbone: \"{fixtures}/var_aln.safetensors\"), condition: Null, guidance: Conditional)"),
        format!("(model: Var(tokenizer: \"{fixtures}/vae.safetensors\", backbone: \"folder\"), condition: Null, guidance: Conditional)"),
        "(model: Shipped(\"cifar10\"), condition: Null, guidance: Ssg(prior: Marginal(file: \"folder\"), beta: 1))".into(),
        "(model: Shipped(\"cifar10\"), condition: Null, guidance: Conditional, edit: Keep(image: \"folder\", rows: (0, 1), columns: (0, 1)))".into(),
    ] {
        std::fs::write(place.path("wrong.ron"), &text).unwrap();
        let ran = place.run(&["generate", "wrong.ron"]);
        let named = ran.err.replace("\n  │ ", "").contains("folder");
        assert!(matches!(ran.code, Some(1 | 2)) && named && !ran.err.contains("panicked"), "{text}: {ran:?}");
    }
}

/// NaN and infinite numbers when the weights are read, huge ones when the first logits are not finite.
#[test]
fn weights_and_logits_that_are_not_finite_name_the_model_s_file() {
    for (value, told) in [
        (f32::NAN, "tensor `head.bias` holds NaN"),
        (f32::INFINITY, "tensor `head.bias` holds an infinite number"),
        (f32::MAX, "not finite"),
    ] {
        not_finite(value, told);
    }
}

fn not_finite(value: f32, part: &str) {
    let place = Place::new();
    let mut bytes = std::fs::read(format!("{PROJECT}/tests/fixtures/var/var_aln.safetensors")).unwrap();
    let at = {
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        file.tensor("head.bias").unwrap().data().as_ptr() as usize - bytes.as_ptr() as usize
    };
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    std::fs::write(place.path("diverged.safetensors"), &bytes).unwrap();
    let tokenizer = format!("{PROJECT}/tests/fixtures/var/vae.safetensors");
    let model = format!("(tokenizer: {tokenizer:?}, backbone: \"diverged.safetensors\", norm_groups: 4)");
    let run = format!("(model: Var{model}, condition: Labels([1]), guidance: Cfg(scale: 3.0), batch: 2)");
    std::fs::write(place.path("run.ron"), &run).unwrap();
    let base = run.replace("Labels([1])", "PerClass(1)");
    let ablation = format!(
        "(base: {base}, variants: [(name: \"none\")], baseline: \"none\", seeds: [1], samples: 2, measures: [Pixels])"
    );
    std::fs::write(place.path("ablation.ron"), ablation).unwrap();
    let commands: [&[&str]; 4] = [
        &["generate", "run.ron", "--out", "out"],
        &["calibrate", "run.ron", "--out", "a.safetensors"],
        &["ablate", "ablation.ron", "--out", "out"],
        &["bench", "run.ron", "--runs", "1"],
    ];
    for command in commands {
        let ran = place.run(command);
        let told = ran.err.replace("\n  │ ", "").contains("diverged.safetensors");
        assert!(ran.code == Some(1) && told && ran.err.contains(part), "{value}, {command:?}: {ran:?}");
    }
}

/// A tokenizer's weights that are not finite would draw black images without a word.
#[test]
fn a_tokenizer_that_is_not_finite_is_refused_before_any_image() {
    let place = Place::new();
    let fixtures = format!("{PROJECT}/tests/fixtures/var");
    for tensor in ["decoder.conv_out.bias", "quantize.embedding.weight", "encoder.conv_in.bias"] {
        for value in [f32::NAN, f32::INFINITY] {
            let mut bytes = std::fs::read(format!("{fixtures}/vae.safetensors")).unwrap();
            let at = {
                let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
                file.tensor(tensor).unwrap().data().as_ptr() as usize - bytes.as_ptr() as usize
            };
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            std::fs::write(place.path("broken.safetensors"), &bytes).unwrap();
            let model = format!(
                "(model: Var(tokenizer: \"broken.safetensors\", backbone: \"{fixtures}/var_aln.safetensors\", norm_groups: 4), \
                 condition: Labels([1]), guidance: Conditional)"
            );
            std::fs::write(place.path("run.ron"), model).unwrap();
            std::fs::create_dir_all(place.path("images")).unwrap();
            image::RgbImage::new(64, 64).save(place.path("images/a.png")).unwrap();
            let mut commands: Vec<&[&str]> = vec![&["reconstruct", "run.ron", "images", "--out", "r.npz"]];
            if !tensor.starts_with("encoder") {
                commands.push(&["generate", "run.ron", "--out", "out"]);
            }
            for command in commands {
                let ran = place.run(command);
                let told = ran.err.replace("\n  │ ", "");
                assert!(ran.code == Some(1), "{tensor}, {command:?}: {ran:?}");
                assert!(told.contains("broken.safetensors") && told.contains(tensor), "{command:?}: {ran:?}");
                assert!(!place.path("r.npz").exists() && !place.path("out").exists(), "{command:?}");
            }
        }
    }
}

/// Finite weights so large that the sums overflow: each command names the tokenizer's file and the image, and
/// leaves no black one.
#[test]
fn a_tokenizer_that_overflows_is_named_with_the_image() {
    let fixtures = format!("{PROJECT}/tests/fixtures/var");
    for (tensor, part) in [
        ("decoder.conv_in.weight", "decoder"),
        ("decoder.conv_out.weight", "decoder"),
        ("encoder.conv_in.weight", "encoder"),
    ] {
        let place = Place::new();
        let mut bytes = std::fs::read(format!("{fixtures}/vae.safetensors")).unwrap();
        let range = {
            let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
            let data = file.tensor(tensor).unwrap().data().as_ptr_range();
            let start = bytes.as_ptr() as usize;
            data.start as usize - start..data.end as usize - start
        };
        bytes[range].chunks_exact_mut(4).for_each(|value| value.copy_from_slice(&f32::MAX.to_le_bytes()));
        std::fs::write(place.path("huge.safetensors"), &bytes).unwrap();
        let model = format!(
            "model: Var(tokenizer: \"huge.safetensors\", backbone: \"{fixtures}/var_aln.safetensors\", norm_groups: 4), \
             condition: PerClass(1), guidance: Conditional, batch: 2"
        );
        std::fs::write(place.path("run.ron"), format!("({model})")).unwrap();
        let edit = "edit: Keep(image: \"images/a.png\", rows: (0, 1), columns: (0, 1))";
        std::fs::write(place.path("edit.ron"), format!("({model}, {edit})")).unwrap();
        let ablation = format!(
            "(base: ({model}), variants: [(name: \"none\")], baseline: \"none\", seeds: [1], samples: 2, measures: [Pixels])"
        );
        std::fs::write(place.path("ablation.ron"), ablation).unwrap();
        std::fs::create_dir(place.path("images")).unwrap();
        for name in ["a", "b"] {
            let image = image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([x as u8, y as u8, 90]));
            image.save(place.path(&format!("images/{name}.png"))).unwrap();
        }
        let mut commands: Vec<&[&str]> = vec![
            &["reconstruct", "run.ron", "images", "--out", "r.npz"],
            &["generate", "edit.ron", "--out", "out"],
        ];
        if part == "decoder" {
            commands.push(&["generate", "run.ron", "--out", "out"]);
            commands.push(&["ablate", "ablation.ron", "--out", "out"]);
            commands.push(&["bench", "run.ron", "--runs", "1"]);
        }
        for command in commands {
            let ran = place.run(command);
            let told = ran.err.replace("\n  │ ", "").replace("HERE/", "");
            let expected = format!(
                "the {part} of huge.safetensors gives values that are not finite for image 0: a weight is damaged"
            );
            assert!(ran.code == Some(1) && told.contains(&expected), "{tensor}, {command:?}: {ran:?}");
            let images = place.files().iter().filter(|name| name.ends_with(".png")).count();
            assert!(
                images == 2 && !place.path("r.npz").exists(),
                "{tensor}, {command:?}: {:?}",
                place.files()
            );
        }
    }
}

#[test]
fn places_and_images_that_cannot_be_are_told_before_the_work() {
    let place = Place::new();
    std::fs::create_dir(place.path("folder")).unwrap();
    std::fs::write(place.path("file"), "x").unwrap();
    let edit = |image: &str| {
        format!(
            "(model: Shipped(\"cifar10\"), condition: Null, guidance: Conditional, edit: Keep(image: {image:?}, rows: (0, 1), \
             columns: (0, 1)))"
        )
    };
    std::fs::write(place.path("empty.ron"), edit("")).unwrap();
    std::fs::write(place.path("folder.ron"), edit("folder")).unwrap();
    std::fs::write(place.path("none.ron"), "").unwrap();
    let training = format!("{PROJECT}/configs/train/cifar10-classifier.ron");
    let ablation = format!("{PROJECT}/configs/ablate-rules.ron");
    let cases: &[(&[&str], &str)] = &[
        (&["generate", "empty.ron"], "`image` is empty"),
        (&["generate", "folder.ron"], "edit.image: "),
        (&["generate", "none.ron"], "none.ron is empty"),
        (&["generate", "--out", "file"], "file is a file, not a folder"),
        (&["train", "classifier", &training, "--out", "file/below"], "file is a file, not a folder"),
        (&["ablate", &ablation, "--out", "file"], "file is a file, not a folder"),
        (&["evaluate", "folder", "--reference", "cifar10", "--json", "folder"], "name a file in it"),
    ];
    for (command, told) in cases {
        let ran = place.run(command);
        assert!(ran.code == Some(2) && ran.err.replace("\n  │ ", "").contains(told), "{command:?}: {ran:?}");
    }
}
