"""Tokens to the canvas, and the canvas to pixels."""
import torch
import torch.nn.functional as F

from resampling import area, both_ways, interpolation, keys, single


class Canvas:
    """The quantiser, always in f32. A canvas is [images, side², channels]: channels last, so that resampling is a product."""

    def __init__(self, file, sides):
        self.sides = sides
        self.codes = file.read("quantize.embedding.weight", torch.float32)
        count = file.count("quantize.quant_resi.qresi_ls.{}.weight")
        mixes = [self.mix(file, f"quantize.quant_resi.qresi_ls.{i}.") for i in range(count)]
        self.mixes = [mixes[i] for i in nearest_ticks(count, len(sides))]
        last = sides[-1]
        self.grow = [single(both_ways(interpolation(side, last, keys))) for side in sides[:-1]]
        self.shrink = [single(both_ways(area(last, side))) for side in sides]

    @staticmethod
    def mix(file, prefix):
        """φ(h) = 0.5 h + 0.5 conv(h) as one convolution."""
        weight = file.read(prefix + "weight", torch.float32) * 0.5
        weight[:, :, 1, 1] += 0.5 * torch.eye(len(weight))
        bias = file.read(prefix + "bias", torch.float32) * 0.5
        return weight.contiguous(memory_format=torch.channels_last), bias

    def add(self, canvas, tokens, k):
        """The canvas (none at scale 0) with scale k's tokens, [images, side²], added."""
        embedded, last = F.embedding(tokens, self.codes), self.sides[-1]
        if k < len(self.sides) - 1:
            embedded = torch.matmul(self.grow[k], embedded)
        image = embedded.transpose(1, 2).unflatten(2, (last, last))
        mixed = F.conv2d(image, *self.mixes[k], padding=1)
        mixed = mixed.flatten(2).transpose(1, 2)
        return mixed if canvas is None else canvas + mixed

    def at(self, canvas, k):
        """The canvas at the size of scale k."""
        return torch.matmul(self.shrink[k], canvas)


def nearest_ticks(count, scales):
    """The index of a scale's φ. Exact ties occur, and are broken as in upstream's double-precision arithmetic."""
    first = 1 / 3 / 4 if count == 4 else 1 / 2 / count
    last = 1 - first
    ticks = [first + i * ((last - first) / max(count - 1, 1)) for i in range(count)]
    if count > 1:
        ticks[-1] = last
    places = [k / max(scales - 1, 1) for k in range(scales)]
    return [min(range(count), key=lambda i: abs(ticks[i] - place)) for place in places]


class Decoder:
    """The decoding half of the autoencoder; the encoder is not read."""

    def __init__(self, file, dtype, groups):
        self.groups, self.layers = groups, {}
        names = [name for name in file.entries if name.startswith(("decoder.", "post_quant_conv."))]
        # Infinity's convolutions and norms are wrapped once more.
        wrapped = "decoder.conv_in.conv.weight" in file
        for name in names:
            layer, part = name.rsplit(".", 1)
            layer = layer.rsplit(".", 1)[0] if wrapped else layer
            tensor = file.read(name, dtype)
            if tensor.dim() == 4:
                tensor = tensor.contiguous(memory_format=torch.channels_last)
            self.layers.setdefault(layer, {})[part] = tensor
        self.levels = 0
        while f"decoder.up.{self.levels}.block.0.norm1" in self.layers:
            self.levels += 1

    def conv(self, name, x):
        layer = self.layers[name]
        return F.conv2d(x, layer["weight"], layer["bias"], padding=layer["weight"].shape[-1] // 2)

    def norm(self, name, x):
        layer = self.layers[name]
        return F.group_norm(x, self.groups, layer["weight"], layer["bias"], eps=1e-6)

    def residual(self, name, x):
        inner = x
        for i in ("1", "2"):
            inner = F.silu(self.norm(f"{name}.norm{i}", inner), inplace=True)
            inner = self.conv(f"{name}.conv{i}", inner)
        shortcut = f"{name}.nin_shortcut"
        return inner.add_(self.conv(shortcut, x) if shortcut in self.layers else x)

    def attention(self, name, x):
        images, channels, height, width = x.shape
        mixed = self.conv(f"{name}.qkv", self.norm(f"{name}.norm", x))
        queries, keys, values = mixed.flatten(2).transpose(1, 2).unsqueeze(1).split(channels, dim=-1)
        seen = F.scaled_dot_product_attention(queries, keys, values)
        seen = seen.squeeze(1).transpose(1, 2).unflatten(2, (height, width))
        return self.conv(f"{name}.proj_out", seen).add_(x)

    def __call__(self, canvas, side):
        """[images, side², channels] to [images, 3, H, W] in [0, 1]."""
        x = canvas.transpose(1, 2).unflatten(2, (side, side))
        x = x.to(self.layers["decoder.conv_in"]["weight"].dtype)
        if "post_quant_conv" in self.layers:
            x = self.conv("post_quant_conv", x)
        x = self.conv("decoder.conv_in", x)
        x = self.residual("decoder.mid.block_1", x)
        if "decoder.mid.attn_1.norm" in self.layers:
            x = self.attention("decoder.mid.attn_1", x)
        x = self.residual("decoder.mid.block_2", x)
        for level in reversed(range(self.levels)):
            stage, i = f"decoder.up.{level}", 0
            while f"{stage}.block.{i}.norm1" in self.layers:
                x = self.residual(f"{stage}.block.{i}", x)
                if f"{stage}.attn.{i}.norm" in self.layers:
                    x = self.attention(f"{stage}.attn.{i}", x)
                i += 1
            if f"{stage}.upsample.conv" in self.layers:
                x = self.conv(f"{stage}.upsample.conv", F.interpolate(x, scale_factor=2, mode="nearest"))
        x = F.silu(self.norm("decoder.norm_out", x), inplace=True)
        x = self.conv("decoder.conv_out", x).float()
        return x.clamp_(-1, 1).add_(1).mul_(0.5)
