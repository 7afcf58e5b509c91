#!/usr/bin/env python3
"""Compile llama.cpp's library of CPU kernels again without the newer instruction sets of this processor.

    .venv/bin/python edgekit/environment/ggml_cpu.py            for each of LEVELS, about a minute each on two cores

The libraries go to `.venv/opt/ggml-cpu/<level>/`, beside llama-cpp-python, which stays as it is: a process that is to do
without an instruction set loads one of them in place of its own (see edgekit/engines/instructions.py). The source archive is
that of the pinned version, checked as install.py checks it.

Run by path, as install.py; for x86-64 on Linux, where kernels are chosen when they are compiled.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import locks  # beside this file, which is run by path
import preflight
from preflight import Failure

FOLDER = Path(sys.prefix) / "opt" / "ggml-cpu"
LIBRARY = "libggml-cpu.so.0"
NEWER = ("AVX", "AVX2", "FMA", "F16C", "BMI2")
# level -> the instruction sets beyond SSE4.2 that its kernels are compiled for
LEVELS = {"sse4": (), "avx2": NEWER}


def flags(level):
    """CMake's settings for a level."""
    sets = ["-DGGML_{}={}".format(name, "ON" if name in LEVELS[level] else "OFF") for name in NEWER]
    left_out = [f"-DLLAMA_BUILD_{name}=OFF" for name in ("COMMON", "TESTS", "EXAMPLES", "TOOLS", "SERVER", "APP")]
    return ["-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=ON", "-DGGML_NATIVE=OFF", "-DGGML_SSE42=ON", *sets, *left_out]


def run(command, what):
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise Failure(f"{what} failed: {preflight.explain(done.returncode, done.stderr + done.stdout)}")


def source(folder):
    """llama.cpp's source out of the archive of the pinned llama-cpp-python, in `folder`."""
    requirements = folder / "llama-cpp.txt"
    requirements.write_text(locks.hashed([locks.pins("cpu")["llama-cpp-python"]]), encoding="utf-8")
    run([sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", "llama-cpp-python", "--no-build-isolation",
         "--require-hashes", "-r", str(requirements), "-d", str(folder)], "fetching the source of llama-cpp-python")
    archive, = folder.glob("llama_cpp_python-*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / archive.name[:-len(".tar.gz")] / "vendor" / "llama.cpp"


def build(level, tree, folder):
    """Compile the library of a level from a source tree, and put it into place whole."""
    run(["cmake", "-S", str(tree), "-B", str(folder), *flags(level)], f"configuring llama.cpp for {level}")
    run(["cmake", "--build", str(folder), "--target", "ggml-cpu", "-j", str(os.cpu_count())],
        f"compiling llama.cpp's kernels for {level}")
    made, = folder.rglob(LIBRARY)
    place = FOLDER / level
    place.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(made, place / (LIBRARY + ".new"))
    os.replace(place / (LIBRARY + ".new"), place / LIBRARY)


def main():
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        raise Failure("expected Linux on x86-64, whose instruction sets llama.cpp can be compiled without; got "
                      f"{sys.platform} on {os.uname().machine}")
    if not preflight.has_compiler() or not shutil.which("cmake"):
        raise Failure("expected a C and C++ compiler (cc, c++) and cmake on PATH, got none; install them and run this again")
    with tempfile.TemporaryDirectory() as folder:
        tree = source(Path(folder))
        for level in LEVELS:
            build(level, tree, Path(folder) / level)
            print(f"ggml-cpu: {level} in {FOLDER / level}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"ggml-cpu: {failure}")
