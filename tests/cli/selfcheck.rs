use std::path::Path;

use super::program::Place;

#[test]
fn the_cpu_gives_upstreams_numbers_from_any_folder() {
    let place = Place::new();
    let ran = place.run(&["selfcheck"]);
    assert_eq!((ran.code, &*ran.err), (Some(0), ""), "{}", ran.out);
    assert!(place.files().is_empty());
    // Errors differ between processors; what was compared, and what is allowed, does not.
    let lines = ran.out.lines().map(|line| match line.split_once("largest error ") {
        Some((before, after)) => format!("{before}…;{}", after.split_once(';').unwrap().1),
        None => line.into(),
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_number_that_is_changed_is_found_and_ends_in_failure() {
    let place = Place::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/var");
    for entry in std::fs::read_dir(fixtures).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            std::fs::copy(&path, place.path(path.file_name().unwrap().to_str().unwrap())).unwrap();
        }
    }
    // The last value of the file belongs to `word_embed.weight`.
    let file = place.path("var_aln.safetensors");
    let mut bytes = std::fs::read(&file).unwrap();
    let last = bytes.len() - 4;
    let value = f32::from_le_bytes(bytes[last..].try_into().unwrap());
    bytes[last..].copy_from_slice(&(value + 0.5).to_le_bytes());
    std::fs::write(&file, bytes).unwrap();
    let ran = place.run(&["selfcheck", "--fixtures", "."]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let failed: Vec<&str> = ran.out.lines().filter_map(|line| line.strip_prefix("FAILED")).collect();
    assert!(failed.iter().all(|line| line.contains("AdaLN per block")), "{failed:?}");
    assert!(failed.iter().any(|line| line.contains("teacher-forced logits")), "{failed:?}");
    assert!(ran.err.contains(&format!("{} of 27 comparisons FAILED", failed.len())), "{}", ran.err);
}

#[test]
fn what_is_not_there_is_named() {
    let place = Place::new();
    let ran = place.run(&["selfcheck", "--device", "cuda:7"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("no device cuda:7"), "{}", ran.err);
    let ran = place.run(&["selfcheck", "--fixtures", "none"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.out.contains("none/vae.safetensors"), "{}", ran.out);
}
