//! The ablations in `configs` are what they say.

use std::path::Path;

use nextscale_ablation::judge::Judges;
use nextscale_ablation::{Ablation, Result};
use nextscale_config::Document;
use nextscale_pipeline::Registry;

/// Those of one question each, on one shipped model.
const ABLATIONS: [&str; 7] = [
    "ablate-priors",
    "ablate-priors-text",
    "compose-cfg-ssg",
    "compose-cfg-ssg-text",
    "beta-schedules",
    "temperature-fair",
    "guidance-scale",
];

fn read(name: &str, quick: bool) -> Result<Ablation> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs"));
    let mut node = Document::read(&folder.join(format!("{name}.ron")))?;
    if quick {
        Ablation::quicken(&mut node)?;
    }
    Ablation::from_node(&node, folder, &Registry::standard(), &Judges::standard())
}

#[test]
fn every_one_fits_its_shipped_model_and_its_measures_can_be_taken() {
    for name in ABLATIONS {
        for quick in [false, true] {
            let ablation = read(name, quick).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(
                ablation.judges(&Judges::standard(), &burn::tensor::Device::flex()).unwrap().len(),
                ablation.measures.len()
            );
            // Five seeds: intervals are over seeds.
            assert_eq!(ablation.seeds.len(), 5, "{name}");
            assert!(ablation.completion.is_some() && ablation.traces > 0, "{name}");
            let ids: Vec<String> =
                ablation.cells.iter().map(|cell| format!("{} {}", cell.id("cpu"), cell.pixels)).collect();
            let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
            assert_eq!(distinct.len(), ids.len(), "{name}: two cells are the same");
        }
    }
}

#[test]
fn too_few_images_for_a_measure_are_refused_before_any_is_made() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let refused_with = |sets: &[&str]| {
        let mut node = Document::read(&folder.join("ablate-priors.ron")).unwrap();
        sets.iter().for_each(|set| node.assign(set).unwrap());
        let ablation =
            Ablation::from_node(&node, &folder, &Registry::standard(), &Judges::standard()).unwrap();
        ablation.judges(&Judges::standard(), &burn::tensor::Device::flex()).err()
    };
    let refused = |samples: &str| refused_with(&[samples]);
    let Some(nextscale_ablation::Error::Config(error)) = refused("samples=5") else { panic!("no error") };
    assert!(
        error.to_string().contains("Lite0 needs at least 6 images, and a cell has 5 per seed"),
        "{error}"
    );
    assert!(error.help_text().unwrap().contains("samples: 6 or more"), "{error}");
    assert!(refused("samples=6").is_none());
    // Diversity is that of images of one condition: the eleventh image is the second of the first class.
    let diverse = |samples: &str| refused_with(&["measures=[Diversity]", samples]);
    let Some(nextscale_ablation::Error::Config(error)) = diverse("samples=10") else { panic!("no error") };
    assert!(error.to_string().contains("2 images of one condition or more"), "{error}");
    assert!(error.help_text().unwrap().contains("fewer conditions"), "{error}");
    assert!(diverse("samples=11").is_none());
}

#[test]
fn the_ablation_of_priors_has_every_control_in_a_fresh_clone() {
    let cells = read("ablate-priors", true).unwrap().cells;
    let controls = cells.iter().filter(|cell| cell.name.starts_with("control: "));
    let names: Vec<&str> = controls.map(|cell| &cell.name["control: ".len()..]).collect();
    assert_eq!(names, ["mean", "zero", "marginal", "unsharp on pixels"]);
}

#[test]
fn cells_choose_by_a_distance_of_images_on_seeds_of_their_own() {
    for quick in [false, true] {
        let ablation = read("temperature-fair", quick).unwrap();
        let tune = ablation.tune.unwrap();
        assert_eq!(tune.by, "FD-Lite0");
        assert!(tune.seeds.iter().all(|seed| !ablation.seeds.contains(seed)));
    }
}

#[test]
fn quick_makes_less() {
    for name in ABLATIONS {
        let images = |quick| {
            let ablation = read(name, quick).unwrap();
            let points = |ablation: &Ablation| {
                ablation.tune.as_ref().map_or(0, |tune| {
                    nextscale_ablation::plan::product(&tune.axes).len() as u64
                        * tune.samples
                        * tune.seeds.len() as u64
                })
            };
            ablation.cells.len() as u64 * (ablation.samples * ablation.seeds.len() as u64 + points(&ablation))
        };
        assert!(
            images(true) < 8000 && images(false) >= 30_000,
            "{name}: {} and {}",
            images(true),
            images(false)
        );
    }
}
