"""Tensors of a .safetensors file, read one at a time into their own memory.

A mapped file would count twice in a process's peak memory once its tensors are packed into another layout.
"""
import json
import struct

import torch

TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64}


class Checkpoint:
    """The header of a file, and its tensors by name, without a prefix that only tensors with it are kept for."""

    def __init__(self, path, prefix=""):
        self.path = path
        self.file = open(path, "rb", buffering=0)
        (length,) = struct.unpack("<Q", self.file.read(8))
        self.entries = json.loads(self.file.read(length))
        self.metadata = self.entries.pop("__metadata__", {})
        self.entries = {name.removeprefix(prefix): entry for name, entry in self.entries.items() if name.startswith(prefix)}
        self.start = 8 + length

    def __contains__(self, name):
        return name in self.entries

    def shape(self, name):
        if name not in self.entries:
            raise SystemExit(f"{self.path} has no tensor {name}")
        return self.entries[name]["shape"]

    def count(self, pattern):
        """How many of pattern.format(0), pattern.format(1), … exist before the first gap."""
        found = 0
        while pattern.format(found) in self.entries:
            found += 1
        return found

    def read(self, name, dtype=None):
        """The tensor, in `dtype` if given."""
        shape, entry = self.shape(name), self.entries[name]
        tensor = torch.empty(shape, dtype=TYPES[entry["dtype"]])
        begin, end = entry["data_offsets"]
        if begin < end:
            self.file.seek(self.start + begin)
            room = memoryview(tensor.view(-1).view(torch.uint8).numpy())
            while room:
                got = self.file.readinto(room)
                if not got:
                    raise SystemExit(f"{self.path} ends within {name}")
                room = room[got:]
        return tensor if dtype is None else tensor.to(dtype)
