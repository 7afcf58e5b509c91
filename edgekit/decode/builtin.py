"""Speculative decoding as each runtime brings it, greedy, beside ours: tokens, and how often the target was asked for them.

Each is opened for one draft length and takes prompts of token ids. None of them tells its blocks, so what can be compared is
the text, its time, and the passes of the target; the mean of tokens a pass says how much was accepted.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence

from edgekit.catalog.engines import BUILTIN_SPECULATIVE
from edgekit.catalog.models import ModelSpec
from edgekit.compress.artifact import Artifact
from edgekit.engines.base import EngineError, EngineInfo, require_context
from edgekit.errors import unknown_name

LEAST_HEAD = 32  # size of a head, for vLLM on a CPU


class Native(ABC):
    """A runtime with its own loop. Close it to free the memory; also a context manager."""

    info: EngineInfo

    @abstractmethod
    def generate(self, prompt: Sequence[int], most: int, stop: Collection[int]) -> tuple[list[int], int]:
        """(greedy tokens, the stop token included where one ended them, passes of the target over them)."""

    def close(self) -> None:  # noqa: B027 (nothing to free in some)
        """Free the memory."""

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.close()


def require_known(name: str) -> None:
    """Raise EngineError for a name that is none of these loops."""
    if name not in BUILTIN_SPECULATIVE:
        raise EngineError(unknown_name("loop", name, BUILTIN_SPECULATIVE))


def base_of(name: str) -> str:
    """The engine of which a loop is the runtime. Raises EngineError."""
    require_known(name)
    return BUILTIN_SPECULATIVE[name].engine


def refusal(name: str, device: str, specs: Iterable[ModelSpec]) -> str | None:
    """Why a loop cannot run a pair, as far as that is known without its package; None where it may."""
    specs = list(specs)
    widths = [spec.architecture.vocabulary for spec in specs]
    if base_of(name) == "vllm" and len(set(widths)) > 1:
        return (f"{name}: {' and '.join(spec.name for spec in specs)} have vocabularies of {' and '.join(map(str, widths))} "
                "ids, and vLLM takes no draft that pads its own otherwise; our loop and transformers' do")
    for spec in specs if (base_of(name), device) == ("vllm", "cpu") else ():
        if spec.architecture.head_dim < LEAST_HEAD:
            return (f"{name}: {spec.name} has heads of size {spec.architecture.head_dim}; attention on a CPU needs "
                    f"{LEAST_HEAD} or more in vLLM")
    return None


def open_builtin(name: str, target: Artifact, draft: Artifact | None, *, length: int, dtype: str, threads: int, device: str,
                context: int, vocabulary: int) -> Native:
    """Load a pair into a runtime; `draft` None is its own n-gram lookup, `length` 0 plain decoding by the same code.

    Ids from `vocabulary` on, those with which the models pad theirs, are never written.

    Raises EngineError for an unknown name, or with what the runtime refuses.
    """
    require_known(name)
    for artifact in filter(None, (target, draft)):
        require_context(name, artifact, context)
    entry = BUILTIN_SPECULATIVE[name]
    return getattr(importlib.import_module(entry.module), entry.cls)(target, draft, length=length, dtype=dtype,
                                                                     threads=threads, device=device, context=context,
                                                                     vocabulary=vocabulary)
