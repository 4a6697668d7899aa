//! Cards of the shipped models are reproduced, and wrong ones are refused before anything is made.

use std::path::Path;

use nextscale::ablation::validate::{Card, FIELDS, schema};
use nextscale::config::Document;
use nextscale::pipeline::Registry;

use super::program::Place;

fn cards() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/validate");
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn path(card: &str) -> String {
    format!("{}/configs/validate/{card}", env!("CARGO_MANIFEST_DIR"))
}

/// At their own small number of images.
#[test]
fn the_cards_of_shipped_models_pass() {
    let place = Place::new();
    let mut passed = 0;
    for card in cards().iter().filter(|card| !card.starts_with("var-")) {
        let ran = place.run(&["validate", &path(card), "--json", "outcome.json"]);
        assert_eq!(ran.code, Some(0), "{card}: {ran:?}");
        assert!(ran.out.trim_end().ends_with(": passes"), "{}", ran.out);
        let json = std::fs::read_to_string(place.path("outcome.json")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        for checked in json["checked"].as_array().unwrap() {
            assert_eq!(checked["verdict"], "Passes", "{card}: {checked}");
            assert_eq!(checked["measured"]["images"], checked["expected"]["images"], "{card}: {checked}");
        }
        passed += 1;
    }
    assert!(passed >= 2, "a card for each shipped model");
}

/// A card of the tiny fixture model; measures that need no network.
fn tiny(place: &Place, name: &str, expect: &str) {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/var");
    let text = format!(
        "(
            name: \"tiny\",
            source: \"this test\",
            weights: Sizes(\"depth 2, 10 classes\"),
            run: (
                model: Var(tokenizer: \"{fixtures}/vae.safetensors\", backbone: \"{fixtures}/var_aln.safetensors\", norm_groups: 4),
                condition: PerClass(1),
                guidance: Cfg(scale: 1.5),
                batch: 8,
            ),
            measures: [Pixels],
            expect: {expect},
            open: [\"nothing\"],
        )"
    );
    std::fs::write(place.path(name), text).unwrap();
}

fn expecting(value: f64, tolerance: f64) -> String {
    format!("[(measure: \"pixel mean\", images: 40, value: {value}, tolerance: {tolerance})]")
}

#[test]
fn what_comes_out_decides_the_exit_code_and_images_are_made_once() {
    let place = Place::new();
    tiny(&place, "near.ron", &expecting(127.0, 100.0));
    let ran = place.run(&["validate", "near.ron", "--out", "out"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("pixel mean") && ran.out.contains("open        nothing"), "{}", ran.out);
    let images = || {
        let files = place.files().into_iter().filter(|name| name.ends_with("/00000.safetensors"));
        files
            .map(|name| std::fs::metadata(place.path(&name)).unwrap().modified().unwrap())
            .collect::<Vec<_>>()
    };
    let made = images();
    assert_eq!(made.len(), 1);
    // Another card of the same run: nothing is made again.
    tiny(&place, "far.ron", &expecting(127.0, 1e-3));
    let ran = place.run(&["validate", "far.ron", "--out", "out"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("pixel mean"), "{}", ran.err);
    assert_eq!(images(), made);
    // What it left is an ablation's folder.
    let report = place.run(&["report", "out"]);
    assert_eq!(report.code, Some(0), "{report:?}");
}

#[test]
fn fewer_images_say_that_they_cannot_decide() {
    let place = Place::new();
    // The spread of pixels is not known to be unbiased, as a Fréchet distance is not.
    tiny(&place, "card.ron", "[(measure: \"pixel std\", images: 400, value: 60, tolerance: 1000)]");
    let ran = place.run(&["validate", "card.ron", "--images", "20"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.out.contains("20, published 400") && ran.out.contains("cannot decide"), "{}", ran.out);
    assert!(ran.out.contains("depends on the number of images"), "{}", ran.out);
    let ran = place.run(&["validate", "card.ron", "--images", "19"]);
    assert!(ran.code == Some(2) && ran.err.contains("at least 20"), "{ran:?}");
}

#[test]
fn a_wrong_card_is_refused_before_anything_is_made() {
    let place = Place::new();
    let refused = |arguments: &[&str]| {
        let ran = place.run(arguments);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(!place.files().iter().any(|name| name.ends_with(".safetensors")), "{:?}", place.files());
        ran.err
    };
    let missing = refused(&["validate", &path("var-d16-cfg.ron")]);
    for part in [
        "vae_ch160v4096z32.pth, from https://huggingface.co/FoundationVision/var",
        "var_d16.pth, from https://huggingface.co/FoundationVision/var",
        "pt_inception-2015-12-05-6726825d.pth, from https://github.com/mseitzer/pytorch-fid",
        "VIRTUAL_imagenet256_labeled.npz, from https://openaipublic.blob.core.windows.net",
        "--files names another folder",
    ] {
        assert!(missing.contains(part), "{part}: {missing}");
    }
    tiny(&place, "card.ron", &expecting(127.0, 100.0));
    let other = refused(&["validate", "card.ron", "--set", "weights=Sizes(\"depth 16\")"]);
    assert!(
        other.contains("the card is for weights of depth 16; those of var_aln.safetensors are of depth 2"),
        "{other}"
    );
    let other = refused(&["validate", "card.ron", "--set", "weights=Fingerprint(\"0\")"]);
    assert!(other.contains("with the fingerprint 0"), "{other}");
    let unknown = refused(&["validate", "card.ron", "--set", "expect[0].measure=\"FID\""]);
    assert!(unknown.contains("no entry of `measures` gives `FID`"), "{unknown}");
    let slip = refused(&["validate", "card.ron", "--set", "sourec=\"x\""]);
    assert!(slip.contains("did you mean `source`"), "{slip}");
    let run = refused(&["generate", "card.ron"]);
    assert!(
        run.contains("is the card of a published number") && run.contains("nextscale validate card.ron"),
        "{run}"
    );
}

/// Everything but the files: settings are read, and sizes are those of the published models.
#[test]
fn the_cards_of_published_weights_need_only_their_files() {
    let published = cards().into_iter().filter(|card| card.starts_with("var-")).collect::<Vec<_>>();
    assert_eq!(published.len(), 8);
    for card in published {
        let tree = Document::read(Path::new(&path(&card))).unwrap();
        let folder = Path::new("nowhere");
        let error = Card::from_node(&tree, folder, &Registry::standard(), None).err().unwrap().to_string();
        assert!(error.contains("the card needs files"), "{card}: {error}");
        // With other files in their place the run is read, up to those files.
        let mut tree = tree.clone();
        tree.assign("run.model=Shipped(\"cifar10\")").unwrap();
        tree.assign("measures=[Pixels]").unwrap();
        let error = Card::from_node(&tree, folder, &Registry::standard(), None).err().unwrap().to_string();
        assert!(error.contains("the card is for weights of depth"), "{card}: {error}");
    }
}

#[test]
fn the_page_and_the_schema_have_every_field() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/src/validate.md")).unwrap();
    let schema = schema(&Registry::standard());
    for (name, default, _) in FIELDS {
        assert!(page.contains(&format!("| `{name}` |")), "{name} is not in docs/src/validate.md");
        assert!(schema["properties"].get(name).is_some(), "{name} is not in the schema");
        let required = schema["required"].as_array().unwrap().iter().any(|field| field == name);
        assert_eq!(required, default == "required", "{name}");
    }
    let ran = Place::new().run(&["schema", "card"]);
    assert_eq!(ran.code, Some(0));
    let told: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(told, schema);
}
