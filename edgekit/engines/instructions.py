"""A process whose kernels do without the processor's newer instruction sets, by the switches that each runtime has.

torch takes its own kernels by ATEN_CPU_CAPABILITY, those of oneDNN by ONEDNN_MAX_CPU_ISA, those of MKL by
MKL_ENABLE_INSTRUCTIONS (which MKL follows on Intel's processors): environment variables that are read when it is imported.
llama.cpp's kernels are compiled for one processor; a library that was compiled without (edgekit/environment/ggml_cpu.py) is
loaded before the bindings load their own of the same name. The other runtimes choose by the processor and have no switch.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import sys
from pathlib import Path

from edgekit import engines
from edgekit.catalog.engines import ENGINES, LLAMA_CPP, TRANSFORMERS
from edgekit.engines.base import EngineError
from edgekit.schema import EVERYTHING, HOST_ONLY

LIBRARIES = Path(sys.prefix) / "opt" / "ggml-cpu"  # where ggml_cpu.py puts them
LIBRARY = "libggml-cpu.so.0"
BUILD = ".venv/bin/python edgekit/environment/ggml_cpu.py"
# level -> what torch's libraries are told, and what torch then says of itself
LEVELS = {
    "sse4": (dict(ATEN_CPU_CAPABILITY="default", ONEDNN_MAX_CPU_ISA="SSE41", MKL_ENABLE_INSTRUCTIONS="SSE4_2"), "DEFAULT"),
    "avx2": (dict(ATEN_CPU_CAPABILITY="avx2", ONEDNN_MAX_CPU_ISA="AVX2", MKL_ENABLE_INSTRUCTIONS="AVX2"), "AVX2"),
}
BEYOND = {"sse4": ("AVX", "AVX2", "AVX512"), "avx2": ("AVX512",)}  # what llama.cpp may not name then
X86 = ("x86_64", "AMD64")


def refusal(engine: str, acceleration: str, device: str) -> str | None:
    """Why an engine cannot be measured so on this machine; None where it can."""
    if acceleration == EVERYTHING:
        return None
    if acceleration == HOST_ONLY:
        return None if device != "cpu" else "host only leaves a GPU out, and device is cpu: there is none to leave out"
    if engines.are_assumed():
        return None
    if device != "cpu":
        return f"{acceleration} is of the host's kernels, and device is {device}: name host only to leave the GPU out"
    if platform.machine() not in X86:
        return (f"{acceleration} is of x86-64; this processor is {platform.machine()}, whose vector instructions (NEON) belong "
                "to each of its kind: no runtime can be told to do without")
    runtime = ENGINES[engine].runtime
    if runtime is TRANSFORMERS:
        return None
    if runtime is not LLAMA_CPP:
        return f"{engine} chooses its kernels by the processor and has no switch that leaves instruction sets out"
    if not (LIBRARIES / acceleration / LIBRARY).is_file():
        return f"llama.cpp was not compiled without newer instruction sets than {acceleration} here; compile it: {BUILD}"
    return None


def restrict(engine: str, level: str) -> None:
    """Let this process's kernels of an engine use a level and nothing newer. Called before its libraries are imported; raises
    EngineError where that is too late."""
    runtime = ENGINES[engine].runtime
    library = "llama_cpp" if runtime is LLAMA_CPP else "torch"
    if library in sys.modules:
        raise EngineError(f"{engine}: {library} was imported before instruction sets were left out; measure it in a new "
                          "process")
    if runtime is LLAMA_CPP:
        own = Path(importlib.util.find_spec("llama_cpp").origin).parent / "lib"
        ctypes.CDLL(str(own / "libggml-base.so.0"), mode=ctypes.RTLD_GLOBAL)
        # The loader takes a library that is there already for the one of the same name that the bindings ask for.
        ctypes.CDLL(str(LIBRARIES / level / LIBRARY), mode=ctypes.RTLD_GLOBAL)
    else:
        os.environ.update(LEVELS[level][0])


def told(engine: str) -> str:
    """What an opened engine's kernels say that they use; of an engine without the switches above nothing."""
    runtime = ENGINES[engine].runtime
    if runtime is LLAMA_CPP:
        from edgekit.engines.llama_cpp import kernel_words

        return kernel_words()
    if runtime is TRANSFORMERS:
        import torch

        return torch.backends.cpu.get_cpu_capability()
    return ""


def require(engine: str, level: str) -> None:
    """Raise EngineError if the kernels of an opened engine say that they use more than `level`."""
    words = told(engine)
    wrong = set(words.split()) & set(BEYOND[level]) if ENGINES[engine].runtime is LLAMA_CPP else {words} - {LEVELS[level][1]}
    if wrong:
        raise EngineError(f"{engine}: expected kernels for {level} and nothing newer, got {', '.join(sorted(wrong))} ({words})")
