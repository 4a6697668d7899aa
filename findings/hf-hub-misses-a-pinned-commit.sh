#!/bin/sh
# hf-hub 0.5.0 (Rust) does not find a file of Python's cache (huggingface_hub 2.4.0) at a commit: it looks for the commit in
# `refs/`, where Python writes branches and tags only. Asked for `main`, it finds the file; asked for the very commit that `main`
# is at, as anyone does who pins a revision, it does not, and would download it again.
#
# Seen, for one file downloaded by Python at `main` from a server on the loopback:
#   main: found
#   6d0ee6598a42f75079aa79e58b012b57b284c91b: not found
#
# Needs python3 with venv and cargo. Exits with 1 if the commit is found, or the branch is not.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet huggingface_hub==2.4.0

cat > download.py <<'END_OF_FILE'
import hashlib, http.server, os, threading

COMMIT = "6d0ee6598a42f75079aa79e58b012b57b284c91b"
DATA = b"weights" * 1000


class Hub(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", '"' + hashlib.sha256(DATA).hexdigest() + '"')
        self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()

    def do_GET(self):
        self.do_HEAD()
        self.wfile.write(DATA)

    def log_message(self, *words):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ.update(HF_ENDPOINT=f"http://127.0.0.1:{server.server_port}", HF_HUB_CACHE="cache", HF_HUB_DISABLE_XET="1")
from huggingface_hub import hf_hub_download

path = hf_hub_download("a/b", "w.bin")
assert COMMIT in path, path
# Python itself finds it at the commit, without the server.
server.shutdown()
assert hf_hub_download("a/b", "w.bin", revision=COMMIT, local_files_only=True) == path
END_OF_FILE
venv/bin/python download.py

mkdir -p look/src
cat > look/Cargo.toml <<'END_OF_FILE'
[package]
name = "look"
version = "0.0.0"
edition = "2024"

[dependencies]
hf-hub = { version = "=0.5.0", default-features = false }

[workspace]
END_OF_FILE
cat > look/src/main.rs <<'END_OF_FILE'
use hf_hub::{Cache, Repo, RepoType};

fn main() {
    let mut given = std::env::args().skip(1);
    let cache = Cache::new(given.next().unwrap().into());
    for revision in given {
        let repo = Repo::with_revision("a/b".into(), RepoType::Model, revision.clone());
        let found = cache.repo(repo).get("w.bin").is_some();
        println!("{revision}: {}", if found { "found" } else { "not found" });
    }
}
END_OF_FILE
cargo build --quiet --manifest-path look/Cargo.toml
commit=6d0ee6598a42f75079aa79e58b012b57b284c91b
look/target/debug/look cache main "$commit" | tee seen
printf 'main: found\n%s: not found\n' "$commit" | cmp - seen
