//! A crate that depends on nextscale with the `cuda` or `rocm` feature builds without LLVM if it has the patch, which cargo takes
//! from the crate that is built and from nowhere else.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Where cargo takes `cubecl-llvm` from for a crate with this manifest; `None` if nothing wants it.
fn source_of_llvm(manifest: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    fs::write(folder.path().join("src/main.rs"), "fn main() {}").unwrap();
    fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    // The versions of this workspace, which are at hand without a network.
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::copy(here.join("Cargo.lock"), folder.path().join("Cargo.lock")).unwrap();
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--prefix",
            "none",
            "--edges",
            "normal",
            "--target",
            "all",
            "--format",
            "{p}",
        ])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let (text, error) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{error}");
    text.lines().find(|line| line.starts_with("cubecl-llvm ")).map(String::from)
}

#[test]
fn a_crate_of_ones_own_takes_the_stand_in_if_it_has_the_patch() {
    let here = env!("CARGO_MANIFEST_DIR");
    let of = |features: &str, patch: &str| {
        source_of_llvm(&format!(
            "[package]\nname = \"mine\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n\
             nextscale = {{ path = {here:?}, features = [{features}] }}\n\n[workspace]\n\n{patch}"
        ))
    };
    let patch = format!("[patch.crates-io]\ncubecl-llvm = {{ path = \"{here}/vendor/cubecl-llvm\" }}\n");
    assert_eq!(of("", &patch), None);
    for feature in ["\"cuda\"", "\"rocm\""] {
        let line = of(feature, &patch).unwrap();
        assert!(line.contains("vendor/cubecl-llvm"), "{feature}: {line}");
    }
}

#[test]
fn cargo_install_takes_the_stand_in_of_this_workspace() {
    let lock = include_str!("../Cargo.lock");
    let package =
        lock.split("[[package]]").find(|package| package.contains("name = \"cubecl-llvm\"")).unwrap();
    // A crate of the registry has a source and a checksum.
    assert!(!package.contains("source ="), "{package}");
}
