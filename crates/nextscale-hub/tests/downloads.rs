//! Downloads from a server on the loopback, good and bad.

mod common;

use std::time::Duration;

use common::server::{COMMIT, Reply, Server, bytes, git_hash, large, repository, sha256};
use common::{Heard, address, environment, hub, tree};
use nextscale_hub::{Environment, Error, Hub, Silent};

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
        let whole = common::server::Asked { headers: Default::default(), ..asked.clone() };
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
