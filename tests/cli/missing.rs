//! Files that a config or an option names and that are not there.

use super::program::Place;

const SHIPPED: &str = "model: Shipped(\"cifar10\"), condition: PerClass(1)";

fn write(place: &Place, name: &str, text: &str) {
    std::fs::write(place.path(name), text).unwrap();
}

#[test]
fn a_file_of_a_config_that_is_not_there_is_refused_with_its_place() {
    let place = Place::new();
    write(
        &place,
        "var.ron",
        "(\n    model: Var(tokenizer: \"vae.pth\", backbone: \"var.pth\"),\n    condition: Labels([1]),\n    guidance: Conditional,\n)",
    );
    write(
        &place,
        "edit.ron",
        &format!(
            "({SHIPPED}, guidance: Conditional,\nedit: Paint(image: \"photo.png\", rows: (0, 1), columns: (0, 0.5)))"
        ),
    );
    write(
        &place,
        "marginal.ron",
        &format!("({SHIPPED},\nguidance: Ssg(prior: Marginal(file: \"averages.safetensors\"), beta: 0.5))"),
    );
    write(
        &place,
        "images.ron",
        &format!(
            "(base: ({SHIPPED}, guidance: Conditional), variants: [(name: \"a\"), (name: \"b\")], baseline: \"a\", seeds: [0],\n\
             samples: 2, measures: [Spectrum],\nreference: Images(\"photos\"))"
        ),
    );
    let told = place.usage_errors(&[
        &["generate", "var.ron"],
        &["bench", "var.ron"],
        &["calibrate", "var.ron", "--out", "a.safetensors"],
        &["generate", "edit.ron"],
        &["generate", "marginal.ron"],
        &["ablate", "images.ron"],
    ]);
    insta::assert_snapshot!(told);
    assert_eq!(place.files(), ["edit.ron", "images.ron", "marginal.ron", "var.ron"]);
}

#[test]
fn a_file_of_an_option_that_is_not_there_is_refused_with_what_can_be_given() {
    let place = Place::new();
    let told = place.usage_errors(&[
        &["evaluate", "none", "--reference", "cifar10"],
        &["inspect", "none.pth"],
        &["inspect", "none/none.pth"],
        &["neighbours", "none", "--data", "none", "--out", "a.png"],
        &["probe", "fit", "none", "--out", "a.safetensors"],
        &["curves", "none.csv", "--out", "a.svg"],
        &["generate", "none.ron"],
        &["train", "backbone", "none.ron"],
    ]);
    insta::assert_snapshot!(told);
    assert!(place.files().is_empty(), "{:?}", place.files());
}

#[test]
fn a_trace_in_a_config_needs_the_option() {
    let place = Place::new();
    place.config("run.ron", "condition: Labels([1]), guidance: Conditional, trace: (fields: [Tokens])");
    let without = place.run(&["generate", "run.ron"]);
    assert!(without.code == Some(0) && without.err.contains("only with --trace FILE"), "{without:?}");
    let with = place.run(&["generate", "run.ron", "--out", "b", "--trace", "a.safetensors"]);
    assert!(with.code == Some(0) && !with.err.contains("--trace"), "{with:?}");
    // What is in it is said, and not more.
    let inspected = place.run(&["inspect", "a.safetensors"]);
    assert!(inspected.out.contains("A trace of 1 images, with tokens of scales 0, 1"), "{inspected:?}");
}
