//! The documentation: generated pages are up to date, and links lead somewhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use nextscale::config::Document;
use nextscale::families::var::training::{TrainBackbone, TrainTokenizer};
use nextscale::pipeline::{Registry, registry};
use nextscale::train::config::TrainClassifier;
use serde::de::DeserializeOwned;

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/src").join(name)
}

/// `NEXTSCALE_UPDATE_DOCS=1` writes the page instead of comparing it.
#[test]
fn the_reference_of_configs_is_what_the_registry_says() {
    let made = registry::markdown(&Registry::standard());
    let path = page("configs.md");
    if std::env::var_os("NEXTSCALE_UPDATE_DOCS").is_some() {
        std::fs::write(&path, made).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let difference = made.lines().zip(committed.lines()).find(|(made, committed)| made != committed);
    assert!(
        made == committed,
        "docs/src/configs.md is out of date; run NEXTSCALE_UPDATE_DOCS=1 cargo test -p nextscale --test docs\n\
         first difference (made, committed): {difference:?}"
    );
}

/// The source files of the crates that mention a name outside of tests.
fn files_that_name(thing: &str) -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src"), root.join("crates")];
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let inside = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
            if path.is_dir() && !["tests", "examples", "benches"].iter().any(|name| path.ends_with(name)) {
                folders.push(path);
            } else if inside.ends_with(".rs") && !inside.ends_with("tests.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
                let mut words = code.split(|c: char| !(c.is_alphanumeric() || c == '_'));
                if words.any(|word| word == thing) {
                    found.insert(inside);
                }
            }
        }
    }
    found
}

#[test]
fn a_rule_stands_in_the_files_that_the_map_says() {
    let map = std::fs::read_to_string(page("../ARCHITECTURE.md")).unwrap();
    let row = |start: &str| -> Vec<String> {
        let row =
            map.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no row {start}"));
        row.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let told: BTreeSet<String> = row("| a rule |").into_iter().collect();
    assert_eq!(told.len(), 3);
    assert_eq!(files_that_name("Gated"), told);
    let other: BTreeSet<String> = told.iter().map(|file| file.replace("gated", "rescale")).collect();
    assert_eq!(files_that_name("Rescale"), other);
    // Includes names that are common words.
    for (start, thing) in [("| a prior |", "Dse"), ("| a sampler |", "Argmax"), ("| a family |", "VarFamily")]
    {
        let files = files_that_name(thing);
        let told = row(start);
        assert_eq!(told.len(), 3);
        assert!(told.iter().all(|file| files.contains(file)), "{thing}: {files:?}");
    }
}

#[test]
fn every_page_is_listed() {
    let summary = std::fs::read_to_string(page("SUMMARY.md")).unwrap();
    for entry in std::fs::read_dir(page("")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if name.ends_with(".md") && name != "SUMMARY.md" {
            assert!(summary.contains(&format!("({name})")), "{name} is not in docs/src/SUMMARY.md");
        }
    }
}

/// Every page of documentation outside of crates: the book's, and those at the repository's root and beside
/// models.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [
        "",
        "docs",
        "docs/src",
        "models/cifar10",
        "models/cifar10-weak",
        "models/cifar10-text",
        "models/lite0",
    ];
    let inside = |folder: &str| std::fs::read_dir(root.join(folder)).unwrap();
    let files = folders.into_iter().flat_map(inside).map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// A page without its code.
fn prose(text: &str) -> String {
    let outside = text.split("```").step_by(2).collect::<String>();
    outside.lines().filter(|line| !line.starts_with("    ")).map(|line| format!("{line}\n")).collect()
}

/// The anchors of a page's headings, as created by mdBook and others.
fn anchors(text: &str) -> BTreeSet<String> {
    let prose = prose(text);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn links_of_the_documentation_lead_somewhere() {
    let book = page("").canonicalize().unwrap();
    let mut count = 0;
    for path in documents() {
        let text = std::fs::read_to_string(&path).unwrap();
        for link in prose(&text).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link} leads nowhere", path.display());
            let in_book = |path: &Path| path.canonicalize().unwrap().starts_with(&book);
            assert!(in_book(&target) || !in_book(&path), "{}: {link} leads out of the book", path.display());
            if !anchor.is_empty() {
                let headings = anchors(&std::fs::read_to_string(&target).unwrap());
                assert!(headings.contains(anchor), "{}: {link} names none of {headings:?}", path.display());
            }
            count += 1;
        }
    }
    assert!(count > 80, "{count}");
}

