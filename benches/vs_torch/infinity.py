"""Texts to pictures with Infinity: the bitwise transformer, its canvas, and the loop over scales.

What it does beyond a plain transcription, all of it exact up to rounding: keys and values of the text are computed once per
image, linear weights are packed, modulations are projected once, the cache has its full size from the start, rotations are products of
complex numbers, a bit is drawn from one sigmoid, and resampling is a matrix.
"""
import math

import torch
import torch.nn.functional as F

from checkpoint import Checkpoint
from generate import Clock
from resampling import both_ways, dse, interpolation, single, triangle
from tokenizer import Decoder
from transformer import EPSILON, packed, plain

SIDES, POSITIONS = (1, 2, 4, 6, 8, 12, 16), 64
CFG, BETA, TOP_P, TAU = 3.0, 0.5, 0.97, 0.5


class Block:
    """Self-attention and MLP, each between a modulated norm and a gate, and attention over the text between them."""

    def __init__(self, file, prefix, linear):
        def read(name):
            return file.read(prefix + name, torch.float32)

        self.width = file.shape(prefix + "sa.proj.weight")[0]
        scale = read("sa.scale_mul_1H11").flatten().clamp(max=math.log(100)).exp()
        # The factors of a head's queries and keys, besides their own norm: [2, heads, 1].
        self.lengths = torch.stack([scale, torch.ones_like(scale)]).unsqueeze(-1)
        zeros = torch.zeros(self.width)
        self.qkv = linear(read("sa.mat_qkv.weight"), torch.cat([read("sa.q_bias"), zeros, read("sa.v_bias")]))
        self.out = linear(read("sa.proj.weight"), read("sa.proj.bias"))
        self.ask = linear(read("ca.mat_q.weight"), read("ca.mat_q.bias"))
        self.told = linear(read("ca.mat_kv.weight"), torch.cat([zeros, read("ca.v_bias")]))
        self.take = linear(read("ca.proj.weight"), read("ca.proj.bias"))
        self.norm = read("ca_norm.weight"), read("ca_norm.bias")
        self.up = linear(read("ffn.fc1.weight"), read("ffn.fc1.bias"), gelu=True)
        self.down = linear(read("ffn.fc2.weight"), read("ffn.fc2.bias"))
        self.offset = read("ada_gss").view(1, 6, self.width)

    def modulation(self, shared):
        """Six vectors [sequences, 1, width]: two gates, two scales with 1 added, two shifts."""
        vectors = shared.view(-1, 6, self.width) + self.offset
        vectors[:, 2:4] += 1
        return [vector.unsqueeze(1).contiguous() for vector in vectors.unbind(1)]

    def text(self, source, heads):
        """Keys and values of a text, [sequences, heads, rows, head width] each: the same at every scale."""
        sequences, rows, _ = source.shape
        both = self.told(source).view(sequences, rows, 2, heads, self.width // heads)
        return [part.transpose(1, 2).contiguous() for part in both.unbind(2)]

    def attention(self, x, cache, turns, begin, end):
        sequences, length, width = x.shape
        keys, values = (part[:sequences] for part in cache)
        heads = keys.shape[1]
        mixed = self.qkv(x).view(sequences, length, 3, heads, width // heads)
        norms = torch.linalg.vector_norm(mixed[:, :, :2], dim=-1, keepdim=True).clamp_min_(1e-12)
        units = mixed[:, :, :2] * (self.lengths / norms)
        turned = torch.view_as_complex(units.unflatten(-1, (-1, 2))).mul_(turns)
        turned = torch.view_as_real(turned).flatten(-2)
        keys[:, :, begin:end] = turned[:, :, 1].transpose(1, 2)
        values[:, :, begin:end] = mixed[:, :, 2].transpose(1, 2)
        seen = keys[:, :, :end], values[:, :, :end]
        x = F.scaled_dot_product_attention(turned[:, :, 0].transpose(1, 2), *seen, scale=1.0)
        return self.out(x.transpose(1, 2).reshape(sequences, length, width))

    def over_text(self, x, text):
        sequences, length, width = x.shape
        queries = self.ask(x).view(sequences, length, text[0].shape[1], -1).transpose(1, 2)
        x = F.scaled_dot_product_attention(queries, *text)
        return self.take(x.transpose(1, 2).reshape(sequences, length, width))

    def __call__(self, x, modulation, text, cache, turns, begin, end):
        gate1, gate2, scale1, scale2, shift1, shift2 = modulation
        shape = (self.width,)
        inner = torch.addcmul(shift1, F.layer_norm(x, shape, eps=EPSILON), scale1)
        x = torch.addcmul(x, self.attention(inner, cache, turns, begin, end), gate1)
        x.add_(self.over_text(F.layer_norm(x, shape, *self.norm, eps=EPSILON), text))
        inner = torch.addcmul(shift2, F.layer_norm(x, shape, eps=EPSILON), scale2)
        return torch.addcmul(x, self.down(self.up(inner)), gate2)


def turned(side, head_width):
    """The rotations of a scale's positions, complex: [side², 1, 1, head width / 2]. A scale's rows and columns are counted on
    the 64 × 64 grid of the largest image."""
    half = head_width // 2
    frequencies = 10000.0 ** (-torch.arange(0, half, 2).double() / half)
    places = (torch.arange(side).float() * (POSITIONS / side)).round().double()
    angles = torch.cat(
        [
            (places[:, None, None] * frequencies).expand(side, side, -1),
            (places[None, :, None] * frequencies).expand(side, side, -1),
        ],
        dim=-1,
    )
    return torch.polar(torch.ones_like(angles), angles).to(torch.complex64).view(side * side, 1, 1, half)


class Transformer:
    """A backbone's file under upstream's names."""

    def __init__(self, file, linear):
        def read(name):
            return file.read(name, torch.float32)

        self.ends = [sum(side * side for side in SIDES[: k + 1]) for k in range(len(SIDES))]
        self.width, self.bits = file.shape("word_embed.weight")
        chunks = file.count("block_chunks.{}.module.0.ada_gss")
        each = file.count("block_chunks.0.module.{}.ada_gss")
        self.blocks = [Block(file, f"block_chunks.{i // each}.module.{i % each}.", linear) for i in range(chunks * each)]
        self.heads = file.shape("block_chunks.0.module.0.sa.scale_mul_1H11")[1]
        self.turns = [turned(side, self.width // self.heads) for side in SIDES]
        self.null = read("cfg_uncond")
        self.norm = read("text_norm.weight")
        self.query = read("text_proj_for_sos.ca.mat_q").unsqueeze(2)
        bias = read("text_proj_for_sos.ca.v_bias")
        bias = torch.cat([torch.zeros_like(bias), bias])
        self.pooled = plain(read("text_proj_for_sos.ca.mat_kv.weight"), bias)
        self.pool = plain(*(read(f"text_proj_for_sos.ca.proj.{part}") for part in ("weight", "bias")))
        self.up = plain(*(read(f"text_proj_for_ca.0.{part}") for part in ("weight", "bias")), gelu=True)
        self.down = plain(*(read(f"text_proj_for_ca.2.{part}") for part in ("weight", "bias")))
        self.start_place, self.levels = read("pos_start"), read("lvl_embed.weight")
        self.word = plain(read("word_embed.weight"), read("word_embed.bias"))
        self.shared = plain(*(read(f"shared_ada_lin.1.{part}") for part in ("weight", "bias")))
        self.head_ada = plain(*(read(f"head_nm.ada_lin.1.{part}") for part in ("weight", "bias")))
        self.head = linear(read("head.weight"), read("head.bias"))
        self.caches = []

    def start(self, texts, with_null):
        """Everything that is constant over scales, from texts [images, rows, channels], followed by no text of the same length."""
        if with_null:
            null = self.null[: texts.shape[1]].expand_as(texts)
            texts = torch.cat([texts, null])
        sequences, rows, channels = texts.shape
        if not self.caches or len(self.caches[0][0]) < sequences:
            shape = (sequences, self.heads, self.ends[-1], self.width // self.heads)
            self.caches = []
            self.caches = [[texts.new_empty(shape) for _ in range(2)] for _ in self.blocks]
        texts = F.rms_norm(texts, (channels,), self.norm, eps=EPSILON)
        pools = self.query.shape[1]
        both = self.pooled(texts).view(sequences, rows, 2, pools, self.width // pools)
        keys, values = (part.transpose(1, 2) for part in both.unbind(2))
        sums = F.scaled_dot_product_attention(self.query.expand(sequences, -1, -1, -1), keys, values)
        self.condition = self.pool(sums.transpose(1, 2).reshape(sequences, self.width))
        source = self.down(self.up(texts))
        self.texts = [block.text(source, self.heads) for block in self.blocks]
        activated = F.silu(self.condition)
        shared = self.shared(activated)
        self.modulations = [block.modulation(shared) for block in self.blocks]
        scale, shift = self.head_ada(activated).view(sequences, 2, 1, self.width).unbind(1)
        self.head_modulation = (1 + scale, shift.contiguous())

    def step(self, k, features):
        """The logits of scale k, [sequences, side², 2·bits], from the canvas at its size (none at scale 0)."""
        begin, end = self.ends[k - 1] if k else 0, self.ends[k]
        if k:
            x = self.word(features) + self.levels[k]
            x = x.repeat(len(self.condition) // len(x), 1, 1)
        else:
            x = self.condition.unsqueeze(1) + self.start_place + self.levels[0]
        parts = zip(self.blocks, self.modulations, self.texts, self.caches)
        for block, modulation, text, cache in parts:
            x = block(x, modulation, text, cache, self.turns[k], begin, end)
        scale, shift = self.head_modulation
        return self.head(torch.addcmul(shift, F.layer_norm(x, (self.width,), eps=EPSILON), scale))


class Canvas:
    """Bits to codes of ±1/√bits, added up on the finest grid: [images, side², bits]."""

    def __init__(self, bits):
        self.code = 1 / math.sqrt(bits)
        last = SIDES[-1]
        self.grow = [single(both_ways(interpolation(side, last, triangle))) for side in SIDES[:-1]]
        self.shrink = [single(both_ways(interpolation(last, side, triangle))) for side in SIDES]

    def add(self, canvas, bits, k):
        codes = bits.to(torch.float32).mul_(2 * self.code).sub_(self.code)
        if k < len(SIDES) - 1:
            codes = torch.matmul(self.grow[k], codes)
        return codes if canvas is None else canvas.add_(codes)

    def at(self, canvas, k):
        return torch.matmul(self.shrink[k], canvas)


class Guidance:
    """CFG with one weight, and SSG with DSE at one strength, over CFG or without it."""

    def __init__(self, name, priors):
        self.cfg, self.ssg, self.priors = "cfg" in name, "ssg" in name, priors
        self.before = None

    def __call__(self, logits, k):
        if self.cfg:
            conditional, null = logits.chunk(2)
            logits = torch.lerp(null, conditional, CFG)
        if not self.ssg:
            return logits
        before, self.before = self.before, logits
        if not k:
            return logits
        prior = self.priors[k - 1].expand(len(logits), -1, -1)
        return torch.baddbmm(logits, prior, before, beta=1 + BETA, alpha=-BETA)


def draw(logits, uniforms):
    """Bits [images, side², bits]: a value is excluded if its probability is at most 1 − top-p."""
    logits = logits.unflatten(-1, (-1, 2))
    ones = (logits[..., 1] - logits[..., 0]).div_(TAU).sigmoid_()
    ones = torch.where(ones <= 1 - TOP_P, 0.0, torch.where(1 - ones <= 1 - TOP_P, 1.0, ones))
    return uniforms < ones


class Model:
    """Both networks, ready to run on the texts of a file."""

    def __init__(self, tokenizer, backbone, text, pack=True):
        pack = pack and torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        with torch.inference_mode():
            self.transformer = Transformer(Checkpoint(backbone), packed if pack else plain)
            self.canvas = Canvas(self.transformer.bits)
            self.decoder = Decoder(Checkpoint(tokenizer), torch.float32, 32)
            self.priors = [single(dse(*pair)) for pair in zip(SIDES, SIDES[1:])]
            self.texts = Checkpoint(text).read("text", torch.float32)
        self.sides = SIDES

    @torch.inference_mode()
    def generate(self, images, guidance, choose, observe=None):
        """As many pictures [images, H, W, 3] in bytes, and the seconds of the parts.

        `choose(logits, k)` picks the bits; `observe` sees every scale, and the image before it is rounded.
        """
        clock = Clock()
        guide = Guidance(guidance, self.priors)
        self.transformer.start(self.texts[:images], guide.cfg)
        canvas = features = None
        for k in range(len(SIDES)):
            raw = self.transformer.step(k, features)
            clock.charge("transformer")
            logits = guide(raw, k)
            clock.charge("guidance")
            bits = choose(logits, k)
            clock.charge("sampling")
            canvas = self.canvas.add(canvas, bits, k)
            if k + 1 < len(SIDES):
                features = self.canvas.at(canvas, k + 1)
            clock.charge("canvas")
            if observe is not None:
                observe(k, raw, logits, canvas)
        image = self.decoder(canvas, SIDES[-1])
        pictures = image.mul(255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
        clock.charge("decode")
        if observe is not None:
            observe(None, image)
        return pictures, clock.stop()

    def run(self, images, guidance, seed):
        random = torch.Generator().manual_seed(seed)

        def choose(logits, _):
            *places, channels = logits.shape
            return draw(logits, torch.rand(*places, channels // 2, generator=random))

        return self.generate(images, guidance, choose)[1]
