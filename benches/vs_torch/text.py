"""The time that a T5 encoder of random weights takes for one prompt on a CPU, in eager PyTorch; the same in Rust is the example `time_t5` of
crates/nextscale-text.

    python text.py [xl|small] [tokens] [runs] [plain|packed]
"""
import sys
import time

import torch
import torch.nn.functional as F

from transformer import packed, plain

SIZES = {"xl": (32128, 2048, 24, 32, 64, 5120), "small": (32128, 512, 8, 6, 64, 1024)}
BUCKETS, FARTHEST, EPSILON = 32, 128, 1e-6


def bucket(distance):
    """The bucket of key minus query, a tensor of integers."""
    side = BUCKETS // 2
    exact = side // 2
    away = distance.abs()
    scale = torch.log(torch.tensor(FARTHEST / exact))
    far = exact + (torch.log(away.clamp(min=1).float() / exact) / scale * (side - exact)).long()
    return (distance > 0).long() * side + torch.where(away < exact, away, far.clamp(max=side - 1))


def norm(x, weight):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPSILON) * weight


class Encoder:
    """T5 v1.1's encoder. `read(name, shape)` gives a weight."""

    def __init__(self, sizes, read, linear):
        vocabulary, width, depth, self.heads, self.head_width, hidden = sizes
        inner = self.heads * self.head_width
        self.embedding = read("shared.weight", (vocabulary, width))
        first = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        self.positions = read(first, (BUCKETS, self.heads))
        self.blocks = []
        for i in range(depth):
            attention, mlp = (f"encoder.block.{i}.layer.{layer}." for layer in (0, 1))
            heads = [(f"{attention}SelfAttention.{name}.weight", (inner, width)) for name in "qkv"]
            self.blocks.append((
                read(attention + "layer_norm.weight", (width,)),
                linear(torch.cat([read(*head) for head in heads]), None),
                linear(read(attention + "SelfAttention.o.weight", (width, inner)), None),
                read(mlp + "layer_norm.weight", (width,)),
                linear(read(mlp + "DenseReluDense.wi_0.weight", (hidden, width)), None, gelu=True),
                linear(read(mlp + "DenseReluDense.wi_1.weight", (hidden, width)), None),
                linear(read(mlp + "DenseReluDense.wo.weight", (width, hidden)), None),
            ))
        self.last = read("encoder.final_layer_norm.weight", (width,))

    def __call__(self, tokens):
        """Tokens [batch, length] without padding, to rows [batch, length, width]."""
        batch, length = tokens.shape
        x = self.embedding[tokens]
        at = torch.arange(length)
        bias = self.positions[bucket(at[None] - at[:, None])].permute(2, 0, 1)[None]
        for attention_norm, qkv, out, mlp_norm, gate, value, down in self.blocks:
            q, k, v = qkv(norm(x, attention_norm)).view(batch, length, 3, self.heads, self.head_width).permute(2, 0, 3, 1, 4)
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)
            x = x + out(mixed.transpose(1, 2).reshape(batch, length, -1))
            y = norm(x, mlp_norm)
            x = x + down(gate(y) * value(y))
        return norm(x, self.last)


@torch.inference_mode()
def main(size="xl", tokens="32", runs="5", linear="packed"):
    torch.set_num_threads(2)
    torch.manual_seed(0)

    def read(name, shape):
        if len(shape) == 1:
            return torch.ones(shape)
        return torch.empty(shape).normal_(0, 1 if name == "shared.weight" else shape[1] ** -0.5)

    encoder = Encoder(SIZES[size], read, {"packed": packed, "plain": plain}[linear])
    prompt = torch.tensor([[5 + i * 37 % 1000 for i in range(int(tokens))]])
    seconds = []
    for _ in range(int(runs) + 1):
        begin = time.perf_counter()
        encoder(prompt)
        seconds.append(time.perf_counter() - begin)
    seconds = sorted(seconds[1:])
    print(f"{tokens} tokens, {linear}: median {seconds[len(seconds) // 2]:.4f} s, {seconds[0]:.4f} to {seconds[-1]:.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
