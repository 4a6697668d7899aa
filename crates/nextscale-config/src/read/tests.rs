use std::path::{Path, PathBuf};

use crate::{ConfigError, Node, Value};

fn texts() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root.join("configs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "ron") {
                found.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    for entry in std::fs::read_dir(root.join("docs/src")).unwrap() {
        let path = entry.unwrap().path();
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for (i, block) in text.split("```ron").skip(1).enumerate() {
            let block = block.split_once('\n').unwrap().1.split("```").next().unwrap();
            found.push((format!("{}#{i}", path.display()), block.to_owned()));
        }
    }
    found
}

fn spans(node: &Node, out: &mut Vec<(usize, usize)>) {
    out.push((node.span.start, node.span.end));
    match &node.value {
        Value::List(items) | Value::Tuple { items, .. } => items.iter().for_each(|n| spans(n, out)),
        Value::Map(entries) => entries.iter().for_each(|(k, v)| {
            spans(k, out);
            spans(v, out)
        }),
        Value::Struct { fields, .. } => fields.iter().for_each(|f| {
            out.push((f.span.start, f.span.end));
            spans(&f.node, out)
        }),
        _ => {}
    }
}

fn place(e: &ConfigError) -> Option<(usize, usize)> {
    e.location().map(|l| (l.1, l.2))
}

fn compare(name: &str, text: &str, verbose: bool) -> &'static str {
    let old = crate::parse::Document::parse("a", text);
    let new = super::Document::parse("a", text);
    match (old, new) {
        (Ok(old), Ok(new)) => {
            if format!("{:?}", old.value).len() == 0 {
                return "";
            }
            let (mut a, mut b) = (vec![], vec![]);
            spans(&old, &mut a);
            spans(&new, &mut b);
            if old != new && format!("{old}") != format!("{new}") {
                println!("TREE {name}: {old} / {new}");
                return "tree";
            }
            if a != b {
                println!("SPANS {name} {text:?}: {:?}", a.iter().zip(&b).find(|(a, b)| a != b));
                return "spans";
            }
            if old.hash() != new.hash() {
                println!("HASH {name}");
                return "hash";
            }
            "same"
        }
        (Err(old), Err(new)) => {
            let same_place = place(&old) == place(&new) && old.labels_len() == new.labels_len();
            let same_text = old.message() == new.message() && old.help_text() == new.help_text();
            if verbose && !(same_place && same_text) {
                println!(
                    "ERR {name} {}\n   old {:?} {} [{:?}]\n   new {:?} {} [{:?}]",
                    if name.is_empty() { text } else { "" },
                    place(&old),
                    old.message(),
                    old.help_text(),
                    place(&new),
                    new.message(),
                    new.help_text()
                );
            }
            match (same_place, same_text) {
                (true, true) => "same error",
                (true, false) => "words",
                (false, true) => "place",
                _ => "words and place",
            }
        }
        (Ok(_), Err(new)) => {
            println!(
                "NOW REFUSED {name} {}: {new} {:?}",
                if name.is_empty() { text } else { "" },
                place(&new)
            );
            "refused"
        }
        (Err(old), Ok(new)) => {
            println!(
                "NOW ACCEPTED {name} {}: {old} {:?} → {}",
                if name.is_empty() { text } else { "" },
                place(&old),
                if name.is_empty() { new.to_string() } else { String::new() }
            );
            "accepted"
        }
    }
}

#[test]
fn side_by_side_shipped() {
    let texts = texts();
    println!("{}", texts.len());
    for (name, text) in &texts {
        let result = compare(name, text, true);
        assert!(matches!(result, "same" | "same error"), "{name} {result}");
    }
}

#[test]
fn side_by_side_cases() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut count = std::collections::BTreeMap::new();
    for file in [
        "src/parse/value.rs",
        "src/parse/number.rs",
        "src/parse/string.rs",
        "src/parse/mod.rs",
        "src/parse/header.rs",
        "src/print.rs",
        "src/hash.rs",
        "src/path.rs",
        "src/set.rs",
        "src/fields.rs",
        "src/de/tests.rs",
        "tests/errors.rs",
        "tests/properties.rs",
    ] {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        // Every string literal.
        let tail = &text[text.find("#[cfg(test)]").unwrap_or(0)..];
        let mut rest = tail;
        while let Some(at) = rest.find('"') {
            let before = &rest[..at];
            let hashes = before.len() - before.trim_end_matches('#').len();
            let raw = before.trim_end_matches('#').ends_with('r');
            let body = &rest[at + 1..];
            let (literal, after) = if raw {
                let end = format!("\"{}", "#".repeat(hashes));
                let Some(i) = body.find(&end) else { break };
                (body[..i].to_owned(), &body[i + end.len()..])
            } else {
                let mut i = 0;
                let bytes = body.as_bytes();
                while i < bytes.len() && bytes[i] != b'"' {
                    i += if bytes[i] == b'\\' { 2 } else { 1 };
                }
                if i >= bytes.len() {
                    break;
                }
                let literal = body[..i].replace("\\\"", "\"").replace("\\n", "\n").replace("\\\\", "\\");
                (literal, &body[i + 1..])
            };
            rest = after;
            *count.entry(compare("", &literal, true)).or_insert(0) += 1;
        }
    }
    println!("{count:?}");
}

#[test]
fn side_by_side_mutated() {
    let texts = texts();
    let mut state = 1u64;
    let mut random = move |n: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % n.max(1)
    };
    let mut count = std::collections::BTreeMap::new();
    let signs: Vec<char> = "()[]{},:\"'\\/*#!.-+_09aefrux \n".chars().collect();
    for i in 0..4000 {
        let (_, text) = &texts[random(texts.len())];
        let mut chars: Vec<char> = text.chars().collect();
        let at = random(chars.len());
        match random(3) {
            0 => {
                chars.remove(at);
            }
            1 => chars.insert(at, signs[random(signs.len())]),
            _ => chars[at] = signs[random(signs.len())],
        }
        let text: String = chars.into_iter().collect();
        let r = compare(&format!("m{i}"), &text, false);
        *count.entry(r).or_insert(0) += 1;
        if matches!(r, "words" | "place" | "words and place") {
            let old = crate::parse::Document::parse("a", &text).unwrap_err();
            let new = super::Document::parse("a", &text).unwrap_err();
            let line = |e: &ConfigError| text.lines().nth(place(e).unwrap().0 - 1).unwrap_or("").to_owned();
            println!(
                "m{i} {r}\n  old {:?} {} [{:?}] {}\n  new {:?} {} [{:?}] {}",
                place(&old),
                old.message(),
                old.help_text(),
                line(&old),
                place(&new),
                new.message(),
                new.help_text(),
                line(&new)
            );
        }
    }
    println!("{count:?}");
}
