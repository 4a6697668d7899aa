//! The cache that Python's library and other processes share.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::server::{COMMIT, Reply, Server, bytes, large, repository, sha256};
use common::{Heard, address, environment, hub, tree};
use nextscale_hub::{Environment, Error, Hub, Silent};

#[test]
fn a_file_is_where_python_s_library_puts_it() {
    let (folder, content) = (tempfile::tempdir().unwrap(), bytes(300_000));
    let server = Server::start(repository(&[("x/w.pth", content.clone())]));
    let cache = folder.path();
    let found = hub(cache, &server.address, &[]).fetch(&address("hf://a/b/x/w.pth")).unwrap();
    assert_eq!(found.address.to_string(), format!("hf://a/b@{COMMIT}/x/w.pth"));
    assert_eq!(std::fs::read(&found.path).unwrap(), content);
    let hash = sha256(&content);
    let pointer = format!("models--a--b/snapshots/{COMMIT}/x/w.pth");
    assert_eq!(found.path, cache.join(&pointer));
    let blob = format!("models--a--b/blobs/{hash}");
    assert_eq!(tree(cache), [blob, "models--a--b/refs/main".into(), pointer]);
    assert_eq!(std::fs::read_to_string(cache.join("models--a--b/refs/main")).unwrap(), COMMIT);
    assert!(cache.join(format!(".locks/models--a--b/{hash}.lock")).exists());
    #[cfg(unix)]
    {
        let link = std::fs::read_link(&found.path).unwrap();
        assert_eq!(link, Path::new(&format!("../../../blobs/{hash}")));
    }
    // The commit is known now: no network is needed.
    let before = server.asked().len();
    assert_eq!(hub(cache, &server.address, &[]).fetch(&found.address).unwrap(), found);
    assert_eq!(server.asked().len(), before);
    // Of a branch the server is asked, and nothing is sent again.
    assert_eq!(hub(cache, &server.address, &[]).fetch(&address("hf://a/b/x/w.pth")).unwrap(), found);
    assert_eq!(server.starts(), [0]);
}

#[test]
fn offline_takes_what_is_there_and_asks_nobody() {
    let (folder, content) = (tempfile::tempdir().unwrap(), bytes(1000));
    let server = Server::start(repository(&[("w.pth", content.clone())]));
    hub(folder.path(), &server.address, &[]).fetch(&address("hf://a/b/w.pth")).unwrap();
    let before = server.asked().len();
    let offline = hub(folder.path(), &server.address, &[("HF_HUB_OFFLINE", "1")]);
    for there in ["hf://a/b/w.pth".to_owned(), format!("hf://a/b@{COMMIT}/w.pth")] {
        assert_eq!(std::fs::read(offline.fetch(&address(&there)).unwrap().path).unwrap(), content);
    }
    for absent in ["hf://a/b/x.pth", "hf://a/c/w.pth", "hf://a/b@v2/w.pth", "hf://a/b/folder/"] {
        let error = offline.fetch(&address(absent)).unwrap_err();
        assert!(matches!(error, Error::Offline { .. }) && error.is_usage(), "{absent}: {error}");
    }
    let told = offline.fetch(&address("hf://a/c/w.pth")).unwrap_err().to_string();
    for part in ["w.pth of a/c", "HF_HUB_OFFLINE", "hf download a/c w.pth --revision main"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(server.asked().len(), before);
}

#[test]
fn without_a_network_a_branch_is_as_it_was() {
    let (folder, content) = (tempfile::tempdir().unwrap(), bytes(1000));
    let server = Server::start(repository(&[("w.pth", content)]));
    let found = hub(folder.path(), &server.address, &[]).fetch(&address("hf://a/b/w.pth")).unwrap();
    // A port that nobody listens at.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = format!("http://{closed}");
    let heard = Heard::default();
    let environment = environment(folder.path(), &closed, &[]);
    let hub = Hub::new(environment, Box::new(heard.clone()));
    assert_eq!(hub.fetch(&address("hf://a/b/w.pth")).unwrap(), found);
    let told = heard.0.lock().unwrap().join("\n");
    assert!(told.contains("cannot be reached") && told.contains(COMMIT), "{told}");
    let error = hub.fetch(&address("hf://a/c/w.pth")).unwrap_err();
    let told = error.to_string();
    for part in ["w.pth of a/c", &closed, "cannot be reached", "HTTPS_PROXY"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!error.is_usage());
}

#[test]
fn a_branch_that_moved_keeps_what_is_there() {
    let (folder, content) = (tempfile::tempdir().unwrap(), bytes(1000));
    let server = Server::start(repository(&[("w.pth", content.clone())]));
    let old = hub(folder.path(), &server.address, &[]).fetch(&address("hf://a/b/w.pth")).unwrap();
    let next = "0".repeat(40);
    let (served, commit) = (content.clone(), next.clone());
    let server = Server::start(move |asked, _| large(asked, &commit, &served));
    let new = hub(folder.path(), &server.address, &[]).fetch(&address("hf://a/b/w.pth")).unwrap();
    assert_eq!(new.address.commit(), Some(&*next));
    // The same bytes: nothing is sent.
    assert!(server.starts().is_empty());
    assert_eq!(std::fs::read(&old.path).unwrap(), std::fs::read(&new.path).unwrap());
    let refers = std::fs::read_to_string(folder.path().join("models--a--b/refs/main")).unwrap();
    assert_eq!(refers, next);
}

#[test]
fn all_files_of_a_run_are_of_one_commit() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|asked, number| {
        // The branch moves after the first question.
        let branch = if number == 0 { COMMIT.to_owned() } else { "1".repeat(40) };
        let commit = if asked.path.contains(COMMIT) { COMMIT.to_owned() } else { branch };
        large(asked, &commit, asked.path.rsplit('/').next().unwrap().as_bytes())
    });
    let hub = hub(folder.path(), &server.address, &[]);
    for name in ["w.pth", "v.pth"] {
        let found = hub.fetch(&address(&format!("hf://a/b/{name}"))).unwrap();
        assert_eq!(found.address.commit(), Some(COMMIT));
    }
}

