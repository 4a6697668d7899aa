//! Downloads from a server on the loopback, good and bad.

mod server;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nextscale_hub::{Address, Environment, Error, Hub, Silent, Watch};
use server::{COMMIT, Reply, Server, bytes, git_hash, large, repository, sha256};

fn environment(cache: &Path, server: &str, more: &[(&str, &str)]) -> Environment {
    let cache = cache.to_str().unwrap();
    let get = |name: &str| match name {
        "HF_HUB_CACHE" => Some(cache.to_owned()),
        "HF_ENDPOINT" => Some(server.to_owned()),
        _ => more.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()),
    };
    let environment = Environment::read(&get, Some(Path::new("/nowhere"))).unwrap();
    Environment { patience: Duration::from_millis(1), ..environment }
}

fn hub(cache: &Path, server: &str, more: &[(&str, &str)]) -> Hub {
    Hub::new(environment(cache, server, more), Box::new(Silent))
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

/// What is said to the user.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Watch for Heard {
    fn say(&self, line: &str) {
        self.0.lock().unwrap().push(line.into());
    }
}

/// Every file and link under a folder, but for locks.
fn tree(folder: &Path) -> Vec<String> {
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
fn a_cut_connection_is_resumed_where_it_broke() {
    let (folder, content) = (tempfile::tempdir().unwrap(), bytes(500_000));
    let served = content.clone();
    let server = Server::start(move |asked, number| {
        let reply = large(asked, COMMIT, &served);
        match asked.method.as_str() {
            "GET" if number < 2 => Reply { cut: Some(100_000), ..reply },
            _ => reply,
        }
    });
    let found = hub(folder.path(), &server.address, &[]).fetch(&address("hf://a/b/w.pth")).unwrap();
    assert_eq!(std::fs::read(&found.path).unwrap(), content);
    assert_eq!(server.starts(), [0, 100_000, 200_000]);
}

#[test]
fn a_silent_connection_is_given_up_and_resumed() {
    let (folder, content) = (tempfile::tempdir().unwrap(), bytes(50_000));
    let served = content.clone();
    let server = Server::start(move |asked, number| {
        let reply = large(asked, COMMIT, &served);
        match asked.method.as_str() {
            "GET" if number == 0 => {
                Reply { cut: Some(20_000), stall: Some(Duration::from_secs(20)), ..reply }
            }
            _ => reply,
        }
    });
    let environment = environment(folder.path(), &server.address, &[]);
    let environment = Environment { silence: Duration::from_millis(200), ..environment };
    let found = Hub::new(environment, Box::new(Silent)).fetch(&address("hf://a/b/w.pth")).unwrap();
    assert_eq!(std::fs::read(&found.path).unwrap(), content);
    assert_eq!(server.starts(), [0, 20_000]);
}

#[test]
fn what_has_arrived_is_resumed_by_the_next_run() {
    let (folder, content) = (tempfile::tempdir().unwrap(), bytes(400_000));
    let served = content.clone();
    let server = Server::start(move |asked, _| match asked.start() {
        0 => Reply { cut: Some(150_000), ..large(asked, COMMIT, &served) },
        _ => Reply { cut: Some(0), ..large(asked, COMMIT, &served) },
    });
    let wanted = address("hf://a/b/w.pth");
    let error = hub(folder.path(), &server.address, &[]).fetch(&wanted).unwrap_err();
    let told = error.to_string();
    assert!(matches!(error, Error::Broken { done: 150_000, total: Some(400_000), .. }), "{told}");
    for part in ["w.pth of a/b", "150.0 kB of 400.0 kB", "repeating the command resumes"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let partial = format!("models--a--b/blobs/{}.incomplete", sha256(&content));
    assert_eq!(tree(folder.path()), [partial, "models--a--b/refs/main".into()]);
    let server = Server::start(repository(&[("w.pth", content.clone())]));
    let found = hub(folder.path(), &server.address, &[]).fetch(&wanted).unwrap();
    assert_eq!(std::fs::read(&found.path).unwrap(), content);
    assert_eq!(server.starts(), [150_000]);
}

#[test]
fn a_server_that_ignores_ranges_does_not_spoil_the_file() {
    let (folder, content) = (tempfile::tempdir().unwrap(), bytes(200_000));
    let served = content.clone();
    let server = Server::start(move |asked, number| {
        let whole = server::Asked { headers: Default::default(), ..asked.clone() };
        let reply = large(&whole, COMMIT, &served);
        match asked.method.as_str() {
            "GET" if number == 0 => Reply { cut: Some(70_000), ..reply },
            _ => reply,
        }
    });
    let found = hub(folder.path(), &server.address, &[]).fetch(&address("hf://a/b/w.pth")).unwrap();
    assert_eq!(std::fs::read(&found.path).unwrap(), content);
    assert_eq!(server.starts(), [0, 70_000]);
}

#[test]
fn bytes_of_another_hash_never_reach_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (bytes(10_000), vec![7; 10_000]);
    let expected = sha256(&good);
    let server = Server::start(move |asked, _| {
        let mut reply = large(asked, COMMIT, &good);
        if asked.path.ends_with("bad.pth") {
            reply.body.clone_from(&bad);
        }
        reply
    });
    let hub = hub(folder.path(), &server.address, &[]);
    let error = hub.fetch(&address("hf://a/b/bad.pth")).unwrap_err();
    let told = error.to_string();
    assert!(matches!(error, Error::Hash { .. }), "{told}");
    for part in ["bad.pth of a/b", &expected, &sha256(&[7; 10_000]), "run the command again"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(tree(folder.path()), ["models--a--b/refs/main"]);
    // Small files are verified by git's hash.
    let text = b"{}".to_vec();
    let wrong = format!("\"{}\"", git_hash(b"[]"));
    let server = Server::start(move |_, _| Reply {
        body: text.clone(),
        ..Reply::status(200).with("X-Repo-Commit", COMMIT).with("ETag", &wrong)
    });
    let folder = tempfile::tempdir().unwrap();
    let error = self::hub(folder.path(), &server.address, &[]).fetch(&address("hf://a/b/c.json"));
    assert!(matches!(error, Err(Error::Hash { .. })), "{error:?}");
}

#[test]
fn a_damaged_remainder_is_replaced() {
    let (folder, content) = (tempfile::tempdir().unwrap(), bytes(90_000));
    let server = Server::start(repository(&[("w.pth", content.clone())]));
    let blobs = folder.path().join("models--a--b/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    for length in [30_000, 90_000, 200_000] {
        let partial = blobs.join(format!("{}.incomplete", sha256(&content)));
        std::fs::write(&partial, vec![1; length]).unwrap();
        let heard = Heard::default();
        let environment = environment(folder.path(), &server.address, &[]);
        let found = Hub::new(environment, Box::new(heard.clone())).fetch(&address("hf://a/b/w.pth")).unwrap();
        assert_eq!(std::fs::read(&found.path).unwrap(), content);
        assert!(!partial.exists());
        // One that is too long is not even tried.
        assert_eq!(heard.0.lock().unwrap().len(), usize::from(length <= content.len()), "{length}");
        std::fs::remove_file(blobs.join(sha256(&content))).unwrap();
    }
}

#[test]
fn a_refusal_names_repository_file_and_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|asked, _| match asked.path.as_str() {
        path if path.contains("gated") => Reply::status(403).with("X-Error-Code", "GatedRepo"),
        _ => Reply::status(401).with("X-Error-Code", "RepoNotFound"),
    });
    let plain = hub(folder.path(), &server.address, &[]);
    let error = plain.fetch(&address("hf://a/private/w.pth")).unwrap_err();
    let told = error.to_string();
    for part in ["w.pth of a/private", "status 401", "set HF_TOKEN", &format!("{}/a/private", server.address)]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    let named = hub(folder.path(), &server.address, &[("HF_TOKEN", "hf_secret")]);
    let told = named.fetch(&address("hf://a/gated/w.pth")).unwrap_err().to_string();
    assert!(told.contains("status 403") && told.contains("the token from HF_TOKEN was sent"), "{told}");
    assert!(!told.contains("hf_secret"), "{told}");
    assert!(!server.asked().iter().any(|asked| asked.method == "GET"));
    assert!(tree(folder.path()).is_empty());
}