/// The links of the built pages, as mdBook created them: `mdbook build docs` comes first.
#[test]
#[ignore = "needs the built book: mdbook build docs"]
fn the_built_book_has_no_broken_link() {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/book");
    let read =
        |path: &Path| std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let mut count = 0;
    for entry in std::fs::read_dir(&book).expect("mdbook build docs makes it") {
        let path = entry.unwrap().path();
        // The page for paths that do not exist is written for a site's root.
        if path.extension().is_none_or(|extension| extension != "html") || path.ends_with("404.html") {
            continue;
        }
        let text = read(&path);
        for attribute in ["href=\"", "src=\""] {
            for link in text.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()) {
                let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
                if link.contains("://") || link.starts_with("data:") {
                    continue;
                }
                let target = if file.is_empty() { path.clone() } else { book.join(file) };
                assert!(target.exists(), "{}: {link} leads nowhere", path.display());
                let place = format!("id=\"{anchor}\"");
                assert!(
                    anchor.is_empty() || read(&target).contains(&place),
                    "{}: {link} leads to no place",
                    path.display()
                );
                count += 1;
            }
        }
    }
    assert!(count > 500, "{count}");
}

/// The fields of a training's config at a path, from the answer to an unknown one.
fn fields<T: DeserializeOwned>(config: &str, path: &str) -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/train").join(config);
    let mut tree = Document::read(&file).unwrap();
    let place = if path.is_empty() { "nonsense".into() } else { format!("{path}.nonsense") };
    tree.assign(&format!("{place}=0")).unwrap();
    let error = tree.decode::<T>().err().unwrap_or_else(|| panic!("{place} was taken"));
    let help = error.help_text().unwrap().to_owned();
    let allowed = help.split_once("allowed: ").unwrap().1.split(';').next().unwrap_or_default();
    allowed.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_page_on_training_has_every_setting() {
    let text = std::fs::read_to_string(page("training.md")).unwrap();
    let mut told = 0;
    let mut check = |fields: Vec<String>| {
        for field in fields {
            let written = [format!("`{field}`"), format!("{field}: ")];
            assert!(written.iter().any(|form| text.contains(form)), "{field} is not in docs/src/training.md");
            told += 1;
        }
    };
    for path in ["", "model", "training", "training.schedule", "training.optimiser"] {
        check(fields::<TrainTokenizer>("cifar10-tokenizer.ron", path));
    }
    check(fields::<TrainClassifier>("cifar10-classifier.ron", ""));
    for path in ["", "model"] {
        check(fields::<TrainBackbone>("cifar10-backbone.ron", path));
    }
    assert!(told > 40, "{told}");
}

/// The blocks of a kind in a page.
fn blocks<'a>(page: &'a str, kind: &str) -> Vec<&'a str> {
    let opened = format!("```{kind}\n");
    page.split(opened.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

/// The words of a command line; what is in double quotes is one word.
fn shell_words(line: &str) -> Vec<&str> {
    let parts = line.split('"').enumerate();
    let words = parts.map(|(i, part)| match i % 2 {
        0 => part.split_whitespace().collect(),
        _ => vec![part],
    });
    words.collect::<Vec<_>>().concat()
}

/// Run as a newcomer types them, with fewer images. Git must ignore what they leave in a clone.
#[test]
fn the_commands_of_the_readme_work_as_printed() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(project.join("README.md")).unwrap();
    let place = tempfile::tempdir().unwrap();
    let root = place.path();
    std::os::unix::fs::symlink(project.join("configs"), root.join("configs")).unwrap();
    std::os::unix::fs::symlink(project.join("models"), root.join("models")).unwrap();
    let run = |words: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_nextscale"));
        let ran = command.args(words).current_dir(root).output().unwrap();
        assert!(ran.status.success(), "{words:?}: {}", String::from_utf8_lossy(&ran.stderr));
    };
    let mut count = 0;
    for line in blocks(&readme, "sh").iter().flat_map(|block| block.lines()) {
        let Some(words) = line.strip_prefix("cargo run --release -- ") else { continue };
        let mut words = shell_words(words.split(" #").next().unwrap());
        if words[0] == "ablate" {
            words.extend([
                "--set",
                "samples=8",
                "--set",
                "traces=0",
                "--set",
                "seeds=[0]",
                "--set",
                "completion=None",
            ]);
        }
        run(&words);
        count += 1;
    }
    assert!(count >= 3, "{count} commands");
    let configs = blocks(&readme, "ron");
    std::fs::write(root.join("my.ron"), configs[0]).unwrap();
    assert!(readme.contains("`nextscale generate my.ron --set guidance.beta=0.3 --seed 7 --out my-7`"));
    run(&["generate", "my.ron", "--set", "guidance.beta=0.3", "--seed", "7", "--out", "my-7"]);
    // `my-7` is a name of the reader's own.
    let made =
        std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    for name in made.filter(|name| !["configs", "models", "my-7", "my.ron"].contains(&name.as_str())) {
        let git = std::process::Command::new("git")
            .args(["check-ignore", "--quiet", "--no-index", &format!("{name}/")])
            .current_dir(project)
            .status();
        // A source archive has no git.
        if let Ok(status) = git.as_ref().map(|status| status.code())
            && project.join(".git").exists()
        {
            assert_eq!(status, Some(0), "git would list {name}");
        }
    }
}
