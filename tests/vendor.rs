//! A crate that depends on nextscale with the `cuda` or `rocm` feature builds without LLVM if it has the patch, which
//! cargo takes from the crate that is built and from nowhere else.

use std::fs;
use std::path::Path;
use std::process::Command;

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// Whether a lock file has `cubecl-llvm` from a folder: a crate of the registry has a source and a checksum.
fn is_the_stand_in(lock: &str) -> bool {
    let mut packages = lock.split("[[package]]");
    let package = packages.find(|package| package.contains("name = \"cubecl-llvm\"")).unwrap();
    !package.contains("source =")
}

/// The lock file that cargo writes for a crate with this feature of nextscale; `None` if it finds no versions.
fn locked(feature: &str, patch: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("src")).unwrap();
    fs::write(at("src/main.rs"), "fn main() {}").unwrap();
    let manifest = format!(
        "[package]\nname = \"mine\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n\
         nextscale = {{ path = {HERE:?}, features = [{feature:?}] }}\n\n[workspace]\n\n{patch}"
    );
    fs::write(at("Cargo.toml"), manifest).unwrap();
    // The versions of this workspace, which are at hand without a network.
    fs::copy(Path::new(HERE).join("Cargo.lock"), at("Cargo.lock")).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    let output =
        cargo.args(["update", "--workspace", "--offline"]).current_dir(folder.path()).output().unwrap();
    output.status.success().then(|| fs::read_to_string(at("Cargo.lock")).unwrap())
}

#[test]
fn a_crate_of_ones_own_takes_the_stand_in_if_it_has_the_patch() {
    let patch = format!("[patch.crates-io]\ncubecl-llvm = {{ path = \"{HERE}/vendor/cubecl-llvm\" }}\n");
    for feature in ["cuda", "rocm"] {
        assert!(is_the_stand_in(&locked(feature, &patch).unwrap()), "{feature}");
        assert!(locked(feature, "").is_none_or(|lock| !is_the_stand_in(&lock)), "{feature}");
    }
}

#[test]
fn cargo_install_takes_the_stand_in_of_this_workspace() {
    assert!(is_the_stand_in(include_str!("../Cargo.lock")));
}
