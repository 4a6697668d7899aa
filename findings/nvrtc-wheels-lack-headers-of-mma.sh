#!/bin/sh
# CUDA's wheels for a program that compiles kernels when it runs, NVRTC (nvidia-cuda-nvrtc-cu12 12.9.86) and the runtime's headers
# (nvidia-cuda-runtime-cu12 12.9.79), are not enough for a kernel on tensor cores: the runtime's wheel has `mma.h`, and what that includes,
# `crt/mma.h`, is in the compiler's wheel alone (nvidia-cuda-nvcc-cu12 12.9.86). Generators of kernels that use wmma, as cubecl does,
# fail on a machine whose CUDA came with pip, while all other kernels compile.
#
# Seen, for a kernel without and with `#include <mma.h>`, target compute_80, no GPU needed:
#   plain: NVRTC_SUCCESS
#   mma.h: NVRTC_ERROR_COMPILATION, cannot open source file "crt/mma.h"
#   mma.h, with the compiler's wheel: NVRTC_SUCCESS
#
# Needs python3 with venv on Linux on x86-64. Exits with 1 if any of the three changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --no-deps --target cuda nvidia-cuda-nvrtc-cu12==12.9.86 nvidia-cuda-runtime-cu12==12.9.79
venv/bin/pip install --quiet --no-deps --target nvcc nvidia-cuda-nvcc-cu12==12.9.86

cat > compile.py <<'END_OF_FILE'
import ctypes, os, pathlib

root = pathlib.Path("cuda/nvidia")
libraries = sorted((root / "cuda_nvrtc/lib").glob("libnvrtc*.so*"), key=lambda path: "builtins" not in path.name)
for library in libraries:
    nvrtc = ctypes.CDLL(str(library.resolve()), mode=ctypes.RTLD_GLOBAL)
nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p


def compiled(source, *folders):
    program = ctypes.c_void_p()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernel.cu", 0, None, None) == 0
    options = ["--gpu-architecture=compute_80"] + [f"--include-path={folder}" for folder in folders]
    array = (ctypes.c_char_p * len(options))(*[option.encode() for option in options])
    code = nvrtc.nvrtcCompileProgram(program, len(options), array)
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    return nvrtc.nvrtcGetErrorString(code).decode(), log.value.decode()


KERNEL = 'extern "C" __global__ void twice(float *x) { x[threadIdx.x] *= 2.0f; }\n'
runtime, compiler = root / "cuda_runtime/include", pathlib.Path("nvcc/nvidia/cuda_nvcc/include")
plain = compiled(KERNEL, runtime)
alone = compiled("#include <mma.h>\n" + KERNEL, runtime)
both = compiled("#include <mma.h>\n" + KERNEL, runtime, compiler)
missing = 'cannot open source file "crt/mma.h"'
print("plain:", plain[0])
print("mma.h:", alone[0] + (", " + missing if missing in alone[1] else ": " + alone[1]))
print("mma.h, with the compiler's wheel:", both[0])
END_OF_FILE
venv/bin/python compile.py | tee seen
cat > expected <<'END_OF_FILE'
plain: NVRTC_SUCCESS
mma.h: NVRTC_ERROR_COMPILATION, cannot open source file "crt/mma.h"
mma.h, with the compiler's wheel: NVRTC_SUCCESS
END_OF_FILE
cmp expected seen
