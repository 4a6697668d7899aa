#!/bin/sh
# torch-sys 0.22.0, LibTorch for Rust (under burn-tch 0.22.1), checks that PyTorch is exactly 2.9.0 and offers LIBTORCH_BYPASS_VERSION_CHECK
# to those who have another. What the check guards is neither: its C++ compiles against PyTorch 2.12.0 as well, three releases later, and
# from 2.13.0 on no setting makes it compile, because ATen's functions are no stable interface: 2.13 dropped `align_as` and `align_tensors`,
# 2.14 `cholesky` and `qr`, and 2.14's headers refuse the C++17 that torch-sys asks for. `pip install torch` alone therefore gives a
# PyTorch that cannot be used.
#
# Seen, 30 November 2026, g++ 12, the generated half of torch-sys's C++ (the rest has no errors of its own):
#   2.12.0, c++17: compiles
#   2.13.0, c++17: align_as align_tensors
#   2.14.0, c++17: the headers want C++20
#   2.14.0, c++20: align_as align_tensors cholesky cholesky_out qr qr_out
#
# Needs python3 with pip, cargo, unzip and g++, and about five minutes. Takes the wheels for macOS, which have the same headers in a tenth
# of the size. Exits with 1 if any of the four changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

mkdir src && touch src/lib.rs
cat > Cargo.toml <<'END_OF_FILE'
[package]
name = "finding"
version = "0.1.0"
edition = "2024"

[dependencies]
torch-sys = "=0.22.0"
END_OF_FILE
cargo vendor --quiet vendor >/dev/null

headers() {
    python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.11 \
        --platform macosx_11_0_arm64 --platform macosx_14_0_arm64 "torch==$1"
    unzip -q torch-"$1"-*.whl 'torch/include/*' -d "$1"
    rm torch-"$1"-*.whl
}

# What is missing, or "compiles".
compiled() {
    include="$1/torch/include"
    if LC_ALL=C g++ -std="$2" -w -fsyntax-only -D_GLIBCXX_USE_CXX11_ABI=1 -DGLOG_USE_GLOG_EXPORT -I"$include" \
        -I"$include/torch/csrc/api/include" vendor/torch-sys/libtch/torch_api_generated.cpp 2>errors; then
        echo "$1, $2: compiles"
    elif grep -q 'error: #error C++20 or later compatible compiler is required' errors; then
        echo "$1, $2: the headers want C++20"
    else
        # The name before "is not a member", or after "has no member named".
        missing=$(sed -n "s/.*error: '\([a-z_]*\)' is not a member of.*/\1/p; s/.*error: .*has no member named '\([a-z_]*\)'.*/\1/p" errors)
        echo "$1, $2:" $missing
    fi
}

for version in 2.12.0 2.13.0 2.14.0; do
    headers $version
done
{
    compiled 2.12.0 c++17
    compiled 2.13.0 c++17
    compiled 2.14.0 c++17
    compiled 2.14.0 c++20
} | tee seen
cat > expected <<'END_OF_FILE'
2.12.0, c++17: compiles
2.13.0, c++17: align_as align_tensors
2.14.0, c++17: the headers want C++20
2.14.0, c++20: align_as align_tensors cholesky cholesky_out qr qr_out
END_OF_FILE
cmp expected seen
