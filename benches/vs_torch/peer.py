"""VAR, Infinity and HART in plain eager PyTorch, written for speed on a CPU: what nextscale is compared with.

Needs torch and numpy. Reads weights in .safetensors under upstream's names, as `cargo run --release --example random_var`
makes them. What it does beyond a plain transcription, all of it exact up to rounding: linear weights are packed once, AdaLN
is projected once per image, the cache has its full size from the start, one sort serves top-k, top-p and the draw,
convolutions run channels last, resampling and DSE are matrices, and freed memory stays in the process.

    python peer.py versions
    python peer.py serve BACKBONE TOKENIZER [--dtype f32|bf16] [--threads 2] [--batch 1]
    python peer.py serve BACKBONE TOKENIZER --text TEXT
    python peer.py bench BACKBONE TOKENIZER --guidance cfg --runs 5
    python peer.py check BACKBONE TOKENIZER --guidance cfg+ssg --trace TRACE

With `--text`, a file whose `text` is [images, rows, channels], the model is Infinity's (infinity.py) or HART's (hart.py), by its file; both compute
in f32.

`serve` writes one JSON line when it is ready; then each line `GUIDANCE SEED` on its standard input makes a batch, and one
JSON line gives its times. `check` compares greedy generation with a trace that nextscale wrote: `nextscale generate
CONFIG --set sampling=Argmax --trace TRACE` under the same guidance, which is Cfg(scale: Ramp(1.5)) and
Ssg(.., prior: Dse(), beta: 0.5).
"""
import argparse
import ctypes
import json
import statistics
import sys
import time

sys.dont_write_bytecode = True


def keep_freed_memory():
    """Otherwise glibc returns large blocks to the system at once and faults their pages in again for the next tensor."""
    trim_threshold, mmap_threshold, largest = -1, -3, 2**31 - 1
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(mmap_threshold, largest)
    mallopt(trim_threshold, largest)


def peak_bytes():
    """The peak memory of the process so far; None if the system does not report it."""
    try:
        with open("/proc/self/status") as status:
            lines = [line.split() for line in status if line.startswith("VmHWM:")]
        return int(lines[0][1]) * 1024
    except (OSError, IndexError, ValueError):
        return None


def say(**answer):
    print(json.dumps(answer), flush=True)


def versions(options):
    say(torch=torch.__version__, numpy=numpy.__version__, python=sys.version.split()[0], imported_bytes=peak_bytes())


def load(options):
    torch.set_num_threads(options.threads)
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[options.dtype]
    begin, before = time.perf_counter(), peak_bytes()
    pack = options.linear == "packed"
    if options.text is None:
        model = generate.Model(options.tokenizer, options.backbone, dtype, options.norm_groups, pack)
    elif "context_embed.weight" in Checkpoint(options.backbone):
        model = hart.Model(options.tokenizer, options.backbone, options.text, pack)
    else:
        model = infinity.Model(options.tokenizer, options.backbone, options.text, pack)
    return model, dict(load_seconds=time.perf_counter() - begin, imported_bytes=before, peak_bytes=peak_bytes())


def labels_of(options, model):
    """The given labels, or one per image of the batch, from 207 on; for texts, their number."""
    if options.text is not None:
        return options.batch
    classes = model.transformer.null
    labels = options.labels or [(207 + i) % classes for i in range(options.batch)]
    return torch.tensor(labels)


def run(model, labels, guidance, seed):
    seconds = model.run(labels, guidance, seed)
    return dict(guidance=guidance, seed=seed, seconds=seconds, peak_bytes=peak_bytes())


def serve(options):
    model, ready = load(options)
    labels = labels_of(options, model)
    say(ready=True, torch=torch.__version__, threads=torch.get_num_threads(), **ready)
    for line in sys.stdin:
        guidance, _, seed = line.strip().partition(" ")
        if guidance not in generate.GUIDANCES or not seed.isdigit():
            say(error=f"a request is GUIDANCE SEED, with a guidance of {', '.join(generate.GUIDANCES)}; got {line!r}")
            continue
        say(**run(model, labels, guidance, int(seed)))


def bench(options):
    model, ready = load(options)
    labels = labels_of(options, model)
    say(torch=torch.__version__, threads=torch.get_num_threads(), **ready)
    run(model, labels, options.guidance, 0)
    runs = [run(model, labels, options.guidance, seed) for seed in range(options.runs)]
    for answer in runs:
        say(**answer)
    medians = {part: statistics.median(answer["seconds"][part] for answer in runs) for part in runs[0]["seconds"]}
    say(median_seconds=medians, peak_bytes=peak_bytes())


