"""A training step of VAR in eager PyTorch, for benches/train_step.rs.

    python train.py BACKBONE --batch N --threads N

Starts from a backbone's file under upstream's names; classes, features and tokens are random and made before the clock
starts. Says a line of JSON when ready, then one for every line on standard input: {"seconds": …, "loss": …}.
"""
import argparse
import json
import math
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

from checkpoint import Checkpoint

EPSILON = 1e-6


class Linear(nn.Module):
    def __init__(self, file, name):
        super().__init__()
        self.weight = nn.Parameter(file.read(name + ".weight", torch.float32))
        self.bias = nn.Parameter(file.read(name + ".bias", torch.float32))

    def forward(self, x):
        return F.linear(x, self.weight, self.bias)


class Block(nn.Module):
    def __init__(self, file, prefix):
        super().__init__()

        def parameter(name):
            return nn.Parameter(file.read(prefix + name, torch.float32))

        self.offset = parameter("ada_gss")
        self.qkv = parameter("attn.mat_qkv.weight")
        self.q_bias, self.v_bias = parameter("attn.q_bias"), parameter("attn.v_bias")
        self.scale = parameter("attn.scale_mul_1H11")
        self.out = Linear(file, prefix + "attn.proj")
        self.up, self.down = Linear(file, prefix + "ffn.fc1"), Linear(file, prefix + "ffn.fc2")

    def forward(self, x, shared, mask):
        sequences, length, width = x.shape
        heads = self.scale.shape[1]
        gate1, gate2, scale1, scale2, shift1, shift2 = (shared + self.offset).unbind(2)
        inner = F.layer_norm(x, (width,), eps=EPSILON) * (1 + scale1) + shift1
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        mixed = F.linear(inner, self.qkv, bias).view(sequences, length, 3, heads, width // heads)
        queries, keys, values = mixed.permute(2, 0, 3, 1, 4).unbind(0)
        queries = F.normalize(queries, dim=-1) * self.scale.clamp_max(math.log(100)).exp()
        mixed = F.scaled_dot_product_attention(queries, F.normalize(keys, dim=-1), values, attn_mask=mask, scale=1.0)
        x = x + gate1 * self.out(mixed.transpose(1, 2).reshape(sequences, length, width))
        inner = F.layer_norm(x, (width,), eps=EPSILON) * (1 + scale2) + shift2
        return x + gate2 * self.down(F.gelu(self.up(inner), approximate="tanh"))


class Transformer(nn.Module):
    def __init__(self, file):
        super().__init__()
        level = file.read("lvl_1L").flatten()
        self.register_buffer("level", level)
        self.register_buffer("mask", level[:, None] >= level[None, :])
        for name in ("pos_start", "pos_1LC"):
            self.register_parameter(name, nn.Parameter(file.read(name, torch.float32)))
        self.levels = nn.Parameter(file.read("lvl_embed.weight", torch.float32))
        self.classes = nn.Parameter(file.read("class_emb.weight", torch.float32))
        self.word, self.shared = Linear(file, "word_embed"), Linear(file, "shared_ada_lin.1")
        depth = file.count("blocks.{}.attn.proj.weight")
        self.blocks = nn.ModuleList(Block(file, f"blocks.{i}.") for i in range(depth))
        self.head_ada, self.head = Linear(file, "head_nm.ada_lin.1"), Linear(file, "head")

    def forward(self, features, labels):
        condition = self.classes[labels]
        x = torch.cat([condition.unsqueeze(1) + self.pos_start, self.word(features)], 1)
        x = x + self.pos_1LC + self.levels[self.level]
        activated = F.silu(condition)
        width = x.shape[-1]
        shared = self.shared(activated).view(-1, 1, 6, width)
        for block in self.blocks:
            x = block(x, shared, self.mask)
        scale, shift = self.head_ada(activated).view(-1, 2, 1, width).unbind(1)
        return self.head(F.layer_norm(x, (width,), eps=EPSILON) * (1 + scale) + shift)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("backbone")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model = Transformer(Checkpoint(args.backbone))
    length, vocabulary = len(model.level), len(model.head.bias)
    features = torch.randn(args.batch, length - 1, model.word.weight.shape[1])
    labels = torch.randint(len(model.classes), (args.batch,))
    tokens = torch.randint(vocabulary, (args.batch, length))
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.05, fused=True)

    def answer(**values):
        print(json.dumps(values), flush=True)

    answer(torch=torch.__version__, threads=torch.get_num_threads())
    for _ in sys.stdin:
        begin = time.perf_counter()
        logits = model(features, labels)
        loss = F.cross_entropy(logits.view(-1, vocabulary), tokens.view(-1))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimiser.step()
        answer(loss=loss.item(), seconds=time.perf_counter() - begin)


main()
