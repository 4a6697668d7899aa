//! Models by name, from a server on the loopback: the program from outside.

#[path = "../../crates/nextscale-hub/tests/common/server.rs"]
mod server;

use std::path::Path;
use std::process::Command;

use server::{COMMIT, Reply, Server, repository};

use super::program::{Place, Ran};

/// A server with the tiny fixture models as the repository `a/b`.
fn serve() -> Server {
    let read = |name: &str| {
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/var").join(name)).unwrap()
    };
    let tokenizer = read("vae.safetensors");
    Server::start(repository(&[
        ("said.safetensors", with_norm_groups(&tokenizer)),
        ("vae.safetensors", tokenizer),
        ("deep/var.safetensors", read("var_aln.safetensors")),
    ]))
}

/// The same weights, with a header that says what a config would otherwise have to.
fn with_norm_groups(file: &[u8]) -> Vec<u8> {
    let (length, rest) = file.split_first_chunk::<8>().unwrap();
    let (header, tensors) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let mut header: serde_json::Value = serde_json::from_slice(header).unwrap();
    header["__metadata__"] = serde_json::json!({ "norm_groups": "4" });
    let mut header = serde_json::to_vec(&header).unwrap();
    header.resize(header.len().next_multiple_of(8), b' ');
    [&(header.len() as u64).to_le_bytes()[..], &header, tensors].concat()
}

fn run(place: &Place, server: &str, offline: bool, arguments: &[&str]) -> Ran {
    let mut command: Command = place.command(arguments);
    command.env("HF_HUB_CACHE", place.path("cache")).env("HF_ENDPOINT", server);
    command.env("HF_HUB_OFFLINE", if offline { "1" } else { "0" }).env_remove("HF_TOKEN");
    place.ran(command.output().unwrap())
}

const REST: &str = "condition: Labels([1, 2]), guidance: Cfg(scale: 1.5)";

fn config(place: &Place, name: &str, model: &str) {
    std::fs::write(place.path(name), format!("(model: {model}, {REST})")).unwrap();
}