#[test]
fn what_does_not_exist_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(repository(&[("w.pth", bytes(10))]));
    let hub = hub(folder.path(), &server.address, &[]);
    let told = |text: &str| {
        let error = hub.fetch(&address(text)).unwrap_err();
        assert!(matches!(error, Error::Missing { .. }) && error.is_usage(), "{error}");
        error.to_string()
    };
    let file = told("hf://a/b/x.pth");
    for part in ["x.pth of a/b", "no such file at that revision", "status 404", "/a/b/tree/"] {
        assert!(file.contains(part), "{part}: {file}");
    }
    let revision = told("hf://a/b@v2/w.pth");
    assert!(revision.contains("at v2") && revision.contains("no such revision"), "{revision}");
    // Not asked again: the commit cannot gain a file.
    let before = server.asked().len();
    told(&format!("hf://a/b@{COMMIT}/x.pth"));
    assert_eq!(server.asked().len(), before);
}

#[test]
fn the_token_goes_to_its_own_server_only() {
    let (folder, content) = (tempfile::tempdir().unwrap(), bytes(1000));
    let served = content.clone();
    // A file server at another port: it knows nothing of commits.
    let files = Server::start(move |_, _| Reply { body: served.clone(), ..Reply::status(200) });
    let target = format!("{}/signed?x=1", files.address);
    let hash = sha256(&content);
    let server = Server::start(move |asked, _| match asked.path.strip_prefix("/old/name/") {
        // A renamed repository.
        Some(rest) => Reply::status(307).with("Location", format!("/a/b/{rest}")),
        None => Reply::status(302)
            .with("Location", &target)
            .with("X-Repo-Commit", COMMIT)
            .with("X-Linked-Etag", format!("\"{hash}\""))
            .with("X-Linked-Size", 1000),
    });
    let hub = hub(folder.path(), &server.address, &[("HF_TOKEN", "hf_secret")]);
    let found = hub.fetch(&address("hf://old/name/w.pth")).unwrap();
    assert_eq!(std::fs::read(&found.path).unwrap(), content);
    let own = server.asked();
    assert_eq!(own.len(), 4, "{own:?}");
    for asked in own {
        let token = asked.headers.get("authorization").map(String::as_str);
        assert_eq!(token, Some("Bearer hf_secret"), "{}", asked.path);
    }
    let others = files.asked();
    assert_eq!(others.len(), 1, "{others:?}");
    assert_eq!((others[0].method.as_str(), others[0].path.as_str()), ("GET", "/signed?x=1"));
    assert!(!others[0].headers.contains_key("authorization"), "{others:?}");
}

