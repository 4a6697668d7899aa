//! Every config that comes with nextscale, and every snippet of its documentation.

use std::path::{Path, PathBuf};

/// Names and texts, in a fixed order.
pub fn texts() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut texts: Vec<_> = files(&root.join("configs"), "ron")
        .into_iter()
        .map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap()))
        .collect();
    for path in files(&root.join("docs/src"), "md") {
        let page = std::fs::read_to_string(&path).unwrap();
        for (index, block) in page.split("```ron").skip(1).enumerate() {
            let text = block.split("```").next().unwrap_or("").trim_start_matches(|c| c != '\n');
            texts.push((format!("{} snippet {index}", path.display()), text.to_owned()));
        }
    }
    assert!(texts.len() > 30, "{}", texts.len());
    texts
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found
}