#[test]
fn a_folder_comes_with_its_shards_and_description() {
    let folder = tempfile::tempdir().unwrap();
    let index =
        br#"{"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors", "c": "m-1.safetensors"}}"#;
    let server = Server::start(repository(&[
        ("t5/model.safetensors.index.json", index.to_vec()),
        ("t5/m-1.safetensors", bytes(100)),
        ("t5/m-2.safetensors", bytes(200)),
        ("t5/config.json", b"{}".to_vec()),
        ("t5/other.bin", bytes(300)),
        ("one/model.safetensors", bytes(400)),
        ("bad/model.safetensors.index.json", br#"{"weight_map": {"a": "../x"}}"#.to_vec()),
    ]));
    let online = hub(folder.path(), &server.address, &[]);
    let found = online.fetch(&address("hf://a/b/t5/")).unwrap();
    assert_eq!(found.address.to_string(), format!("hf://a/b@{COMMIT}/t5/"));
    let mut names: Vec<_> = std::fs::read_dir(&found.path).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    let expected = ["config.json", "m-1.safetensors", "m-2.safetensors", "model.safetensors.index.json"];
    assert_eq!(names, expected);
    let one = online.fetch(&address("hf://a/b/one/")).unwrap();
    assert_eq!(std::fs::read(one.path.join("model.safetensors")).unwrap(), bytes(400));
    let error = online.fetch(&address("hf://a/b/bad/")).unwrap_err();
    assert!(error.to_string().contains("`../x` is not a file's name"), "{error}");
    let error = online.fetch(&address("hf://a/b/none/")).unwrap_err();
    assert!(matches!(error, Error::Missing { .. }), "{error}");
    let offline = hub(folder.path(), &server.address, &[("HF_HUB_OFFLINE", "1")]);
    for (folder, path) in [("t5", &found.path), ("one", &one.path)] {
        assert_eq!(&offline.fetch(&address(&format!("hf://a/b/{folder}/"))).unwrap().path, path);
    }
    let all = offline.cache().find_all(&address("hf://a/b/t5/")).unwrap();
    let names: Vec<_> = all.iter().map(|file| file.address.path()).collect();
    let expected =
        ["t5/model.safetensors.index.json", "t5/m-1.safetensors", "t5/m-2.safetensors", "t5/config.json"];
    assert_eq!(names, expected);
    // Without one of its shards it is not there.
    std::fs::remove_file(found.path.join("m-2.safetensors")).unwrap();
    assert_eq!(offline.cache().find_all(&address("hf://a/b/t5/")), None);
    assert!(offline.fetch(&address("hf://a/b/t5/")).is_err());
}

#[cfg(unix)]
#[test]
fn a_cache_that_cannot_be_written_is_read() {
    let (folder, content) = (tempfile::tempdir().unwrap(), bytes(1000));
    // As Python's library leaves it: no lock, the branch in `refs`.
    let repo = folder.path().join("models--a--b");
    let snapshot = repo.join("snapshots").join(COMMIT);
    for made in [&repo.join("blobs"), &repo.join("refs"), &snapshot] {
        std::fs::create_dir_all(made).unwrap();
    }
    let hash = sha256(&content);
    std::fs::write(repo.join("blobs").join(&hash), &content).unwrap();
    std::fs::write(repo.join("refs/main"), COMMIT).unwrap();
    std::os::unix::fs::symlink(format!("../../blobs/{hash}"), snapshot.join("w.pth")).unwrap();
    let before = tree(folder.path());
    let server = Server::start(repository(&[("w.pth", content.clone())]));
    let found = hub(folder.path(), &server.address, &[]).fetch(&address("hf://a/b/w.pth")).unwrap();
    assert_eq!(found.path, snapshot.join("w.pth"));
    assert!(server.starts().is_empty());
    assert_eq!(tree(folder.path()), before);
    let cached = hub(folder.path(), &server.address, &[]).cache().find(&address("hf://a/b/w.pth")).unwrap();
    assert_eq!((cached.bytes, cached.is_intact().unwrap()), (1000, Some(true)));
    // A link to nothing, which deleting a blob leaves, is mended.
    std::fs::remove_file(repo.join("blobs").join(&hash)).unwrap();
    std::os::unix::fs::symlink("../../blobs/gone", snapshot.join("v.pth")).unwrap();
    let server = Server::start(repository(&[("w.pth", content.clone()), ("v.pth", bytes(5))]));
    let hub = hub(folder.path(), &server.address, &[]);
    assert_eq!(std::fs::read(hub.fetch(&address("hf://a/b/w.pth")).unwrap().path).unwrap(), content);
    assert_eq!(std::fs::read(hub.fetch(&address("hf://a/b/v.pth")).unwrap().path).unwrap(), bytes(5));
    // Damage on disk is found when it is looked for.
    let blob = repo.join("blobs").join(&hash);
    std::fs::write(&blob, vec![0; 1000]).unwrap();
    let cached = hub.cache().find(&address("hf://a/b/w.pth")).unwrap();
    assert_eq!(cached.is_intact().unwrap(), Some(false));
}

/// What another process of this test's program does; see [`two_processes_share_one_download`].
#[test]
#[ignore = "run by another test, in processes of its own"]
fn in_a_process_of_its_own() {
    let environment = Environment::of_process().unwrap();
    let found = Hub::new(environment, Box::new(Silent)).fetch(&address("hf://a/b/w.pth")).unwrap();
    assert_eq!(std::fs::read(found.path).unwrap(), bytes(2_000_000));
}

#[test]
fn two_processes_share_one_download() {
    let folder = tempfile::tempdir().unwrap();
    let content = bytes(2_000_000);
    let server = Server::start(move |asked, _| {
        let reply = large(asked, COMMIT, &content);
        // Slow enough that the others find the lock held.
        match asked.method.as_str() {
            "GET" => Reply { cut: Some(1_000_000), stall: Some(Duration::from_millis(300)), ..reply },
            _ => reply,
        }
    });
    let own = std::env::current_exe().unwrap();
    let start = || {
        Command::new(&own)
            .args(["--exact", "in_a_process_of_its_own", "--ignored"])
            .env("HF_HUB_CACHE", folder.path())
            .env("HF_ENDPOINT", &server.address)
            .env_remove("HF_HUB_OFFLINE")
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut processes = [start(), start(), start()];
    for process in &mut processes {
        assert!(process.wait().unwrap().success());
    }
    // Each byte was sent once: the two halves, to whichever process came first.
    assert_eq!(server.starts(), [0, 1_000_000]);
}

/// Python's library, if it is installed; `NEXTSCALE_PYTHON` names another interpreter than `python3`.
fn python() -> Option<PathBuf> {
    let python = PathBuf::from(std::env::var_os("NEXTSCALE_PYTHON").unwrap_or("python3".into()));
    let found = Command::new(&python).args(["-c", "import huggingface_hub"]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    eprintln!("skipped: {} has no huggingface_hub", python.display());
    None
}

fn run_python(python: &Path, cache: &Path, server: &str, offline: bool) -> String {
    let script = "from huggingface_hub import hf_hub_download\nprint(hf_hub_download('a/b', 'x/w.pth'))";
    let output = Command::new(python)
        .args(["-c", script])
        .env("HF_HUB_CACHE", cache)
        .env("HF_ENDPOINT", server)
        .env("HF_HUB_OFFLINE", if offline { "1" } else { "0" })
        .env("HF_HUB_DISABLE_XET", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn python_s_library_and_this_one_use_one_cache() {
    let Some(python) = python() else { return };
    let content = bytes(100_000);
    let server = Server::start(repository(&[("x/w.pth", content.clone())]));
    // What is downloaded here, Python finds without a network.
    let folder = tempfile::tempdir().unwrap();
    let found = hub(folder.path(), &server.address, &[]).fetch(&address("hf://a/b/x/w.pth")).unwrap();
    let theirs = run_python(&python, folder.path(), "http://127.0.0.1:1", true);
    assert_eq!(Path::new(&theirs), found.path);
    // And the other way.
    let folder = tempfile::tempdir().unwrap();
    let theirs = run_python(&python, folder.path(), &server.address, false);
    let offline = hub(folder.path(), "http://127.0.0.1:1", &[("HF_HUB_OFFLINE", "1")]);
    assert_eq!(offline.fetch(&address("hf://a/b/x/w.pth")).unwrap().path, Path::new(&theirs));
    assert_eq!(std::fs::read(theirs).unwrap(), content);
}
