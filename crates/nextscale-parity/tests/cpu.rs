//! The CPU is within the bounds, and changed numbers are detected.

use std::path::Path;

use burn::tensor::Device;
use nextscale_core::{Dtype, as_on_other_devices};
use nextscale_parity::{Arithmetic, Fixtures, Line, Setting};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/var");

fn run(fixtures: &Fixtures) -> Vec<Line> {
    let device = Device::flex();
    let setting = Setting::new(fixtures, &device, Arithmetic::of(&device));
    let mut shown = 0;
    let lines = nextscale_parity::run(&setting, |_| shown += 1);
    assert_eq!(shown, lines.len());
    lines
}

#[test]
fn everything_agrees_and_all_of_it_is_compared() {
    let lines = run(&Fixtures::compiled_in());
    let told: Vec<String> = lines.iter().map(ToString::to_string).collect();
    assert!(lines.iter().all(Line::is_ok), "{}", told.join("\n"));
    let compared: Vec<_> =
        lines.iter().map(|line| line.gap.as_ref().map(|gap| (gap.tensors, gap.values)).unwrap()).collect();
    let generation = [(54, 118_032), (13, 29_500)];
    let expected = [
        vec![(391, 590_931)],
        vec![(55, 43_026), (35, 11_406), (108, 49_656)],
        vec![(13, 91_196), (23, 372_896), (24, 2_880), (48, 156_384)],
        vec![(2, 7_680), (20, 38_400), (2, 7_680), (20, 38_400)],
        vec![(40, 38_400)],
        vec![(45, 241), (9, 130), (8, 7_680)],
        generation.to_vec(),
        generation.to_vec(),
        vec![(2, 5_808), (10, 5_808), (11, 11_436)],
        vec![(12, 49_920), (13, 7_940), (2, 2_560), (7, 7_680)],
    ];
    assert_eq!(compared, expected.concat());
}

/// What other devices do in half precision, on the CPU: most bounds come from here. In `more_smooth` other right routes are
/// up to eight times further off.
#[test]
fn halves_are_within_their_bounds_and_need_them() {
    let (device, fixtures) = (Device::flex(), Fixtures::compiled_in());
    for dtype in [Dtype::F16, Dtype::Bf16] {
        let setting = Setting { dtype, ..Setting::new(&fixtures, &device, Arithmetic::F32) };
        let lines = as_on_other_devices(|| nextscale_parity::run(&setting, |_| ()));
        let told: Vec<String> = lines.iter().map(ToString::to_string).collect();
        println!("{dtype}\n{}", told.join("\n"));
        assert!(lines.iter().all(Line::is_ok), "{dtype}\n{}", told.join("\n"));
        let mut halves = 0;
        for line in &lines {
            let in_f32 = Arithmetic::F32.bound(&line.name);
            if line.bound == in_f32 {
                continue;
            }
            halves += 1;
            let relative = line.gap.as_ref().unwrap().relative;
            assert!(relative > in_f32.relative, "{dtype}: nothing is rounded in: {line}");
            assert!(relative > line.bound.relative / 15.0, "{dtype}: the bound is far above: {line}");
        }
        assert_eq!(halves, 17);
    }
}

/// A copy of the fixtures in which every float of one tensor is shifted by `by`.
fn changed(file: &str, tensor: &str, by: f32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(FOLDER).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    let path = folder.path().join(file);
    let mut bytes = std::fs::read(&path).unwrap();
    let (start, end) = {
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let data = file.tensor(tensor).unwrap().data();
        let start = data.as_ptr() as usize - bytes.as_ptr() as usize;
        (start, start + data.len())
    };
    for value in bytes[start..end].chunks_mut(4) {
        let moved = f32::from_le_bytes(value.try_into().unwrap()) + by;
        value.copy_from_slice(&moved.to_le_bytes());
    }
    std::fs::write(path, bytes).unwrap();
    folder
}

fn failed(folder: &Path) -> Vec<String> {
    run(&Fixtures::in_folder(folder)).into_iter().filter(|line| !line.is_ok()).map(|line| line.name).collect()
}

#[test]
fn a_changed_number_fails_its_line_alone() {
    let cases = [
        ("reference_saln.safetensors", "tf.logits", "backbone, teacher-forced logits, shared AdaLN"),
        ("interpolate.safetensors", "area.16to8", "tokenizer, bicubic and area resampling"),
        ("reference_vae.safetensors", "rec_native.s2", "tokenizer, decoder and images of tokens"),
    ];
    for (file, tensor, line) in cases {
        assert_eq!(failed(changed(file, tensor, 2e-3).path()), [line], "{tensor}");
    }
}

#[test]
fn files_that_are_not_there_fail_their_groups() {
    let empty = tempfile::tempdir().unwrap();
    let lines = run(&Fixtures::in_folder(empty.path()));
    // The other families' are compiled in.
    let (var, others) = lines.split_at(7);
    assert!(var.iter().all(|line| !line.is_ok() && line.to_string().contains(".safetensors")));
    assert!(others.len() == 3 + 4 && others.iter().all(Line::is_ok));
}
