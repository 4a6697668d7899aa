"""The VAR transformer with a key-value cache."""
import math

import torch
import torch.nn.functional as F

SIDES = {680: (1, 2, 3, 4, 5, 6, 8, 10, 13, 16), 2240: (1, 2, 3, 4, 6, 9, 13, 18, 24, 32)}
EPSILON = 1e-6


def plain(weight, bias, gelu=False):
    """A linear layer as a function; `gelu` is the tanh approximation, as in upstream's code."""
    if gelu:
        return lambda x: F.gelu(F.linear(x, weight, bias), approximate="tanh")
    return lambda x: F.linear(x, weight, bias)


def packed(weight, bias, gelu=False):
    """The same with the weight in oneDNN's blocked layout, which PyTorch's own compiler uses on a CPU: faster than
    `plain`, the more so for few rows, and GELU runs while the product is in the cache."""
    weight = torch.ops.mkldnn._reorder_linear_weight(weight, 512)
    after = ("gelu", [], "tanh") if gelu else ("none", [], "")
    return lambda x: torch.ops.mkldnn._linear_pointwise(x, weight, bias, *after)


class Block:
    """Attention and MLP, each between a modulated norm and a gate."""

    def __init__(self, file, prefix, dtype, linear):
        def read(name):
            return file.read(prefix + name, dtype)

        self.width = file.shape(prefix + "attn.proj.weight")[0]
        scale = file.read(prefix + "attn.scale_mul_1H11", torch.float32).flatten()
        scale = scale.clamp(max=math.log(100)).exp()
        # The factors of a head's queries and keys, besides their own norm: [2, heads, 1].
        self.lengths = torch.stack([scale, torch.ones_like(scale)]).unsqueeze(-1).to(dtype)
        bias = torch.cat([read("attn.q_bias"), torch.zeros(self.width, dtype=dtype), read("attn.v_bias")])
        self.qkv = linear(read("attn.mat_qkv.weight"), bias)
        self.out = linear(read("attn.proj.weight"), read("attn.proj.bias"))
        self.up = linear(read("ffn.fc1.weight"), read("ffn.fc1.bias"), gelu=True)
        self.down = linear(read("ffn.fc2.weight"), read("ffn.fc2.bias"))
        self.offset = self.ada = None
        if prefix + "ada_gss" in file:
            self.offset = read("ada_gss").view(1, 6, self.width)
        else:
            self.ada = plain(read("ada_lin.1.weight"), read("ada_lin.1.bias"))

    def modulation(self, activated, shared):
        """Six vectors [sequences, 1, width]: two gates, two scales with 1 added, two shifts."""
        if self.ada is None:
            vectors = shared.view(-1, 6, self.width) + self.offset
        else:
            vectors = self.ada(activated).view(-1, 6, self.width)
        vectors[:, 2:4] += 1
        return [vector.unsqueeze(1).contiguous() for vector in vectors.unbind(1)]

    def attention(self, x, cache, begin, end):
        sequences, length, width = x.shape
        keys, values = (part[:sequences] for part in cache)
        heads = keys.shape[1]
        mixed = self.qkv(x).view(sequences, length, 3, heads, width // heads)
        norms = torch.linalg.vector_norm(mixed[:, :, :2], dim=-1, keepdim=True).clamp_min_(1e-12)
        factors = self.lengths / norms
        queries = mixed[:, :, 0] * factors[:, :, 0]
        torch.mul(mixed[:, :, 1].transpose(1, 2), factors[:, :, 1].transpose(1, 2), out=keys[:, :, begin:end])
        values[:, :, begin:end] = mixed[:, :, 2].transpose(1, 2)
        seen = keys[:, :, :end], values[:, :, :end]
        x = F.scaled_dot_product_attention(queries.transpose(1, 2), *seen, scale=1.0)
        return self.out(x.transpose(1, 2).reshape(sequences, length, width))

    def __call__(self, x, modulation, cache, begin, end):
        gate1, gate2, scale1, scale2, shift1, shift2 = modulation
        shape = (self.width,)
        inner = torch.addcmul(shift1, F.layer_norm(x, shape, eps=EPSILON), scale1)
        x = torch.addcmul(x, self.attention(inner, cache, begin, end), gate1)
        inner = torch.addcmul(shift2, F.layer_norm(x, shape, eps=EPSILON), scale2)
        return torch.addcmul(x, self.down(self.up(inner)), gate2)


class Transformer:
    """A backbone's file under upstream's names."""

    def __init__(self, file, dtype, linear):
        positions, self.width = file.shape("pos_1LC")[1:]
        if "lvl_1L" in file:
            level = file.read("lvl_1L").flatten()
            self.sides = tuple(math.isqrt(int(count)) for count in level.bincount())
        elif positions in SIDES:
            self.sides = SIDES[positions]
        else:
            raise SystemExit(f"{file.path} has {positions} positions and no lvl_1L: its scales cannot be told")
        self.ends = [sum(side * side for side in self.sides[: k + 1]) for k in range(len(self.sides))]
        level = torch.repeat_interleave(torch.tensor([side * side for side in self.sides]))
        places = file.read("pos_1LC", torch.float32)[0] + file.read("lvl_embed.weight", torch.float32)[level]
        places[: self.ends[0]] += file.read("pos_start", torch.float32)[0]
        self.places = places.to(dtype)
        self.classes = file.read("class_emb.weight", dtype)
        self.null = len(self.classes) - 1
        self.word = plain(file.read("word_embed.weight", dtype), file.read("word_embed.bias", dtype))
        self.shared = None
        if "shared_ada_lin.1.weight" in file:
            names = [f"shared_ada_lin.1.{part}" for part in ("weight", "bias")]
            self.shared = plain(*(file.read(name, dtype) for name in names))
        self.heads = file.shape("blocks.0.attn.scale_mul_1H11")[1]
        depth = file.count("blocks.{}.attn.proj.weight")
        self.blocks = [Block(file, f"blocks.{i}.", dtype, linear) for i in range(depth)]
        names = [f"head_nm.ada_lin.1.{part}" for part in ("weight", "bias")]
        self.head_ada = plain(*(file.read(name, dtype) for name in names))
        self.head = linear(file.read("head.weight", dtype), file.read("head.bias", dtype))
        self.caches = []

    def start(self, labels, with_null):
        """Everything that is constant over scales; the null class's sequences follow the labels'."""
        if with_null:
            labels = torch.cat([labels, torch.full_like(labels, self.null)])
        sequences = len(labels)
        if not self.caches or len(self.caches[0][0]) < sequences:
            shape = (sequences, self.heads, self.ends[-1], self.width // self.heads)
            self.caches = []
            self.caches = [[self.places.new_empty(shape) for _ in range(2)] for _ in self.blocks]
        self.condition = self.classes[labels]
        activated = F.silu(self.condition)
        shared = None if self.shared is None else self.shared(activated)
        self.modulations = [block.modulation(activated, shared) for block in self.blocks]
        scale, shift = self.head_ada(activated).view(sequences, 2, 1, self.width).unbind(1)
        self.head_modulation = (1 + scale, shift.contiguous())

    def step(self, k, features):
        """The logits of scale k, [sequences, side², vocabulary], from the canvas at its size (none at scale 0)."""
        begin, end = self.ends[k - 1] if k else 0, self.ends[k]
        if k:
            x = self.word(features.to(self.places.dtype)) + self.places[begin:end]
            x = x.repeat(len(self.condition) // len(x), 1, 1)
        else:
            x = self.condition.unsqueeze(1) + self.places[begin:end]
        for block, modulation, cache in zip(self.blocks, self.modulations, self.caches):
            x = block(x, modulation, cache, begin, end)
        scale, shift = self.head_modulation
        x = torch.addcmul(shift, F.layer_norm(x, (self.width,), eps=EPSILON), scale)
        return self.head(x).float()