def check(options):
    """Continues with the trace's tokens, so that one tie decided differently does not change the rest of the image."""
    model, _ = load(options)
    if isinstance(model, hart.Model):
        raise SystemExit("a trace of HART has a residual of other noise; its loop is compared with recorded numbers")
    trace = Checkpoint(options.trace)
    images = trace.shape("images")[0]
    if options.text is None and (options.labels is None or len(options.labels) != images):
        raise SystemExit(f"give the class of each of the trace's {images} images: --labels N …")
    worst, differing, tokens = {}, 0, 0

    def near(what, ours, theirs):
        # Relative to the largest value: untrained logits are so small that any fixed error would pass.
        error = float("inf")
        if ours.shape == theirs.shape:
            error = ((ours.float() - theirs).abs().max() / theirs.abs().max().clamp_min(1e-30)).item()
        worst[what] = max(worst.get(what, 0.0), error)

    def choose(logits, k):
        nonlocal differing, tokens
        theirs = trace.read(f"scale.{k}.tokens")
        ours = logits.argmax(-1) if options.text is None else logits.unflatten(-1, (-1, 2)).argmax(-1)
        differing += int((ours != theirs).sum())
        tokens += theirs.numel()
        return theirs

    def observe(k, values, logits=None, canvas=None):
        if k is None:
            near("images", values, trace.read("images"))
            return
        halves = dict(zip(("conditional", "unconditional"), values.chunk(2) if "cfg" in options.guidance else [values]))
        for name, half in halves.items():
            # nextscale leaves out logits that guidance does not read: the null class's at scale 0.
            if f"scale.{k}.{name}" in trace:
                near(f"{name} logits", half, trace.read(f"scale.{k}.{name}"))
        near("guided logits", logits, trace.read(f"scale.{k}.guided"))
        side = model.sides[-1]
        near("canvas", canvas.transpose(1, 2).unflatten(2, (side, side)), trace.read(f"scale.{k}.canvas"))

    labels = images if options.text is not None else torch.tensor(options.labels)
    model.generate(labels, options.guidance, choose, observe)
    for what, error in worst.items():
        print(f"{what:22} largest error {error:9.3g} of the largest value   allowed {options.tolerance:g}")
    print(f"{'tokens':22} {differing} of {tokens} differ")
    failed = differing > 0 or not all(error <= options.tolerance for error in worst.values())
    print("the two programs differ" if failed else "the two programs agree")
    raise SystemExit(int(failed))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("versions", help="say what is installed").set_defaults(run=versions)
    for name, function, text in (
        ("serve", serve, "make a batch for every line of standard input"),
        ("bench", bench, "make one batch to warm up and some that count"),
        ("check", check, "compare greedy generation with a trace of nextscale"),
    ):
        command = commands.add_parser(name, help=text)
        command.set_defaults(run=function)
        command.add_argument("backbone", help="the transformer's .safetensors")
        command.add_argument("tokenizer", help="the autoencoder's .safetensors")
        command.add_argument("--dtype", choices=("f32", "bf16"), default="f32", help="of weights and activations")
        command.add_argument("--threads", type=int, default=2)
        command.add_argument("--norm-groups", type=int, default=32, help="groups of the autoencoder's norms")
        command.add_argument("--linear", choices=("packed", "plain"), default="packed", help="how linear weights lie")
        command.add_argument("--batch", type=int, default=1, help="images at once")
        command.add_argument("--labels", type=int, nargs="+", help="their classes")
        command.add_argument("--text", help="a .safetensors of texts' rows: the model is Infinity's or HART's")
        if name != "serve":
            command.add_argument("--guidance", choices=("none", "cfg", "ssg", "cfg+ssg"), default="cfg")
        if name == "bench":
            command.add_argument("--runs", type=int, default=5)
        if name == "check":
            command.add_argument("--trace", required=True)
            command.add_argument("--tolerance", type=float, default=1e-3)
    return parser.parse_args()


if __name__ == "__main__":
    chosen = arguments()
    keep_freed_memory()
    try:
        import numpy
        import torch

        import generate
        import hart
        import infinity
        from checkpoint import Checkpoint
    except ImportError as missing:
        say(error=f"{sys.executable} has no module `{missing.name}`")
        sys.exit(1)
    chosen.run(chosen)
