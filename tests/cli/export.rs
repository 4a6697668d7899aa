//! An ablation's images outside of it: files that other programs read, and `DIR/CELL` in every command that
//! takes images.

use std::fs;

use super::program::Place;

/// Two rules, two seeds, four images each, in `out`.
fn ablated(place: &Place) {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/var");
    let text = format!(
        "(base: (model: Var(tokenizer: \"{fixtures}/vae.safetensors\", backbone: \"{fixtures}/var_aln.safetensors\", \
         norm_groups: 4), condition: Labels([3, 1, 4, 1]), guidance: Conditional, batch: 4), \
         variants: [(name: \"none\"), (name: \"cfg, strong\", set: {{\"guidance\": Cfg(scale: 2.5)}})], baseline: \"none\", \
         seeds: [7, 2], samples: 4, measures: [Pixels])"
    );
    fs::write(place.path("a.ron"), text).unwrap();
    let ran = place.run(&["ablate", "a.ron", "--out", "out"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn exported_images_are_those_that_generate_makes_and_the_table_says_of_what() {
    let place = Place::new();
    ablated(&place);
    let ran = place.run(&["export", "out", "--out", "files", "--npz"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let folders: Vec<String> = place.files().into_iter().filter(|name| name.starts_with("files/")).collect();
    let expected = ["cfg-strong", "none"].into_iter().flat_map(|cell| {
        let pngs = (0..8).map(move |i| format!("files/{cell}/{i:05}.png"));
        pngs.chain(["images.csv", "images.npz"].map(|name| format!("files/{cell}/{name}")))
    });
    assert_eq!(folders, expected.collect::<Vec<_>>());
    for (cell, rule) in [("none", "Conditional"), ("cfg-strong", "Cfg(scale: 2.5)")] {
        for (at, seed) in ["7", "2"].into_iter().enumerate() {
            let name = format!("{cell}-{seed}");
            place.config("run.ron", &format!("condition: Labels([3, 1, 4, 1]), guidance: {rule}, batch: 4"));
            assert_eq!(place.run(&["generate", "run.ron", "--seed", seed, "--out", &name]).code, Some(0));
            for image in 0..4 {
                let made = fs::read(place.path(&format!("{name}/images/{image:05}.png"))).unwrap();
                let exported = place.path(&format!("files/{cell}/{:05}.png", 4 * at + image));
                assert!(fs::read(exported).unwrap() == made, "{cell}, seed {seed}, image {image}");
            }
        }
    }
    let table = fs::read_to_string(place.path("files/cfg-strong/images.csv")).unwrap();
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows[0], "file,seed,image,class,shows,cell");
    assert_eq!(rows[1], "00000.png,7,0,3,3,\"cfg, strong\"");
    assert_eq!(rows[7], "00006.png,2,2,4,4,\"cfg, strong\"");
    let arrays = fs::File::open(place.path("files/cfg-strong/images.npz")).unwrap();
    let mut arrays = npyz::npz::NpzArchive::new(arrays).unwrap();
    let labels: Vec<i64> = arrays.by_name("arr_1").unwrap().unwrap().into_vec().unwrap();
    assert_eq!(labels, [3, 1, 4, 1, 3, 1, 4, 1]);
    let images = arrays.by_name("arr_0").unwrap().unwrap();
    assert_eq!(images.shape(), [8, 64, 64, 3]);
    let pixels: Vec<u8> = images.into_vec().unwrap();
    let sixth = image::open(place.path("files/cfg-strong/00006.png")).unwrap().to_rgb8();
    assert!(pixels[6 * 64 * 64 * 3..7 * 64 * 64 * 3] == *sixth.as_raw());
    // A single cell, by its number; nothing is overwritten.
    let one = place.run(&["export", "out", "1", "--out", "one"]);
    assert_eq!(one.code, Some(0), "{one:?}");
    let bytes = |name: &str| fs::read(place.path(name)).unwrap();
    assert!(bytes("one/00003.png") == bytes("files/cfg-strong/00003.png"));
    let again = place.run(&["export", "out", "0", "--out", "one"]);
    assert!(again.code == Some(2) && again.err.contains("not empty"), "{again:?}");
}

#[test]
fn every_command_that_takes_images_takes_a_cell() {
    let place = Place::new();
    ablated(&place);
    for cell in ["none", "0", "cfg, strong", "1"] {
        let cell = format!("out/{cell}");
        let commands: [&[&str]; 3] = [
            &["evaluate", &cell, "--reference", "out/none", "--features", "lite0"],
            &["neighbours", &cell, "--data", "out/none", "--out", "sheet.png"],
            &["inspect", &cell],
        ];
        for command in commands {
            let ran = place.run(command);
            assert_eq!(ran.code, Some(0), "{command:?}: {ran:?}");
            assert!(command[0] != "inspect" || ran.out.contains('8'), "{ran:?}");
        }
    }
    let cells = fs::read_to_string(place.path("out/cells.csv")).unwrap();
    let rows: Vec<Vec<&str>> = cells.lines().map(|row| row.splitn(3, ',').collect()).collect();
    assert_eq!(rows.len(), 3, "{cells}");
    assert!(cells.contains("\"cfg, strong\""), "{cells}");
    let unknown = place.run(&["evaluate", "out/cfg", "--reference", "out/none"]);
    assert!(unknown.code == Some(2) && unknown.err.contains("cfg, strong"), "{unknown:?}");
}

#[test]
fn an_ablations_folder_says_how_it_was_made() {
    let place = Place::new();
    ablated(&place);
    let text = fs::read_to_string(place.path("out/ablation.ron")).unwrap();
    assert!(text.contains("cfg, strong") && text.contains("seeds"), "{text}");
    let runs = fs::read_to_string(place.path("out/runs.jsonl")).unwrap();
    let runs: Vec<serde_json::Value> = runs.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(runs.len(), 2);
    for run in &runs {
        assert_eq!(run["command"].as_array().unwrap()[1..], ["ablate", "a.ron", "--out", "out"]);
        assert!(run["version"].as_str().unwrap().contains(env!("CARGO_PKG_VERSION")), "{run}");
        assert!(run["begun_unix_seconds"].as_u64().unwrap() > 1_700_000_000, "{run}");
    }
    assert!(runs[0]["seconds"].is_null() && runs[1]["seconds"].as_f64().unwrap() > 0.0);
    // It can be passed to a command as printed.
    let again = place.run(&["ablate", "out/ablation.ron", "--out", "out"]);
    assert_eq!(again.code, Some(0), "{again:?}");
}

#[test]
fn a_run_folders_table_says_label_seed_and_condition() {
    let place = Place::new();
    place.config(
        "run.ron",
        "condition: Labels([3, 1]), variants: [(\"a\", Conditional), (\"b\", Cfg(scale: 2.0))], seed: 9",
    );
    assert_eq!(place.run(&["generate", "run.ron", "--out", "out"]).code, Some(0));
    let table = fs::read_to_string(place.path("out/images.csv")).unwrap();
    insta::assert_snapshot!(table);
}
