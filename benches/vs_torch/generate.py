"""Classes to pictures: guidance, sampling, and the loop over scales, with a clock for each part."""
import time

import torch

from checkpoint import Checkpoint
from resampling import dse, single
from tokenizer import Canvas, Decoder
from transformer import Transformer, packed, plain

GUIDANCES = ("none", "cfg", "ssg", "cfg+ssg")
PARTS = ("transformer", "guidance", "sampling", "canvas", "decode")
CFG, BETA, TOP_K, TOP_P = 1.5, 0.5, 900, 0.96


class Clock:
    """Seconds of parts; a part ends when the next begins."""

    def __init__(self):
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.begin = self.last = time.perf_counter()

    def charge(self, part):
        now = time.perf_counter()
        self.seconds[part] += now - self.last
        self.last = now

    def stop(self):
        return {**self.seconds, "total": self.last - self.begin}


class Guidance:
    """CFG rising to its full strength at the last scale, and SSG with DSE at one strength, over CFG or without it."""

    def __init__(self, name, model):
        self.cfg, self.ssg = "cfg" in name, "ssg" in name
        self.last = len(model.sides) - 1
        self.priors = model.priors
        self.before = None

    def __call__(self, logits, k):
        if self.cfg:
            conditional, null = logits.chunk(2)
            t = CFG * k / max(self.last, 1)
            logits = torch.lerp(null, conditional, 1 + t) if t else conditional
        if not self.ssg:
            return logits
        before, self.before = self.before, logits
        if not k:
            return logits
        prior = self.priors[k - 1].expand(len(logits), -1, -1)
        return torch.baddbmm(logits, prior, before, beta=1 + BETA, alpha=-BETA)


def draw(logits, uniforms):
    """One token per position by the inverse of the cumulative distribution, after top-k (ties with the k-th stay) and top-p.

    In descending order, both filters keep the beginning of a row: one sort serves the filters and the draw.
    """
    count = min(TOP_K, logits.shape[-1])
    best, tokens = logits.topk(count, dim=-1)
    ties = int((logits >= best[..., -1:]).sum(-1).max())
    if ties > count:
        best, tokens = logits.topk(ties, dim=-1)
        best = best.masked_fill(best < best[..., count - 1 : count], -torch.inf)
    shares = best.softmax(-1)
    sums = shares.cumsum(-1)
    # An entry is removed if it and everything below it have at most 1 - p, that is, if those above it have p or more.
    kept = ((sums - shares) < TOP_P).sum(-1, keepdim=True).clamp_min_(1)
    mass = sums.gather(-1, kept - 1)
    place = torch.searchsorted(sums, uniforms * mass, right=True).minimum(kept - 1)
    return tokens.gather(-1, place).squeeze(-1)


class Model:
    """Both networks, ready to run."""

    def __init__(self, tokenizer, backbone, dtype, groups=32, pack=True):
        pack = pack and torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        with torch.inference_mode():
            self.transformer = Transformer(Checkpoint(backbone), dtype, packed if pack else plain)
            self.sides = self.transformer.sides
            file = Checkpoint(tokenizer)
            self.canvas = Canvas(file, self.sides)
            self.decoder = Decoder(file, dtype, groups)
            self.priors = [single(dse(*pair)) for pair in zip(self.sides, self.sides[1:])]

    @torch.inference_mode()
    def generate(self, labels, guidance, choose, observe=None):
        """Labels [images] to pictures [images, H, W, 3] in bytes, and the seconds of the parts.

        `choose(logits, k)` picks the tokens; `observe` sees every scale, and the image before it is rounded.
        """
        clock = Clock()
        guide = Guidance(guidance, self)
        self.transformer.start(labels, guide.cfg)
        canvas = features = None
        for k in range(len(self.sides)):
            raw = self.transformer.step(k, features)
            clock.charge("transformer")
            logits = guide(raw, k)
            clock.charge("guidance")
            tokens = choose(logits, k)
            clock.charge("sampling")
            canvas = self.canvas.add(canvas, tokens, k)
            if k + 1 < len(self.sides):
                features = self.canvas.at(canvas, k + 1)
            clock.charge("canvas")
            if observe is not None:
                observe(k, raw, logits, canvas)
        image = self.decoder(canvas, self.sides[-1])
        pictures = image.mul(255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
        clock.charge("decode")
        if observe is not None:
            observe(None, image)
        return pictures, clock.stop()

    def run(self, labels, guidance, seed):
        """The seconds of a batch."""
        random = torch.Generator().manual_seed(seed)

        def choose(logits, _):
            return draw(logits, torch.rand(*logits.shape[:2], 1, generator=random))

        return self.generate(labels, guidance, choose)[1]
