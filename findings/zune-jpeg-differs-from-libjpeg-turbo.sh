#!/bin/sh
# zune-jpeg 0.5.15 (the decoder of the `image` crate 0.25) and libjpeg-turbo 3.2.0 (Pillow 13.0.0) decode one JPEG to
# different pixels. Where colours are stored at half the size (4:2:0, most files), nearly half of the pixels differ, and the
# difference has a sign, so that it does not average out over a data set: a distance (FID) between sets of images, one
# decoded in Rust and one in Python, is not zero for the same files.
#
# Seen (smooth colours with a little noise, 256×192, quality 90):
#   4:4:4  1.5 % of pixels differ, by up to 3, mean +0.0063
#   4:2:0  46.7 % of pixels differ, by up to 4, mean +0.1633
#   grey   0.5 % of pixels differ, by up to 1, mean +0.0038
#
# Needs python3 with venv and cargo. Exits with 1 if the pixels of 4:2:0 are equal, or differ in the last bit only.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet pillow==13.0.0 numpy==2.3.5

mkdir -p decode/src
cat > decode/Cargo.toml <<'END'
[package]
name = "decode"
version = "0.0.0"
edition = "2024"

[dependencies]
zune-jpeg = "=0.5.15"

[workspace]
END
cat > decode/src/main.rs <<'END'
use std::io::Cursor;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::{colorspace::ColorSpace, options::DecoderOptions};

fn main() {
    for name in std::env::args().skip(1) {
        let bytes = std::fs::read(&name).unwrap();
        let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::RGB);
        let pixels = JpegDecoder::new_with_options(Cursor::new(bytes), options).decode().unwrap();
        std::fs::write(name + ".rgb", pixels).unwrap();
    }
}
END

cat > make.py <<'END'
import numpy as np
from PIL import Image

rng = np.random.default_rng(0)
y, x = np.mgrid[:192, :256]
picture = np.stack([128 + 90 * np.sin(x / 21 + y / 33), 128 + 90 * np.cos(y / 17 - x / 40), x * 0.7 + y * 0.3], -1)
picture = Image.fromarray((picture + rng.normal(0, 4, picture.shape)).clip(0, 255).astype(np.uint8))
picture.save("444.jpg", quality=90, subsampling="4:4:4")
picture.save("420.jpg", quality=90, subsampling="4:2:0")
picture.convert("L").save("grey.jpg", quality=90)
END
cat > compare.py <<'END'
import sys

import numpy as np
from PIL import Image, features

print("Pillow", Image.__version__, "with libjpeg-turbo", features.version("libjpeg_turbo"))
largest = {}
for name, label in [("444", "4:4:4"), ("420", "4:2:0"), ("grey", "grey ")]:
    pillow = np.asarray(Image.open(f"{name}.jpg").convert("RGB")).astype(int)
    zune = np.fromfile(f"{name}.jpg.rgb", np.uint8).reshape(pillow.shape).astype(int)
    difference = zune - pillow
    largest[name] = abs(difference).max()
    share = 100 * (difference != 0).any(-1).mean()
    print(f"{label}  {share:.1f} % of pixels differ, by up to {largest[name]}, mean {difference.mean():+.4f}")
sys.exit(0 if largest["420"] > 1 else 1)
END

venv/bin/python make.py
cargo run --quiet --release --manifest-path decode/Cargo.toml -- 444.jpg 420.jpg grey.jpg
venv/bin/python compare.py
