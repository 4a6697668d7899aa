use super::program::Place;

const FOUR: &str = "condition: Labels([3, 1, 4, 1, 5]),
    variants: [
        (\"none\", Conditional),
        (\"cfg + ssg\", Ssg(base: Cfg(scale: Ramp(1.5)), prior: Dse(), beta: 0.5)),
    ],
    sampling: TopKTopP(top_k: 20, top_p: 0.9),
    batch: 2,
    npz: true,";

#[test]
fn a_run_leaves_images_a_grid_and_its_config_and_is_not_made_again() {
    let place = Place::new();
    place.config("run.ron", FOUR);
    let first = place.run(&["generate", "run.ron"]);
    assert_eq!(first.code, Some(0), "{first:?}");
    insta::assert_snapshot!(place.files().join("\n"));
    assert!(first.out.contains("10 images") && first.out.contains("backbone"), "{}", first.out);
    let again = place.run(&["generate", "run.ron"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(!again.out.contains("backbone"), "{}", again.out);
}

#[test]
fn images_depend_on_the_seed_and_not_on_the_batch() {
    let place = Place::new();
    place.config("run.ron", FOUR);
    let image = |out: &str, arguments: &[&str]| {
        let ran = place.run(&[&["generate", "run.ron", "--out", out], arguments].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        std::fs::read(place.path(out).join("grid.png")).unwrap()
    };
    let first = image("a", &[]);
    assert_eq!(image("b", &["--set", "batch=5"]), first);
    assert_ne!(image("c", &["--seed", "1"]), first);
    assert_ne!(image("d", &["--set", "variants[1].1.beta=2"]), first);
}

#[test]
fn prompts_without_a_config_are_drawn_by_the_shipped_text_model() {
    let place = Place::new();
    let ran = place.run(&["generate", "--prompt", "a red truck", "--prompt", "a blue ship"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let config = std::fs::read_to_string(place.path("prompts/config.ron")).unwrap();
    assert!(config.contains("Shipped(\"cifar10-text\")"), "{config}");
    assert!(config.contains("a blue ship") && !config.contains("a white horse"), "{config}");
    assert!(place.path("prompts/none/00001.png").exists() && !place.path("prompts/none/00002.png").exists());
    // A config's own model is kept.
    place.config("run.ron", FOUR);
    let ran = place.run(&["generate", "run.ron", "--prompt", "a red truck"]);
    assert!(ran.code == Some(2) && ran.err.contains("the model takes no texts"), "{ran:?}");
}

#[test]
fn a_run_in_bfloat16_is_another_run_or_says_what_it_needs() {
    let place = Place::new();
    place.config("run.ron", FOUR);
    let ran = place.run(&["generate", "run.ron", "--dtype", "bf16"]);
    if ran.code != Some(0) {
        // On a processor without support for it.
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.err.contains("compute in f32"), "{}", ran.err);
        assert_eq!(place.files(), ["run.ron"]);
        return nextscale::kernels::skip_test("bf16");
    }
    let manifest = std::fs::read_to_string(place.path("run/manifest.json")).unwrap();
    assert!(manifest.contains("\"device\": \"cpu, ") && manifest.contains(", bf16\""), "{manifest}");
    let grid = |out: &str| std::fs::read(place.path(out).join("grid.png")).unwrap();
    let again = place.run(&["generate", "run.ron", "--dtype", "bf16", "--out", "again", "--set", "batch=5"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(grid("again") == grid("run"), "an image depends on its batch");
    // Images of both types do not mix in a folder.
    let other = place.run(&["generate", "run.ron"]);
    assert_eq!(other.code, Some(2), "{other:?}");
    assert!(other.err.contains(", bf16, and this process computes on cpu, "), "{}", other.err);
}

#[test]
fn the_resolved_config_makes_the_same_run() {
    let place = Place::new();
    place.config("run.ron", FOUR);
    assert_eq!(place.run(&["generate", "run.ron", "--seed", "7"]).code, Some(0));
    let config = place.path("run/config.ron");
    let ran = place.run(&["generate", config.to_str().unwrap(), "--out", "again"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for file in ["grid.png", "none/00004.png", "config.ron"] {
        let read = |folder: &str| std::fs::read(place.path(folder).join(file)).unwrap();
        assert_eq!(read("run"), read("again"), "{file}");
    }
}

#[test]
fn a_new_config_can_be_run_as_it_is() {
    let place = Place::new();
    assert_eq!(place.run(&["init"]).code, Some(0));
    let again = place.run(&["init"]);
    assert_eq!(again.code, Some(2), "{again:?}");
    let ran = place.run(&["generate", "nextscale.ron", "--set", "condition=Labels([8])"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(place.path("nextscale/images/00000.png").exists());
}

#[test]
fn without_arguments_the_shipped_model_draws_under_four_guidance_rules() {
    let place = Place::new();
    let ran = place.run(&["generate"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for folder in ["none", "cfg", "ssg", "ssg-over-cfg"] {
        let images = std::fs::read_dir(place.path("quickstart").join(folder)).unwrap().count();
        assert_eq!(images, 10, "{folder}");
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn on_the_route_fma_the_first_images_are_the_readmes_picture_to_the_byte() {
    if !is_x86_feature_detected!("avx2") || !is_x86_feature_detected!("fma") {
        return nextscale::kernels::skip_test("fma");
    }
    let place = Place::new();
    let ran = place.ran(place.command(&["generate"]).env("NEXTSCALE_ROUTE", "fma").output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let picture = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/src/images/quickstart.png");
    let same = std::fs::read(place.path("quickstart/grid.png")).unwrap() == std::fs::read(picture).unwrap();
    assert!(same, "CONTRIBUTING.md says how {picture} is made");
}

/// A volume that is mounted, where the system lets a test mount one.
#[cfg(target_os = "linux")]
#[test]
fn a_mounted_volume_and_a_link_to_a_folder_take_runs() {
    let place = Place::new();
    place.config("run.ron", "condition: Labels([3]), guidance: Conditional");
    std::fs::create_dir(place.path("volume")).unwrap();
    let mount = "mount -t tmpfs -o size=64m none volume && ";
    let program = place.command(&["generate", "run.ron", "--out", "volume"]);
    let script = format!(
        "{mount} \"$0\" \"$@\" && test -f volume/manifest.json && test -f volume/images/00000.png && \"$0\" \"$@\""
    );
    let mut unshared = std::process::Command::new("unshare");
    unshared.args(["--user", "--map-root-user", "--mount", "sh", "-c"]).current_dir(place.path(""));
    let allowed = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &format!("{mount} true")])
        .current_dir(place.path(""))
        .output();
    if allowed.is_ok_and(|ran| ran.status.success()) {
        let ran = place
            .ran(unshared.arg(script).arg(program.get_program()).args(program.get_args()).output().unwrap());
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    std::fs::create_dir(place.path("real")).unwrap();
    std::os::unix::fs::symlink("real", place.path("link")).unwrap();
    std::fs::create_dir(place.path("dotted")).unwrap();
    for out in ["link", "dotted/."] {
        let ran = place.run(&["generate", "run.ron", "--out", out]);
        assert_eq!(ran.code, Some(0), "{out}: {ran:?}");
        assert!(place.path(out).join("images/00000.png").is_file(), "{out}: {:?}", place.files());
    }
    assert!(place.path("link").is_symlink());
}

#[test]
fn a_trace_is_cut_from_the_command_line() {
    let place = Place::new();
    place.config("run.ron", "condition: PerClass(1), guidance: Cfg(scale: 1.5)");
    let ran = place.run(&[
        "generate",
        "run.ron",
        "--out",
        "out",
        "--trace",
        "t.safetensors",
        "--trace-scales",
        "1-2",
        "--trace-images",
        "0,4-5",
        "--trace-fields",
        "guided,tokens",
        "--trace-dtype",
        "f16",
    ]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let file = nextscale::weights::WeightFile::open(place.path("t.safetensors")).unwrap();
    let mut names: Vec<&str> = file.names().collect();
    names.sort_unstable();
    assert_eq!(names, ["scale.1.guided", "scale.1.tokens", "scale.2.guided", "scale.2.tokens"]);
    assert_eq!(file.metadata()["indices"], "[0,4,5]");
    assert_eq!(file.metadata()["labels"], "[\"0\",\"4\",\"5\"]");
    let config = std::fs::read_to_string(place.path("out/config.ron")).unwrap();
    assert!(config.contains("trace: (") && config.contains("dtype: f16"), "{config}");
    let whole = place.run(&["generate", "run.ron", "--out", "whole"]);
    assert_eq!(whole.code, Some(0), "{whole:?}");
    for image in ["images/00004.png", "grid.png"] {
        let read = |out: &str| std::fs::read(place.path(out).join(image)).unwrap();
        assert!(read("out") == read("whole"), "{image}");
    }
    insta::assert_snapshot!(place.usage_errors(&[
        &["generate", "run.ron", "--trace-dtype", "f16"],
        &["generate", "run.ron", "--trace", "a", "--trace-fields", "logit"],
        &["generate", "run.ron", "--trace", "a", "--trace-images", "3-1"],
        &["generate", "run.ron", "--trace", "a", "--trace-images", "10"],
    ]));
}

/// In every form: one image or several, a box or several, with and without what is left out by default.
#[test]
fn the_resolved_config_of_an_edit_makes_the_same_run() {
    let place = Place::new();
    for (i, name) in ["a.png", "b.png"].iter().enumerate() {
        let byte = |x: u32, y: u32| (x * 5 + y * 3 + i as u32 * 40) as u8;
        let picture = image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([byte(x, y), byte(y, x), 9]));
        picture.save(place.path(name)).unwrap();
    }
    for (i, edit) in [
        "Keep(image: \"a.png\", rows: (0, 1), columns: (0, 0.5))",
        "Paint(images: [\"a.png\", \"b.png\"], rows: (0, 1), columns: (0, 0.5), tokens: Requantised, paste: true)",
        "Keep(image: \"a.png\", boxes: [(rows: (0, 0.5), columns: (0, 1)), (rows: (0.5, 1), columns: (0, 0.25))])",
    ]
    .into_iter()
    .enumerate()
    {
        place.config("run.ron", &format!("condition: Labels([3, 1]), guidance: Conditional, edit: {edit}"));
        let (first, again) = (format!("first-{i}"), format!("again-{i}"));
        let ran = place.run(&["generate", "run.ron", "--out", &first]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let ran = place.run(&["generate", &format!("{first}/config.ron"), "--out", &again]);
        assert_eq!(ran.code, Some(0), "{edit}: {ran:?}");
        for file in ["config.ron", "images/00000.png", "images/00001.png"] {
            let read = |out: &str| std::fs::read(place.path(out).join(file)).unwrap();
            assert!(read(&first) == read(&again), "{edit}: {file}");
        }
    }
}