#[test]
fn a_model_by_name_is_downloaded_once_and_pinned_to_its_commit() {
    let (place, server) = (Place::new(), serve());
    place.config("local.ron", REST);
    // The fixture's norms have groups of their own, which a header says and `Hub` leaves to it.
    let addresses = "Var(tokenizer: \"hf://a/b/vae.safetensors\", backbone: \"hf://a/b/deep/var.safetensors\", norm_groups: 4)";
    config(&place, "named.ron", addresses);
    let ran = run(&place, "http://127.0.0.1:1", false, &["generate", "local.ron"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let ran = run(&place, &server.address, false, &["generate", "named.ron"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(server.starts(), [0, 0]);
    let grid = |run: &str| std::fs::read(place.path(run).join("grid.png")).unwrap();
    assert!(grid("local") == grid("named"));
    let resolved = std::fs::read_to_string(place.path("named/config.ron")).unwrap();
    for file in ["vae.safetensors", "deep/var.safetensors"] {
        assert!(resolved.contains(&format!("\"hf://a/b@{COMMIT}/{file}\"")), "{resolved}");
    }
    // The run's own config needs no network: the commit is in it.
    let again = ["generate", "named/config.ron", "--out", "again"];
    let ran = run(&place, "http://127.0.0.1:1", false, &again);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(std::fs::read_to_string(place.path("again/config.ron")).unwrap(), resolved);
    // Nor does the branch, offline.
    let ran = run(&place, "http://127.0.0.1:1", true, &["generate", "named.ron", "--out", "offline"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let listed = run(&place, "http://127.0.0.1:1", true, &["models", addresses, "--verify"]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    assert_eq!(listed.out.matches(", as published, ").count(), 2, "{listed:?}");
}

#[test]
fn a_repository_s_model_is_of_the_family_that_its_backbone_is_of() {
    let (place, server) = (Place::new(), serve());
    let hub = "Hub(repo: \"a/b\", tokenizer: \"said.safetensors\", backbone: \"deep/var.safetensors\")";
    config(&place, "hub.ron", hub);
    place.config("local.ron", REST);
    let ran = run(&place, &server.address, false, &["models", hub]);
    assert!(ran.code == Some(0) && ran.out.matches("not in the cache").count() == 2, "{ran:?}");
    let ran = run(&place, &server.address, false, &["models", hub, "--fetch"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for (config, offline) in [("hub.ron", true), ("local.ron", false)] {
        let ran = run(&place, &server.address, offline, &["generate", config]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    let grid = |run: &str| std::fs::read(place.path(run).join("grid.png")).unwrap();
    assert!(grid("hub") == grid("local"));
    // The resolved config is of the family, at the commit.
    let resolved = std::fs::read_to_string(place.path("hub/config.ron")).unwrap();
    assert!(resolved.contains(&format!("hf://a/b@{COMMIT}/deep/var.safetensors")), "{resolved}");
    assert!(!resolved.contains("Hub("), "{resolved}");
    config(
        &place,
        "swapped.ron",
        "Hub(repo: \"a/b\", tokenizer: \"said.safetensors\", backbone: \"said.safetensors\")",
    );
    let ran = run(&place, &server.address, true, &["generate", "swapped.ron"]);
    assert!(ran.code == Some(2) && ran.err.contains("is not a backbone"), "{ran:?}");
}

#[test]
fn what_cannot_be_had_is_told_and_leaves_nothing() {
    let (place, server) = (Place::new(), serve());
    let told = |code: i32, server: &str, offline: bool, model: &str, parts: &[&str]| {
        config(&place, "run.ron", model);
        let ran = run(&place, server, offline, &["generate", "run.ron"]);
        assert_eq!(ran.code, Some(code), "{ran:?}");
        for part in parts {
            assert!(ran.err.contains(part), "{part}: {ran:?}");
        }
        assert!(!place.path("run").exists() && !place.path("run.partial").exists());
    };
    let address = |file: &str| format!("Var(tokenizer: \"hf://a/b/{file}\", backbone: \"hf://a/b/x\")");
    let own = server.address.as_str();
    told(2, own, false, &address("none.pth"), &["none.pth of a/b", "no such file", "run.ron:1"]);
    told(
        2,
        own,
        true,
        &address("vae.safetensors"),
        &["vae.safetensors of a/b", "HF_HUB_OFFLINE", "hf download"],
    );
    told(2, own, false, "Var(\"d17\")", &["no published model `d17`", "`d16`"]);
    told(2, own, false, "Var(tokenizer: \"hf://a\", backbone: \"b\")", &["not the name of a repository"]);
    told(
        1,
        own,
        false,
        "Var(\"d16\")",
        &["vae_ch160v4096z32.pth of FoundationVision/var", "401", "HF_TOKEN"],
    );
    told(1, "http://127.0.0.1:1", false, "Var(\"d16\")", &["cannot be reached", "HTTPS_PROXY"]);
    told(2, "mirror", false, "Var(\"d16\")", &["HF_ENDPOINT", "https://HOST"]);
    let bad = Server::start(|asked, _| {
        let mut reply = server::large(asked, COMMIT, b"what was published");
        reply.body = b"what was not......".to_vec();
        reply
    });
    told(1, &bad.address, false, "Var(\"d16\")", &["its hash is", "the cache is as before"]);
    let cut = Server::start(|asked, _| Reply {
        cut: Some(9),
        ..server::large(asked, COMMIT, b"what was published")
    });
    // Every attempt brings nine bytes more: it ends well, and is not a model.
    told(1, &cut.address, false, "Var(\"d16\")", &["vae_ch160v4096z32.pth"]);
    assert_eq!(cut.starts()[..2], [0, 9]);
}
