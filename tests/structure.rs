//! Sibling modules of a crate do not use each other: what both need is in a third.
//!
//! Determined from the sources' paths that begin with `crate` or `super`, following re-exports. Tests may use
//! anything, and a module and its children may use each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Remaining cycles; one that no longer exists must be removed from the list.
const KNOWN: [&str; 3] = [
    "nextscale-config: error - node",
    "nextscale-config: settings/names - settings/reader",
    "nextscale-guidance: history - step",
];

type Module = Vec<String>;

/// The modules of a crate: their text without comments and tests.
struct Crate(BTreeMap<Module, String>);

impl Crate {
    fn read(src: &Path) -> Self {
        let (mut modules, mut tests) = (BTreeMap::<Module, String>::new(), Vec::new());
        for path in files(src) {
            let inside = path.strip_prefix(src).unwrap().with_extension("");
            let mut module: Module = inside.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
            if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
                module.pop();
            }
            let text = fs::read_to_string(&path).unwrap();
            let lines = text.lines().map(|line| line.split("//").next().unwrap().trim());
            let mut text = lines.collect::<Vec<_>>().join("\n");
            while let Some((before, after)) = text.split_once("#[cfg(test)]\nmod ") {
                let (name, rest) = after.split_once([' ', ';']).unwrap();
                tests.push([&module[..], &[name.to_owned()]].concat());
                // A module of tests with a body ends its file.
                text = if rest.starts_with('{') { before.into() } else { format!("{before}{rest}") };
            }
            modules.entry(module).or_default().push_str(&text);
        }
        modules.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
        Self(modules)
    }

    /// The module that has what `path` names, as `from` sees it.
    fn resolve(&self, from: &Module, path: &[String]) -> Option<Module> {
        let mut at = match path.first()?.as_str() {
            "crate" => Module::new(),
            "super" => from[..from.len().checked_sub(1)?].to_vec(),
            _ => return None,
        };
        for (i, name) in path.iter().enumerate().skip(1) {
            let child = [&at[..], std::slice::from_ref(name)].concat();
            if name == "super" {
                at.pop()?;
            } else if self.0.contains_key(&child) {
                at = child;
            } else if let Some(exported) = self.exported(&at, name) {
                // What a module re-exports belongs to its child.
                let rest = [&["crate".to_owned()][..], &exported, &path[i + 1..]].concat();
                return self.resolve(from, &rest);
            } else {
                break;
            }
        }
        Some(at)
    }

    /// The child from which a module re-exports a name, and the name.
    fn exported(&self, module: &Module, name: &str) -> Option<Module> {
        let text = self.0.get(module)?;
        let exports = text.split('\n').collect::<Vec<_>>().join(" ");
        let exports = exports.split("pub use ").skip(1).chain(exports.split(") use ").skip(1));
        exports.flat_map(paths).find_map(|path| {
            let child = [&module[..], &path[..1]].concat();
            (path.last()? == name && self.0.contains_key(&child)).then(|| [&module[..], &path].concat())
        })
    }

    /// Pairs of sibling modules that use each other.
    fn circles(&self) -> BTreeSet<String> {
        let mut uses = BTreeSet::new();
        for (from, text) in &self.0 {
            for (at, _) in text.match_indices("crate::").chain(text.match_indices("super::")) {
                if text[..at].ends_with(|c: char| c.is_alphanumeric() || "_:$".contains(c)) {
                    continue;
                }
                for path in paths(&text[at..]) {
                    let Some(to) = self.resolve(from, &path) else { continue };
                    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
                    if shared < from.len() && shared < to.len() {
                        uses.insert((from[..=shared].to_vec(), to[..=shared].to_vec()));
                    }
                }
            }
        }
        let both = uses.iter().filter(|(a, b)| a < b && uses.contains(&(b.clone(), a.clone())));
        both.map(|(a, b)| format!("{} - {}", a.join("/"), b.join("/"))).collect()
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let sources = files.into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "rs"));
    sources.chain(folders.iter().flat_map(|folder| self::files(folder))).collect()
}

/// The paths at the beginning of a text: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn paths(text: &str) -> Vec<Module> {
    let text = text.trim_start();
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let tails = match rest.strip_prefix("::") {
        Some(rest) if rest.starts_with('{') => {
            let mut depth = 0;
            let mut starts = vec![1];
            let close = rest.char_indices().find(|&(at, c)| {
                depth += i32::from(c == '{') - i32::from(c == '}');
                if depth == 1 && c == ',' {
                    starts.push(at + 1);
                }
                depth == 0
            });
            let rest = &rest[..close.map_or(rest.len(), |(at, _)| at)];
            starts.iter().flat_map(|&start| paths(&rest[start..])).collect()
        }
        Some(rest) => paths(rest),
        None => vec![Module::new()],
    };
    let name = (!name.is_empty()).then(|| name.to_owned());
    tails.into_iter().map(|tail| name.clone().into_iter().chain(tail).collect()).collect()
}

