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

/// Its files have no name by which they are downloaded.
#[test]
fn a_folder_of_hart_that_is_not_there_is_refused_with_the_command_that_downloads_it() {
    let place = Place::new();
    let hart = "Hart(folder: \"hart\", text: (encoder: \"qwen\"))";
    let rest = "condition: Prompts([\"a red truck\"]), guidance: Conditional";
    let var = "Var(tokenizer: \"vae.pth\", backbone: \"var.pth\")";
    write(&place, "hart.ron", &format!("(model: {hart}, {rest})"));
    write(
        &place,
        "ablation.ron",
        &format!(
            "(base: (model: {hart}, {rest}), variants: [(name: \"a\"), (name: \"b\")], baseline: \"a\", seeds: [0], samples: 2)"
        ),
    );
    write(
        &place,
        "guide.ron",
        &format!(
            "({SHIPPED}, guides: [(\"weak\", {hart})], guidance: Autoguidance(weak: \"weak\", weight: 1.0))"
        ),
    );
    write(
        &place,
        "other.ron",
        &format!(
            "({SHIPPED}, guides: [(\"weak\", {var})], guidance: Autoguidance(weak: \"weak\", weight: 1.0))"
        ),
    );
    for (arguments, downloads) in [
        (["generate", "hart.ron"], true),
        (["ablate", "ablation.ron"], true),
        (["generate", "guide.ron"], true),
        (["generate", "other.ron"], false),
    ] {
        let ran = place.run(&arguments);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        // miette breaks lines.
        let words = ran.err.split_whitespace().collect::<Vec<_>>().join(" ");
        let file = if downloads { "`hart`" } else { "`vae.pth`" };
        assert!(words.contains(file), "{words}");
        let command = "`hf download mit-han-lab/hart-0.7b-1024px --local-dir hart-0.7b-1024px`";
        assert_eq!(words.contains(command), downloads, "{words}");
        assert_eq!(words.contains("`nextscale models`"), !downloads, "{words}");
    }
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
