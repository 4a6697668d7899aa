//! A server on the loopback that answers as the Hub does, and badly where a test wants it.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::Digest as _;

pub const COMMIT: &str = "6d0ee6598a42f75079aa79e58b012b57b284c91b";

/// A request as it arrived; names of headers in lower case.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
}

impl Asked {
    /// The first byte asked for.
    pub fn start(&self) -> usize {
        let range = self.headers.get("range").map_or("", String::as_str);
        range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap_or(0)
    }
}

/// An answer.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Closes the connection after so many bytes of the body.
    pub cut: Option<usize>,
    /// Sends nothing for so long after the cut, before it closes.
    pub stall: Option<Duration>,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.into(), value.to_string()));
        self
    }
}

type Answer = dyn Fn(&Asked, usize) -> Reply + Send + Sync;

pub struct Server {
    pub address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Answers every request by `answer`, which gets it and its number among requests of its method.
    pub fn start(answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer): (_, Arc<Answer>) = (Arc::clone(&asked), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &seen, &*answer));
            }
        });
        Self { address, asked }
    }

    /// What has been asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The starts of the requests for bytes.
    pub fn starts(&self) -> Vec<usize> {
        self.asked().iter().filter(|asked| asked.method == "GET").map(Asked::start).collect()
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<Vec<Asked>>, answer: &Answer) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let Some(Ok(first)) = lines.next() else { return };
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line.unwrap();
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let asked = Asked { method, path, headers };
    let number = {
        let mut seen = seen.lock().unwrap();
        let number = seen.iter().filter(|known| known.method == asked.method).count();
        seen.push(asked.clone());
        number
    };
    let reply = answer(&asked, number);
    let mut text = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", reply.status);
    if !reply.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
        text.push_str(&format!("Content-Length: {}\r\n", reply.body.len()));
    }
    for (name, value) in &reply.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    // The other side may be gone, as tests of broken connections want it.
    let _ = stream.write_all(text.as_bytes());
    if asked.method != "HEAD" {
        let end = reply.cut.unwrap_or(reply.body.len()).min(reply.body.len());
        let _ = stream.write_all(&reply.body[..end]);
    }
    let _ = stream.flush();
    if let Some(stall) = reply.stall {
        std::thread::sleep(stall);
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn git_hash(bytes: &[u8]) -> String {
    let mut hasher = sha1::Sha1::new();
    hasher.update(format!("blob {}\0", bytes.len()));
    hasher.update(bytes);
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The answer of the Hub for a large file whose bytes it has itself.
pub fn large(asked: &Asked, commit: &str, bytes: &[u8]) -> Reply {
    let start = asked.start().min(bytes.len());
    let reply = match asked.headers.contains_key("range") {
        true => Reply::status(206)
            .with("Content-Range", format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len())),
        false => Reply::status(200),
    };
    let mut reply = reply
        .with("X-Repo-Commit", commit)
        .with("X-Linked-Etag", format!("\"{}\"", sha256(bytes)))
        .with("X-Linked-Size", bytes.len())
        .with("ETag", "\"of-the-redirect\"");
    reply.body = bytes[start..].to_vec();
    reply
}

/// The answer for a small file, which git has.
pub fn small(commit: &str, bytes: &[u8]) -> Reply {
    let etag = format!("W/\"{}\"", git_hash(bytes));
    let reply = Reply::status(200).with("X-Repo-Commit", commit).with("ETag", etag);
    Reply { body: bytes.to_vec(), ..reply }
}

/// A repository `a/b` at [`COMMIT`], whose branch is `main`: JSON files are small, others large.
pub fn repository(files: &[(&str, Vec<u8>)]) -> impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static {
    let files: BTreeMap<String, Vec<u8>> =
        files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())).collect();
    move |asked, _| {
        let Some(rest) = asked.path.strip_prefix("/a/b/resolve/") else {
            return Reply::status(401).with("X-Error-Code", "RepoNotFound");
        };
        let (revision, path) = rest.split_once('/').unwrap();
        if ![COMMIT, "main"].contains(&revision) {
            return Reply::status(404).with("X-Error-Code", "RevisionNotFound");
        }
        match files.get(path) {
            Some(bytes) if path.ends_with(".json") => small(COMMIT, bytes),
            Some(bytes) => large(asked, COMMIT, bytes),
            None => Reply::status(404).with("X-Error-Code", "EntryNotFound").with("X-Repo-Commit", COMMIT),
        }
    }
}

/// Bytes that no hash takes for others.
pub fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|index| (index * 31 + index / 251) as u8).collect()
}
