#!/bin/sh
# Builds the corpora in fuzz/corpus from configs, documentation and fixtures: `sh fuzz/corpus.sh`.
set -eu
cd "$(dirname "$0")/.."
rm -rf fuzz/corpus
mkdir -p fuzz/corpus/tree fuzz/corpus/set fuzz/corpus/kind

# Configs, the config crate's own texts, and the indented blocks of the documentation.
for file in configs/*.ron configs/train/*.ron examples/*.ron; do
    [ -f "$file" ] && cp "$file" "fuzz/corpus/tree/$(echo "$file" | tr / -)"
done
find crates/nextscale-config/tests -name '*.ron' | while read -r file; do
    cp "$file" "fuzz/corpus/tree/$(echo "$file" | tr / -)"
done
for page in docs/src/*.md; do
    awk -v out="fuzz/corpus/tree/$(basename "$page" .md)" '
        /^    /  { if (!open) { n++; open = 1 } print substr($0, 5) > (out "-" n); next }
        /^```ron/ { n++; open = 1; fenced = 1; next }
        /^```/    { fenced = 0; open = 0; next }
        fenced    { print > (out "-" n); next }
                  { open = 0 }
    ' "$page"
done
for file in fuzz/corpus/tree/*; do
    { echo 'guidance.beta=0.4'; cat "$file"; } > "fuzz/corpus/set/$(basename "$file")"
done
for set in 'guidance.prior=Dse(low_band: Verbatim)' 'variants[1].1.beta=2' 'x=None' 'model.phi=Nearest(2)'; do
    { echo "$set"; cat configs/quickstart.ron; } > "fuzz/corpus/set/$(printf %s "$set" | cksum | cut -d' ' -f1)"
done

# One image of every format in the repository, and the beginnings of other files.
for file in docs/src/images/*.png models/cifar10/*.png; do
    [ -f "$file" ] && head -c 20000 "$file" > "fuzz/corpus/kind/$(basename "$file")"
done
for file in tests/fixtures/var/*.pth tests/fixtures/var/vae.safetensors README.md models/cifar10/*.svg; do
    head -c 4000 "$file" > "fuzz/corpus/kind/$(basename "$file")"
done

# The target `reader` writes the sound inputs of each reader itself; configs can also be any of these texts.
mkdir -p fuzz/corpus/config
cp fuzz/corpus/tree/* fuzz/corpus/config/
