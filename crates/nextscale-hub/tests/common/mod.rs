//! A client of a server on the loopback.

#![allow(dead_code, reason = "each test file uses its own part")]

pub mod server;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nextscale_hub::{Address, Environment, Hub, Silent, Watch};

pub fn environment(cache: &Path, server: &str, more: &[(&str, &str)]) -> Environment {
    let cache = cache.to_str().unwrap();
    let get = |name: &str| match name {
        "HF_HUB_CACHE" => Some(cache.to_owned()),
        "HF_ENDPOINT" => Some(server.to_owned()),
        _ => more.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()),
    };
    let environment = Environment::read(&get, Some(Path::new("/nowhere"))).unwrap();
    Environment { patience: Duration::from_millis(1), ..environment }
}

pub fn hub(cache: &Path, server: &str, more: &[(&str, &str)]) -> Hub {
    Hub::new(environment(cache, server, more), Box::new(Silent))
}

pub fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

/// What is said to the user.
#[derive(Clone, Default)]
pub struct Heard(pub Arc<Mutex<Vec<String>>>);

impl Watch for Heard {
    fn say(&self, line: &str) {
        self.0.lock().unwrap().push(line.into());
    }
}

/// Every file and link under a folder, but for locks.
pub fn tree(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, top: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                walk(&path, top, found);
            } else {
                found.push(path.strip_prefix(top).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, folder, &mut found);
    found.retain(|path| !path.starts_with(".locks"));
    found.sort();
    found
}
