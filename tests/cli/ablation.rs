use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nextscale::ablation::images::Images;
use nextscale::pipeline::images::write_png;

use super::program::Place;

/// An ablation of the tiny model: two rules and a filter on pixels; traces and completions of two images.
fn ablation(place: &Place, name: &str, samples: usize) {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/var");
    fs::create_dir_all(place.path("real")).unwrap();
    let byte = |i: usize| (i * i / 97 + i / 192 * 3) as u8;
    let images = Images::new(64, 64, (0..2 * 64 * 64 * 3).map(byte).collect()).unwrap();
    for i in 0..2 {
        write_png(&place.path(&format!("real/{i}.png")), &images.picture(i).unwrap()).unwrap();
    }
    let text = format!(
        "(
            base: (
                model: Var(tokenizer: \"{fixtures}/vae.safetensors\", backbone: \"{fixtures}/var_aln.safetensors\", norm_groups: 4),
                condition: PerClass(1),
                guidance: Ssg(base: Cfg(scale: 1.5), prior: Dse(), beta: 0.5),
                batch: 3,
            ),
            variants: [
                (name: \"none\", set: {{\"guidance\": Cfg(scale: 1.5)}}),
                (name: \"ssg\", axes: [{{\"guidance.beta\": [0.5, 1.0]}}]),
                (name: \"sharp\", set: {{\"guidance\": Cfg(scale: 1.5)}}, pixels: Unsharp(0.5)),
            ],
            baseline: \"none\",
            seeds: [1, 2],
            samples: {samples},
            reference: Images(\"real\"),
            traces: 4,
            // Times differ from run to run.
            timing: 0,
            completion: (images: \"real\", condition: Labels([3, 4])),
            quick: {{\"samples\": 4}},
        )"
    );
    fs::write(place.path(name), text).unwrap();
}

const REPORTS: [&str; 4] = ["report.md", "measures.csv", "report.json", "report.html"];

#[test]
fn a_killed_ablation_goes_on_and_its_report_is_that_of_a_straight_one() {
    let place = Place::new();
    ablation(&place, "a.ron", 40);
    let chunks = || place.files().iter().filter(|name| name.ends_with("/00000.safetensors")).count();
    let mut child = place
        .command(&["ablate", "a.ron", "--out", "killed"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    // In the third of six: some cells and seeds are finished, one has begun, the rest have not.
    while chunks() < 3 && begin.elapsed() < Duration::from_secs(120) {
        assert!(child.try_wait().unwrap().is_none(), "ended before it could be killed");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(Command::new("kill").args(["-KILL", &child.id().to_string()]).status().unwrap().success());
    child.wait().unwrap();
    assert!(!place.path("killed/report.md").exists());
    let early = place.run(&["report", "killed"]);
    assert_eq!(early.code, Some(2), "{early:?}");
    assert!(early.err.contains("unfinished ablation"), "{}", early.err);

    for out in ["killed", "straight"] {
        let ran = place.run(&["ablate", "a.ron", "--out", out]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    for name in REPORTS {
        let read = |out: &str| fs::read(place.path(out).join(name)).unwrap();
        assert!(read("killed") == read("straight"), "{name} differs");
    }
    // And once more, only from what is on disk.
    let before = fs::read(place.path("straight/report.html")).unwrap();
    for name in REPORTS {
        fs::remove_file(place.path("straight").join(name)).unwrap();
    }
    let ran = place.run(&["report", "straight"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(fs::read(place.path("straight/report.html")).unwrap() == before, "report.html differs");
    let page = String::from_utf8(before).unwrap();
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("<script"));
}

#[test]
fn finished_cells_are_not_made_again_and_new_ones_join_them() {
    let place = Place::new();
    ablation(&place, "a.ron", 6);
    let ran = place.run(&["ablate", "a.ron", "--quick"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for word in ["a-quick/report.html", "spectrum error", "ssg, beta = 0.5", "sharp"] {
        assert!(ran.out.contains(word), "{}", ran.out);
    }
    let images = || -> Vec<_> {
        let files = place.files().into_iter().filter(|name| name.ends_with("/00000.safetensors"));
        files.map(|name| (fs::metadata(place.path(&name)).unwrap().modified().unwrap(), name)).collect()
    };
    let before = images();
    // Two rules at two strengths on two seeds; the filter has no images of its own.
    assert_eq!(before.len(), 6);
    let table = fs::read_to_string(place.path("a-quick/measures.csv")).unwrap();
    assert_eq!(table.lines().count(), 1 + 4 * 8, "{table}");
    let more = place.run(&[
        "ablate",
        "a.ron",
        "--quick",
        "--set",
        "variants[1].axes=[{\"guidance.beta\": [0.5, 1.0, 2.0]}]",
    ]);
    assert_eq!(more.code, Some(0), "{more:?}");
    let after = images();
    assert_eq!(after.len(), 8);
    assert!(before.iter().all(|image| after.contains(image)), "an image was made again");
    let table = fs::read_to_string(place.path("a-quick/measures.csv")).unwrap();
    assert!(table.contains("beta = 2.0"), "{table}");
    // A user's setting has priority over the preset.
    let fewer =
        place.run(&["ablate", "a.ron", "--quick", "--set", "samples=3", "--set", "traces=0", "--out", "few"]);
    assert_eq!(fewer.code, Some(0), "{fewer:?}");
    let text = fs::read_to_string(place.path("few/report.md")).unwrap();
    assert!(text.contains("Images: 3 a cell and seed"), "{text}");
}

#[test]
fn measures_are_drawn_against_each_other_along_an_axis() {
    let place = Place::new();
    ablation(&place, "a.ron", 3);
    let unknown = place.run(&["ablate", "a.ron", "--out", "out", "--scatter", "contrast,FID"]);
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(
        unknown.err.contains("no measure `FID`") && unknown.err.contains("`gradient`"),
        "{}",
        unknown.err
    );
    // Before any image is made.
    assert!(!place.path("out/cells").exists());
    let one = place.run(&["ablate", "a.ron", "--out", "out", "--scatter", "contrast"]);
    assert!(one.code == Some(2) && one.err.contains("two measures with a comma"), "{one:?}");
    let ran = place.run(&["ablate", "a.ron", "--out", "out", "--set", "traces=0", "--set", "timing=2"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let along = ["--along", "beta"];
    let ran = place.run(&[&["report", "out", "--scatter", "contrast,gradient"], &along[..]].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let svg = fs::read_to_string(place.path("out/report.scatter-1.svg")).unwrap();
    for part in ["ssg, by beta", ">0.5<", ">1.0<", "contrast", "gradient"] {
        assert!(svg.contains(part), "{part}: {svg}");
    }
    let page = fs::read_to_string(place.path("out/report.html")).unwrap();
    assert!(page.contains("nextscale ablate a.ron --set traces=0 --set timing=2"));
    assert!(page.contains("Completions of real images") && page.contains("ms an image"));
    // One rule and another twice were timed; the filter takes as long as what it filters.
    let table = fs::read_to_string(place.path("out/cells.csv")).unwrap();
    let last = |row: &str| row.rsplit(',').next().unwrap().parse::<f64>().unwrap();
    assert!(table.lines().count() == 5 && table.lines().skip(1).all(|row| last(row) > 0.0), "{table}");
}

#[test]
fn a_cell_chooses_its_settings_on_other_seeds() {
    let place = Place::new();
    ablation(&place, "a.ron", 4);
    let tune =
        "tune=(axes: [{\"sampling\": [TopKTopP(), Argmax]}], seeds: [7], samples: 3, by: \"spectrum error\")";
    let ran = place.run(&["ablate", "a.ron", "--out", "out", "--set", tune, "--set", "traces=0"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let text = fs::read_to_string(place.path("out/report.md")).unwrap();
    assert!(
        text.contains("## What each cell chose")
            && text.contains("spectrum error on 3 images of each of the seeds 7"),
        "{text}"
    );
    let cannot =
        place.run(&["ablate", "a.ron", "--out", "b", "--set", &tune.replace("spectrum error", "pixel mean")]);
    assert_eq!(cannot.code, Some(2), "{cannot:?}");
    assert!(cannot.err.contains("these can: `spectrum error`"), "{}", cannot.err);
}

#[test]
fn faults_are_named() {
    let place = Place::new();
    ablation(&place, "a.ron", 4);
    fs::create_dir(place.path("held")).unwrap();
    let lock = File::create(place.path("held/.lock")).unwrap();
    lock.try_lock().unwrap();
    let second = place.run(&["ablate", "a.ron", "--out", "held"]);
    assert_eq!(second.code, Some(2), "{second:?}");
    assert!(second.err.contains("being written by another process"), "{}", second.err);

    assert_eq!(place.run(&["ablate", "a.ron", "--out", "out"]).code, Some(0));
    let name = place.files().into_iter().find(|name| name.ends_with("/00000.safetensors")).unwrap();
    let bytes = fs::read(place.path(&name)).unwrap();
    fs::write(place.path(&name), &bytes[..bytes.len() / 2]).unwrap();
    let damaged = place.run(&["ablate", "a.ron", "--out", "out"]);
    assert_eq!(damaged.code, Some(1), "{damaged:?}");
    assert!(damaged.err.contains(&name) && damaged.err.contains("delete it"), "{}", damaged.err);
    fs::remove_file(place.path(&name)).unwrap();
    assert_eq!(place.run(&["ablate", "a.ron", "--out", "out"]).code, Some(0));
    assert_eq!(fs::read(place.path(&name)).unwrap(), bytes);

    let nothing = place.run(&["report", "real"]);
    assert_eq!(nothing.code, Some(2), "{nothing:?}");
    fs::remove_file(place.path("real/0.png")).unwrap();
    fs::remove_file(place.path("real/1.png")).unwrap();
    let empty = place.run(&["ablate", "a.ron", "--out", "empty"]);
    // As `evaluate` fails for such a folder.
    assert_eq!(empty.code, Some(1), "{empty:?}");
    assert!(empty.err.contains("real holds no PNG"), "{}", empty.err);
    // Refused before there is a folder.
    assert!(!place.path("empty").exists());
}

/// A run of the program with this route.
#[cfg(target_arch = "x86_64")]
fn under(place: &Place, route: &str, arguments: &[&str]) -> super::program::Ran {
    place.ran(place.command(arguments).env("NEXTSCALE_ROUTE", route).output().unwrap())
}

/// Whether the processor has a second route.
#[cfg(target_arch = "x86_64")]
fn has_fma() -> bool {
    let has = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    if !has {
        eprintln!("skipped: no fma on this processor, so that it has one route");
    }
    has
}

/// The words of a message: a terminal breaks lines between them.
#[cfg(target_arch = "x86_64")]
fn words(message: &str) -> String {
    message.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ")
}

#[cfg(target_arch = "x86_64")]
const OTHER_ROUTE: &str =
    "made on cpu, portable, and this process computes on cpu, fma; set NEXTSCALE_ROUTE=portable";

#[cfg(target_arch = "x86_64")]
#[test]
fn work_of_another_route_is_refused_with_the_route_to_set() {
    if !has_fma() {
        return;
    }
    let place = Place::new();
    ablation(&place, "a.ron", 4);
    place.config("run.ron", "condition: Labels([3, 1]), guidance: Cfg(scale: 1.5)");
    for (arguments, device) in [
        (&["ablate", "a.ron", "--out", "out"][..], Some("out/device.txt")),
        (&["calibrate", "run.ron", "--out", "averages.safetensors"], None),
    ] {
        let ran = under(&place, "portable", arguments);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        if let Some(device) = device {
            assert_eq!(fs::read_to_string(place.path(device)).unwrap(), "cpu, portable\n");
        }
        let before = place.files();
        let ran = under(&place, "fma", arguments);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(words(&ran.err).contains(OTHER_ROUTE), "{}", ran.err);
        assert_eq!(place.files(), before);
        assert_eq!(under(&place, "portable", arguments).code, Some(0));
    }
    let manifest = fs::read_to_string(place.path("out/ablation.json")).unwrap();
    assert!(manifest.contains("\"device\": \"cpu, portable\""), "{manifest}");
}

#[cfg(target_arch = "x86_64")]
#[test]
fn shards_and_their_merge_are_refused_on_another_route() {
    if !has_fma() {
        return;
    }
    let place = Place::new();
    ablation(&place, "a.ron", 4);
    let shard = |route: &str, index: &str| {
        under(&place, route, &["ablate", "a.ron", "--out", "out", "--shard", index])
    };
    assert_eq!(shard("portable", "0/2").code, Some(0));
    let refused = shard("fma", "1/2");
    assert_eq!(refused.code, Some(2), "{refused:?}");
    let told = words(&refused.err);
    assert!(
        told.contains("another arithmetic: portable there, fma here")
            && told.contains("start every shard with the same NEXTSCALE_ROUTE"),
        "{told}"
    );
    assert_eq!(shard("portable", "1/2").code, Some(0));
    // A merge computes too: times, and what happens at every scale.
    let made = || place.files().into_iter().filter(|name| !name.ends_with(".lock")).collect::<Vec<_>>();
    let before = made();
    let refused = under(&place, "fma", &["merge", "out"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(words(&refused.err).contains(OTHER_ROUTE), "{}", refused.err);
    assert_eq!(made(), before);
    let again = shard("portable", "0/2");
    assert!(again.code == Some(0) && again.out.contains("were there already"), "{again:?}");
    let merged = under(&place, "portable", &["merge", "out"]);
    assert_eq!(merged.code, Some(0), "{merged:?}");
    let manifest = fs::read_to_string(place.path("out/ablation.json")).unwrap();
    assert!(manifest.contains("\"device\": \"cpu, portable\""), "{manifest}");
}
