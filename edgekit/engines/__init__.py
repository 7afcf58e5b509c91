"""Engines by name: each loads an artifact, scores tokens and streams tokens. None of them times itself.

An engine's module is imported when it is opened, so that a missing runtime is a reason and not an import error. What is known
of each stands in edgekit.catalog.engines.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from contextvars import ContextVar

from edgekit import provenance
from edgekit.catalog.engines import ENGINES, take_back
from edgekit.compress.artifact import ELEMENT_BYTES, Artifact
from edgekit.engines import builds, probe
from edgekit.engines.base import Engine, EngineError, require_context
from edgekit.errors import unknown_name

_ASSUMED: ContextVar[bool] = ContextVar("assumed", default=False)


@contextlib.contextmanager
def assumed(elsewhere: bool = True) -> Iterator[None]:
    """Whether meanwhile a plan is made for another machine, which cannot be asked: every engine then counts as there."""
    token = _ASSUMED.set(elsewhere)
    try:
        yield
    finally:
        _ASSUMED.reset(token)


def are_assumed() -> bool:
    """Whether engines and sensors are taken to be there, as `assumed` says."""
    return _ASSUMED.get()


def require_known(name: str) -> None:
    """Raise EngineError for a name that is not an engine's."""
    if name not in ENGINES:
        raise EngineError(unknown_name("engine", name, ENGINES))


def formats(engine: str) -> tuple[str, ...]:
    """The formats of artifacts that an engine loads."""
    require_known(engine)
    return ENGINES[engine].formats


def variant_for(engine: str, model: str, weights: str) -> str:
    """The chain that gives `model` in a format that `engine` loads, its weights stored as `weights`: a float type, or one of
    the runtime's own roundings. Raises EngineError for weights that the engine's own format does not hold."""
    offered = weights_of(engine)
    if weights not in offered:
        raise EngineError(f"{engine}: " + unknown_name("weights", weights, offered))
    step = ENGINES[engine].steps.get(weights)
    return f"{model} > {step}" if step else model


def weights_of(engine: str) -> tuple[str, ...]:
    """What the weights of an engine's own formats may be stored as: float types, and its own roundings."""
    plain = ELEMENT_BYTES if "safetensors" in formats(engine) else ()
    return tuple(dict.fromkeys([*plain, *ENGINES[engine].steps]))


def version(engine: str) -> str | None:
    """Package and version behind an engine; None if it is not installed."""
    require_known(engine)
    found = ((package, provenance.installed(package)) for package in ENGINES[engine].runtime.packages)
    return next((f"{package} {version}" for package, version in found if version is not None), None)


def runtime(engine: str) -> str:
    """Package, version and build behind an engine: rows of one are not rows of the next. "absent" if it is not installed. The
    build is left out where it goes without saying (see builds.py)."""
    if are_assumed():
        return "assumed"
    found = version(engine)
    if found is None:
        return f"{ENGINES[engine].runtime.packages[0]} absent"
    build = builds.words(ENGINES[engine].runtime)
    return found + f" [{build}]" * bool(build)


def absence(engine: str, format: str | None = None) -> str | None:
    """Why an engine's units cannot run on this machine, and what changes that; None where they can.

    Its package is not installed, or the build that is has no kernel for `format` (by default for plain weights) on this
    processor.
    """
    if are_assumed():
        return None
    behind = ENGINES[engine].runtime
    if version(engine) is None:
        return f"{engine}: {' or '.join(behind.packages)} is not installed; install it: {behind.install()}"
    return probe.missing(engine, format or formats(engine)[0])


def no_rollback(engine: str) -> str | None:
    """Why an engine cannot take part in our speculative decoding; None where it can."""
    require_known(engine)
    return None if ENGINES[engine].takes_back else (
        f"{engine}: it cannot score a block of tokens and take some of them back, as speculative decoding needs; engines that "
        f"can: {', '.join(take_back())}")


def open_engine(name: str, artifact: Artifact, *, dtype: str, threads: int, device: str, context: int) -> Engine:
    """Load `artifact` into an engine. `context`: the longest prompt plus output, in tokens.

    Raises EngineError: unknown engine, missing runtime (with the line that installs it), wrong format, a context past the
    model's, or what it refuses.
    """
    require_known(name)
    entry = ENGINES[name]
    if artifact.format not in entry.formats:
        raise EngineError(f"{name}: expected a {' or '.join(entry.formats)} artifact, got {artifact.format} "
                          f"({artifact.variant})")
    require_context(name, artifact, context)
    try:
        factory = getattr(importlib.import_module(entry.module), entry.cls)
    except ImportError as error:
        raise EngineError(f"{name}: {' or '.join(entry.runtime.packages)} cannot be imported ({error}); install it: "
                          f"{entry.runtime.install()}") from error
    return factory(artifact, dtype=dtype, threads=threads, device=device, context=context)
