#!/bin/sh
# huggingface_hub 2.4.0 (Python) keeps nothing of a download that was interrupted: the next call begins at the first byte.
# Version 0.36.0 left `blobs/ETAG.incomplete` in place and resumed it; now each download has a file of its own, which is removed
# when it fails. (Within one call, a broken connection is still resumed, in steps of 10 MB.) This is the plain HTTP
# transfer, which is used where hf_xet is absent or HF_HUB_DISABLE_XET is set.
#
# Seen, for 30 MB from a server on the loopback that ends every connection 25 MB into the file while the first call runs:
#   first call: RemoteProtocolError, 0 bytes left in the cache
#   second call: begins at byte 0
#
# Needs python3 with venv. Exits with 1 if something is left, or the second call begins elsewhere.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet huggingface_hub==2.4.0

cat > download.py <<'END_OF_FILE'
import hashlib, http.server, os, pathlib, threading, time

DATA = bytes(1000) * 30_000
CUT = 25_000_000
broken, starts = True, []


class Hub(http.server.BaseHTTPRequestHandler):
    def start(self):
        asked = self.headers.get("Range")
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{len(DATA) - 1}/{len(DATA)}")
        self.send_header("X-Repo-Commit", "6d0ee6598a42f75079aa79e58b012b57b284c91b")
        self.send_header("ETag", '"' + hashlib.sha256(DATA).hexdigest() + '"')
        self.send_header("Content-Length", str(len(DATA) - first))
        self.end_headers()
        return first

    def do_HEAD(self):
        self.start()

    def do_GET(self):
        first = self.start()
        starts.append(first)
        self.wfile.write(DATA[first : CUT if broken else None])
        self.close_connection = True

    def log_message(self, *words):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ.update(
    HF_ENDPOINT=f"http://127.0.0.1:{server.server_port}",
    HF_HUB_CACHE="cache",
    HF_HUB_DISABLE_XET="1",
    HF_HUB_DISABLE_PROGRESS_BARS="1",
)
from huggingface_hub import hf_hub_download

# The waits between its attempts are not needed here.
time.sleep = lambda seconds: None
try:
    hf_hub_download("a/b", "w.bin")
    raise SystemExit("the first call did not fail")
except Exception as error:
    left = sum(path.stat().st_size for path in pathlib.Path("cache").rglob("blobs/*"))
    print(f"first call: {type(error).__name__}, {left} bytes left in the cache")
broken = False
starts.clear()
hf_hub_download("a/b", "w.bin")
print(f"second call: begins at byte {starts[0]}")
raise SystemExit(left != 0 or starts != [0])
END_OF_FILE
venv/bin/python download.py 2> log || { cat log; exit 1; }
