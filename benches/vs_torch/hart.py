"""Texts to pictures with HART: the transformer, its diffusion head, and the loop over scales.

What it does beyond a plain transcription, all of it exact up to rounding: linear weights are packed, the cache has its full size from the start,
turns of positions are made once, the head's condition is embedded once, and resampling is a matrix.
"""
import math

import torch
import torch.nn.functional as F

from checkpoint import Checkpoint
from generate import Clock, Guidance, draw
from resampling import dse, single
from tokenizer import Canvas, Decoder
from transformer import EPSILON, packed, plain

CFG, STEPS, TIMES, SHRINK = 4.5, 8, 1000, 0.6


def rms(x, weight):
    return F.rms_norm(x, weight.shape, weight, eps=EPSILON)


def turned(x, cosines, sines):
    """The halves of a head turned; x is [sequences, length, 2, heads, head width]."""
    low, high = x.chunk(2, dim=-1)
    return torch.addcmul(x * cosines, torch.cat([-high, low], dim=-1), sines)


def sinusoids(number):
    angles = number * torch.exp(-math.log(10000) * torch.arange(128).float() / 128)
    return torch.cat([angles.cos(), angles.sin()])[None]


class Block:
    """Attention and MLP, each behind the same norm."""

    def __init__(self, file, prefix, linear):
        def read(name):
            return file.read(prefix + name, torch.float32)

        self.width = file.shape(prefix + "attn.proj.weight")[0]
        bias = torch.cat([read("attn.q_bias"), torch.zeros(self.width), read("attn.v_bias")])
        self.qkv = linear(read("attn.qkv_proj.weight"), bias)
        self.out = linear(read("attn.proj.weight"), read("attn.proj.bias"))
        self.gate, self.up, self.down = (linear(read(f"ffn.{name}_proj.weight"), None) for name in ("gate", "up", "down"))
        self.norm = read("ln_wo_grad.weight")

    def attention(self, x, cache, turns, begin, end):
        sequences, length, width = x.shape
        keys, values = (part[:sequences] for part in cache)
        heads = keys.shape[1]
        mixed = self.qkv(x).view(sequences, length, 3, heads, width // heads)
        both = turned(mixed[:, :, :2], *turns)
        keys[:, :, begin:end] = both[:, :, 1].transpose(1, 2)
        values[:, :, begin:end] = mixed[:, :, 2].transpose(1, 2)
        seen = keys[:, :, :end], values[:, :, :end]
        scale = 0.25 / math.sqrt(width // heads)
        x = F.scaled_dot_product_attention(both[:, :, 0].transpose(1, 2), *seen, scale=scale)
        return self.out(x.transpose(1, 2).reshape(sequences, length, width))

    def __call__(self, x, cache, turns, begin, end):
        x = x + self.attention(rms(x, self.norm), cache, turns, begin, end)
        inner = rms(x, self.norm)
        return x.add_(self.down(F.silu(self.gate(inner), inplace=True).mul_(self.up(inner))))


class Transformer:
    """A backbone's file under upstream's names, of the kind whose blocks are not modulated."""

    def __init__(self, file, linear, sides, heads):
        def read(name):
            return file.read(name, torch.float32)

        def layer(name, make=plain):
            return make(read(f"{name}.weight"), read(f"{name}.bias"))

        self.sides, self.heads = sides, heads
        self.width, self.channels = file.shape("word_embed.weight")
        self.blocks = [Block(file, f"blocks.{i}.", linear) for i in range(file.count("blocks.{}.ln_wo_grad.weight"))]
        self.text_norm, self.text = read("context_norm.weight"), layer("context_embed")
        self.word = layer("word_embed")
        first, second = layer("lvl_embed.mlp.0"), layer("lvl_embed.mlp.2")
        self.levels = [second(F.silu(first(sinusoids(k)))) for k in range(len(sides))]
        self.norm, self.head_ada, self.head = read("head_nm.ln_wo_grad.weight"), layer("head_nm.ada_lin.1"), layer("head", linear)
        self.caches = []

    def turns(self, angles):
        return tuple(part[:, :, None, None] for part in (angles.cos(), angles.sin()))

    def of_texts(self, positions):
        """Turns of texts' rows from their positions, [sequences, rows]."""
        width = self.width // self.heads
        frequencies = 10000.0 ** (-torch.arange(0, width, 2).float() / width)
        return self.turns((positions[..., None] * frequencies).repeat(1, 1, 2))

    def of_images(self, side, ends):
        """Turns of a scale's positions, counted from the ends of the texts, [sequences]."""
        width, last = self.width // self.heads, self.sides[-1]
        frequencies = 10000.0 ** (-torch.arange(0, width, 4).float() / width)
        places = torch.arange(side).float() / side * last
        rows = (places[:, None].expand(side, side).flatten() + ends[:, None])[..., None] * frequencies
        columns = (places[None].expand(side, side).flatten() + ends[:, None])[..., None] * frequencies
        return self.turns(torch.cat([rows, rows, columns, columns], dim=-1))

    def start(self, texts, masks, with_null):
        """What is the same at every scale, from texts [images, rows, channels] and where they have rows of their own."""
        if with_null:
            first = torch.zeros_like(masks)
            first[:, 0] = True
            texts, masks = torch.cat([texts, torch.zeros_like(texts)]), torch.cat([masks, first])
        sequences, rows, _ = texts.shape
        total = rows + sum(side * side for side in self.sides[1:])
        if not self.caches or len(self.caches[0][0]) < sequences:
            shape = (sequences, self.heads, total, self.width // self.heads)
            self.caches = []
            self.caches = [[texts.new_empty(shape) for _ in range(2)] for _ in self.blocks]
        self.context = self.text(rms(texts, self.text_norm))
        positions = masks.cumsum(1).float() - 1
        self.places = [self.of_texts(positions)] + [self.of_images(side, positions[:, -1]) for side in self.sides[1:]]
        scale, shift = self.head_ada(F.silu(self.context.amax(1))).view(sequences, 2, 1, self.width).unbind(1)
        self.head_modulation = (1 + scale, shift.contiguous())
        self.end = 0

    def step(self, k, features):
        """The logits of scale k, [sequences, side², codes], from the canvas at its size (none at scale 0)."""
        if k:
            x = (self.word(features) + self.levels[k]).repeat(len(self.context) // len(features), 1, 1)
        else:
            x = self.context + self.levels[0]
        begin, self.end = self.end, self.end + x.shape[1]
        for block, cache in zip(self.blocks, self.caches):
            x = block(x, cache, self.places[k], begin, self.end)
        self.hidden = x
        x = x if k else x[:, -1:]
        scale, shift = self.head_modulation
        return self.head(torch.addcmul(shift, F.rms_norm(x, (self.width,), self.norm, eps=EPSILON), scale))


def schedule(steps):
    """The numbers of a sampler of a cosine schedule, re-spaced: for each step its level and six numbers."""
    def f(t):
        return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

    product, alphas = 1.0, []
    for i in range(TIMES):
        product *= 1 - min(1 - f((i + 1) / TIMES) / f(i / TIMES), 0.999)
        alphas.append(product)
    times = [round(i * (TIMES - 1) / max(steps - 1, 1)) for i in range(steps)]
    numbers, before = [], 1.0
    for time in times:
        bar = alphas[time]
        beta = 1 - bar / before
        numbers.append([
            time, math.log(beta), beta * (1 - before) / (1 - bar), math.sqrt(1 / bar), math.sqrt(1 / bar - 1),
            beta * math.sqrt(before) / (1 - bar), (1 - before) * math.sqrt(1 - beta) / (1 - bar),
        ])
        before = bar
    numbers[0][2] = numbers[1][2] if steps > 1 else 1.0
    return [(time, beta, math.log(posterior), *rest) for time, beta, posterior, *rest in numbers]


class Head:
    """The diffusion head: residuals of the last scale's tokens, each by itself."""

    def __init__(self, file, linear):
        def layer(name):
            name = f"diffloss.net.{name}"
            return linear(file.read(f"{name}.weight", torch.float32), file.read(f"{name}.bias", torch.float32))

        self.norm = file.read("decoder_norm.weight", torch.float32)
        self.condition, self.input = layer("cond_embed"), layer("input_proj")
        first, second = layer("time_embed.mlp.0"), layer("time_embed.mlp.2")
        self.schedule = schedule(STEPS)
        self.times = [second(F.silu(first(sinusoids(time)))) for time, *_ in self.schedule]
        self.blocks = []
        for i in range(file.count("diffloss.net.res_blocks.{}.in_ln.weight")):
            norm = [file.read(f"diffloss.net.res_blocks.{i}.in_ln.{part}", torch.float32) for part in ("weight", "bias")]
            names = ("mlp.0", "mlp.2", "adaLN_modulation.1")
            self.blocks.append((norm, *(layer(f"res_blocks.{i}.{name}") for name in names)))
        self.last_ada, self.last = layer("final_layer.adaLN_modulation.1"), layer("final_layer.linear")

    def net(self, x, step, condition):
        y = F.silu(condition + self.times[step])
        h = self.input(x)
        for norm, first, second, ada in self.blocks:
            shift, scale, gate = ada(y).chunk(3, dim=-1)
            inner = torch.addcmul(shift, F.layer_norm(h, h.shape[-1:], *norm, eps=EPSILON), scale.add(1))
            h = torch.addcmul(h, gate, second(F.silu(first(inner), inplace=True)))
        shift, scale = self.last_ada(y).chunk(2, dim=-1)
        return self.last(torch.addcmul(shift, F.layer_norm(h, h.shape[-1:], eps=EPSILON), scale.add(1)))

    def __call__(self, hidden, words, images, t, noise):
        """Residuals [images, side², channels]; `noise` is [STEPS, images, side², channels]."""
        guides = len(hidden) > images
        condition = self.condition(rms(hidden + words.repeat(2 if guides else 1, 1, 1), self.norm))
        x = noise[0]
        for taken, step in enumerate(reversed(range(STEPS))):
            _, beta, posterior, of_x, of_noise, of_x0, keep = self.schedule[step]
            out = self.net(x.repeat(2, 1, 1) if guides else x, step, condition)
            given = out[:images]
            wrong, share = given.chunk(2, dim=-1)
            if guides:
                wrong = torch.lerp(out[images:].chunk(2, dim=-1)[0], wrong, 1 + t)
            x = (x * of_x - wrong * of_noise).clamp_(-1, 1).mul_(of_x0).add_(x, alpha=keep)
            if step:
                log = (share + 1) * (0.5 * (beta - posterior)) + posterior
                x = torch.addcmul(x, (log * 0.5).exp_(), noise[taken + 1])
        return x * SHRINK


class HybridCanvas(Canvas):
    """The quantiser, whose last scale's codes are added as they are, with the residual."""

    def end(self, canvas, tokens, residual):
        return F.embedding(tokens, self.codes).add_(residual).add_(canvas)


class Model:
    """Both networks, ready to run on the texts of a file."""

    def __init__(self, tokenizer, backbone, text, pack=True, sides=None, heads=None):
        pack = pack and torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        with torch.inference_mode():
            file = Checkpoint(backbone)
            self.sides = tuple(sides or map(int, file.metadata["scales"].split()))
            linear = packed if pack else plain
            self.transformer = Transformer(file, linear, self.sides, heads or int(file.metadata["heads"]))
            self.head = Head(file, linear)
            file = Checkpoint(tokenizer, "vae.")
            self.canvas = HybridCanvas(file, self.sides)
            self.decoder = Decoder(file, torch.float32, 32)
            self.priors = [single(dse(*pair)) for pair in zip(self.sides, self.sides[1:])]
            self.texts = Checkpoint(text).read("text", torch.float32)

    @torch.inference_mode()
    def generate(self, images, guidance, choose, noise, observe=None, masks=None):
        """As many pictures [images, H, W, 3] in bytes, and the seconds of the parts.

        `choose(logits, k)` picks the tokens, `noise(shape)` gives normal numbers; `observe` sees every scale, and the image before it
        is rounded.
        """
        clock = Clock()
        guide = Guidance(guidance, self)
        texts = self.texts[:images]
        masks = torch.ones(texts.shape[:2], dtype=torch.bool) if masks is None else masks
        self.transformer.start(texts, masks, guide.cfg)
        canvas = features = None
        last = len(self.sides) - 1
        for k in range(len(self.sides)):
            raw = self.transformer.step(k, features)
            clock.charge("transformer")
            logits = guide(raw, k)
            clock.charge("guidance")
            tokens = choose(logits, k)
            clock.charge("sampling")
            if k < last:
                canvas = self.canvas.add(canvas, tokens, k)
                features = self.canvas.at(canvas, k + 1)
                clock.charge("canvas")
            else:
                words = self.transformer.word(F.embedding(tokens, self.canvas.codes))
                shape = (STEPS, images, self.sides[-1] ** 2, self.transformer.channels)
                residual = self.head(self.transformer.hidden, words, images, CFG * (last - 1) / last, noise(shape))
                clock.charge("transformer")
                canvas = self.canvas.end(canvas, tokens, residual)
                clock.charge("canvas")
            if observe is not None:
                observe(k, raw, logits, canvas)
        image = self.decoder(canvas, self.sides[-1])
        pictures = image.mul(255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
        clock.charge("decode")
        if observe is not None:
            observe(None, image)
        return pictures, clock.stop()

    def run(self, images, guidance, seed):
        random = torch.Generator().manual_seed(seed)

        def choose(logits, _):
            return draw(logits, torch.rand(*logits.shape[:2], 1, generator=random))

        return self.generate(images, guidance, choose, lambda shape: torch.randn(shape, generator=random))[1]