#[test]
fn redirects_without_end_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|asked, _| Reply::status(302).with("Location", &asked.path));
    let error = hub(folder.path(), &server.address, &[]).fetch(&address("hf://a/b/w.pth")).unwrap_err();
    assert!(error.to_string().contains("too many redirects"), "{error}");
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
fn another_kind_of_server_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| Reply { body: b"<html>".to_vec(), ..Reply::status(200) });
    let error = hub(folder.path(), &server.address, &[]).fetch(&address("hf://a/b/w.pth")).unwrap_err();
    assert!(
        error.to_string().contains("X-Repo-Commit") && error.to_string().contains("HF_ENDPOINT"),
        "{error}"
    );
    // An ETag that would lead out of the cache.
    let server =
        Server::start(|_, _| Reply::status(200).with("X-Repo-Commit", COMMIT).with("ETag", "\"../../../w\""));
    let error = hub(folder.path(), &server.address, &[]).fetch(&address("hf://a/b/w.pth")).unwrap_err();
    assert!(matches!(error, Error::NoHub { .. }), "{error}");
}

#[test]
fn a_busy_server_is_asked_again() {
    let (folder, content) = (tempfile::tempdir().unwrap(), bytes(1000));
    let served = content.clone();
    let server = Server::start(move |asked, number| match number {
        0 => Reply::status(503),
        1 => Reply::status(429),
        _ => large(asked, COMMIT, &served),
    });
    let found = hub(folder.path(), &server.address, &[]).fetch(&address("hf://a/b/w.pth")).unwrap();
    assert_eq!(std::fs::read(found.path).unwrap(), content);
    let server = Server::start(|_, _| Reply::status(503));
    let folder = tempfile::tempdir().unwrap();
    let error = hub(folder.path(), &server.address, &[]).fetch(&address("hf://a/b/w.pth")).unwrap_err();
    assert!(error.to_string().contains("status 503; try again later"), "{error}");
    assert_eq!(server.asked().len(), 3);
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

#[test]
fn a_file_that_does_not_fit_is_not_begun() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|asked, _| {
        let mut reply = large(asked, COMMIT, &bytes(10));
        reply.headers.retain(|(name, _)| name != "X-Linked-Size");
        reply.with("X-Linked-Size", 1_u64 << 60)
    });
    let error = hub(folder.path(), &server.address, &[]).fetch(&address("hf://a/b/w.pth")).unwrap_err();
    let told = error.to_string();
    assert!(matches!(error, Error::Space { .. }), "{told}");
    for part in ["w.pth of a/b", "free", "HF_HUB_CACHE", "1152921504.6 GB"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(server.starts().is_empty());
}

/// Writing to `/dev/full` fails as on a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_with_its_remedy() {
    let (folder, content) = (tempfile::tempdir().unwrap(), bytes(300_000));
    let server = Server::start(repository(&[("w.pth", content.clone())]));
    let blobs = folder.path().join("models--a--b/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    let partial = blobs.join(format!("{}.incomplete", sha256(&content)));
    std::os::unix::fs::symlink("/dev/full", &partial).unwrap();
    let error = hub(folder.path(), &server.address, &[]).fetch(&address("hf://a/b/w.pth")).unwrap_err();
    let told = error.to_string();
    for part in ["w.pth of a/b", "cannot write", "No space left", "free some space", "resumes"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!error.is_usage());
    assert!(!blobs.join(sha256(&content)).exists());
    // With space again, the same call works.
    std::fs::remove_file(&partial).unwrap();
    let found = hub(folder.path(), &server.address, &[]).fetch(&address("hf://a/b/w.pth")).unwrap();
    assert_eq!(std::fs::read(found.path).unwrap(), content);
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