#[test]
fn modules_beside_each_other_do_not_use_each_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let crates = fs::read_dir(root.join("crates")).unwrap().map(|entry| entry.unwrap().path());
    let mut found = BTreeSet::new();
    for folder in crates.chain([root.to_owned()]) {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let name = if folder == root { "nextscale".into() } else { name };
        found.extend(
            Crate::read(&folder.join("src")).circles().into_iter().map(|pair| format!("{name}: {pair}")),
        );
    }
    let known = KNOWN.map(String::from).into();
    assert_eq!(found.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new(), "new circles");
    assert_eq!(known.difference(&found).collect::<Vec<_>>(), Vec::<&String>::new(), "no circles any more");
}

/// Crates that know model families.
const FAMILIES: [&str; 5] = [
    "nextscale-tokenizers",
    "nextscale-text",
    "nextscale-backbones",
    "nextscale-families",
    "nextscale-parity",
];

#[test]
fn no_model_family_is_named_outside_the_crates_that_know_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let crates = fs::read_dir(root.join("crates")).unwrap().map(|entry| entry.unwrap().path());
    let mut named = Vec::new();
    for folder in crates.chain([root.to_owned()]) {
        if FAMILIES.iter().any(|known| folder.ends_with(known)) {
            continue;
        }
        for path in files(&folder.join("src")) {
            let text = fs::read_to_string(&path).unwrap();
            named.extend(families(&text).map(|line| format!("{}: {line}", path.display())));
        }
    }
    assert_eq!(named, Vec::<String>::new());
    // What is looked for exists.
    let family = fs::read_to_string(root.join("crates/nextscale-families/src/var/mod.rs")).unwrap();
    assert!(families(&family).count() > 2);
    assert_eq!(families("let a = std::env::var(\"A\"); // var::Var\nuse x::vq::Resize;").count(), 1);
}

/// Each copy between host and device is a wait of the loop; `transfer` makes and counts them, and an edit's masks are made once a run.
#[test]
fn the_loop_copies_to_and_from_devices_in_one_module() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates");
    let mut found = BTreeSet::new();
    for name in ["generate", "guidance"] {
        let modules = Crate::read(&crates.join(format!("nextscale-{name}/src")));
        for (module, text) in &modules.0 {
            let copies =
                ["from_data(", "into_data(", "to_data(", "into_scalar(", "from_floats(", "from_ints("];
            // Pictures are files, and the kit is a test.
            let outside =
                matches!(module.first().map(String::as_str), Some("pictures" | "conformance" | "fixtures"));
            if !outside && copies.iter().any(|copy| text.contains(copy)) {
                found.insert(format!("{name}: {}", module.join("/")));
            }
        }
    }
    let found: Vec<&str> = found.iter().map(String::as_str).collect();
    // The sampler of the CPU gives its tokens to the CPU.
    assert_eq!(found, ["generate: edit", "generate: sampler/host", "generate: transfer"]);
}

/// The lines of code that name a family's module or type.
fn families(text: &str) -> impl Iterator<Item = &str> {
    let names = |line: &str| {
        let line = line.split("//").next().unwrap_or_default();
        let words = [
            "var::",
            "vq::",
            "infinity::",
            "bitwise::",
            "hart::",
            "hybrid::",
            "VarConfig",
            "VqvaeConfig",
            "MultiScaleVq",
            "BsqVaeConfig",
            "MultiScaleBsq",
            "VarFiles",
            "BsqVaeConfig",
            "InfinityConfig",
        ];
        words.iter().any(|word| {
            let mut places = line.match_indices(word);
            places.any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
        })
    };
    text.lines().filter(move |line| names(line)).map(str::trim)
}

#[test]
fn a_circle_is_found_through_braces_children_and_what_a_module_hands_on() {
    let module = |path: &str, text: &str| {
        (path.split('/').map(String::from).filter(|p| !p.is_empty()).collect(), text.to_owned())
    };
    let circles = |modules: &[(&str, &str)]| {
        Crate(modules.iter().map(|(path, text)| module(path, text)).collect()).circles()
    };
    let root = ("", "mod a;\nmod b;\npub use b::{B, inner::Deep};");
    let found = circles(&[
        root,
        ("a", "use crate::{\nError,\nB,\n};"),
        ("b", "fn f(x: super::a::A) {}"),
        ("b/inner", ""),
    ]);
    assert_eq!(found, BTreeSet::from(["a - b".to_owned()]));
    let found = circles(&[
        root,
        ("a", "use crate::Deep;"),
        ("b", ""),
        ("b/inner", "use super::super::{a::A, b::B};"),
    ]);
    assert_eq!(found, BTreeSet::from(["a - b".to_owned()]));
    let one_way = circles(&[
        root,
        ("a", "use super::b::B;"),
        ("b", "use self::inner::Deep;"),
        ("b/inner", "use super::B;"),
    ]);
    assert_eq!(one_way, BTreeSet::new());
}
