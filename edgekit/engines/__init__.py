"""Engines by name: each loads an artifact, scores tokens and streams tokens. None of them times itself.

An engine's module is imported when it is opened, so that a missing runtime is a reason and not an import error.
"""

from __future__ import annotations

import importlib
from importlib import metadata

from edgekit.compress.artifact import Artifact
from edgekit.engines.base import Engine, EngineError

# name -> (module, class, format it loads, package, the line that installs it)
_SETUP = "python3 edgekit/environment/install.py"
ENGINES = {
    "transformers": ("edgekit.engines.transformers", "Transformers", "safetensors", "transformers", _SETUP),
    "transformers-compiled": ("edgekit.engines.transformers", "TransformersCompiled", "safetensors", "transformers", _SETUP),
    "llama_cpp": ("edgekit.engines.llama_cpp", "LlamaCpp", "gguf", "llama-cpp-python", _SETUP),
}


def require_known(name: str) -> None:
    """Raise EngineError for a name that is not an engine's."""
    if name not in ENGINES:
        raise EngineError(f"unknown engine {name!r}; known: {', '.join(ENGINES)}")


def variant_for(engine: str, model: str, dtype: str) -> str:
    """The chain that gives `model` in the format that `engine` loads, with `dtype` weights."""
    require_known(engine)
    return f"{model} > gguf(dtype={dtype})" if ENGINES[engine][2] == "gguf" else model


def runtime(engine: str) -> str:
    """Package and version behind an engine: rows of one version are not rows of the next. "absent" if it is not installed."""
    require_known(engine)
    package = ENGINES[engine][3]
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return f"{package} absent"


def open_engine(name: str, artifact: Artifact, *, dtype: str, threads: int, device: str, context: int) -> Engine:
    """Load `artifact` into an engine. `context`: the longest prompt plus output, in tokens.

    Raises EngineError: unknown engine, missing runtime (with the line that installs it), wrong format, or what it refuses.
    """
    require_known(name)
    module, cls, wants, package, install = ENGINES[name]
    if artifact.format != wants:
        raise EngineError(f"{name}: expected a {wants} artifact, got {artifact.format} ({artifact.variant})")
    try:
        factory = getattr(importlib.import_module(module), cls)
    except ImportError as error:
        raise EngineError(f"{name}: {package} cannot be imported ({error}); install it: {install}") from error
    return factory(artifact, dtype=dtype, threads=threads, device=device, context=context)
