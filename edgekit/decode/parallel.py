"""Several samples of one question at a time: the prompt is read once, its cache copied, and every pass writes a token of each.

Which token: the likeliest, or one drawn from the model's distribution. Engines that hold copies of a text are named in COPIES;
others batch prompts that happen to be alike, which reads each of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np

from edgekit import engines
from edgekit.compress.artifact import Artifact
from edgekit.decode.budgets import Written
from edgekit.decode.sampling import Decoding, draw
from edgekit.engines.base import Engine, EngineError, EngineInfo, require_room

COPIES = {"transformers": "edgekit.decode.parallel:_of_transformers", "llama_cpp": "edgekit.decode.parallel:_of_llama_cpp"}


BATCHING = ("vllm",)  # they write many texts at a time, each from its own prompt


class Copies(Protocol):
    """One text that goes on in several ways, numbered from 0."""

    info: EngineInfo

    def begin(self, prompt: Sequence[int], copies: int) -> np.ndarray:
        """Read a prompt, in place of all that was held; logits after it: (vocabulary,)."""

    def step(self, tokens: Mapping[int, int]) -> dict[int, np.ndarray]:
        """Append a token to some copies in one pass; logits after each. A copy that is left out once has ended."""


def refusal(engine: str) -> str | None:
    """Why no samples can be drawn in parallel from an engine; None where they can."""
    return None if engine in COPIES else (f"{engine}: it does not hand out the logits of several copies of a text, from which "
                                          f"samples are drawn; engines that do: {', '.join(COPIES)}")


def refusal_to_time(engine: str) -> str | None:
    """Why several samples of an engine cannot be timed; None where they can."""
    return None if engine in (*COPIES, *BATCHING) else (
        f"{engine}: it answers one prompt after another; engines that write several samples at a time: "
        + ", ".join((*COPIES, *BATCHING)))


@contextmanager
def opened(name: str, artifact: Artifact, copies: int, *, dtype: str, threads: int, device: str,
           context: int) -> Iterator[tuple[Engine, Copies]]:
    """An engine with room for so many copies of a text of `context` tokens. Raises EngineError."""
    if why := refusal(name):
        raise EngineError(why)
    if copies < 1:
        raise EngineError(f"{name}: expected at least 1 copy of a text, got {copies}")
    module, function = COPIES[name].split(":")
    make = getattr(importlib.import_module(module), function)
    engine, made = make(artifact, copies, dict(dtype=dtype, threads=threads, device=device, context=context))
    with engine:
        yield engine, made


def _of_transformers(artifact: Artifact, copies: int, where: dict) -> tuple[Engine, Copies]:
    from edgekit.engines.transformers_copies import TransformersCopies

    engine = engines.open_engine("transformers", artifact, **where)
    return engine, TransformersCopies(engine)


def _of_llama_cpp(artifact: Artifact, copies: int, where: dict) -> tuple[Engine, Copies]:
    from edgekit.engines.llama_cpp import LlamaCpp
    from edgekit.engines.llama_cpp_texts import LlamaCppTexts

    engine = LlamaCpp(artifact, **where, sequences=copies)
    return engine, _Texts(LlamaCppTexts(engine))


class _Texts:
    """The texts of a llama.cpp cache as copies of one."""

    def __init__(self, texts):
        self.texts, self.info = texts, texts.info

    def begin(self, prompt: Sequence[int], copies: int) -> np.ndarray:
        if copies > len(self.texts.lengths):
            raise EngineError(f"{self.info.name}: {copies} copies asked, it was opened for {len(self.texts.lengths)}")
        require_room(self.info, prompt, 1)
        for text in range(len(self.texts.lengths)):
            self.texts.rollback(text, 0)
        logits = self.texts.extend({0: prompt}, {0: 1})[0][0].copy()
        self.texts.copy(0, range(1, copies))
        return logits

    def step(self, tokens: Mapping[int, int]) -> dict[int, np.ndarray]:
        found = self.texts.extend({i: (token,) for i, token in tokens.items()}, dict.fromkeys(tokens, 1))
        return {i: logits[0] for i, logits in found.items()}


def turns(copies: Copies, prompt: Sequence[int], count: int, decoding: Decoding,
          uniforms: np.ndarray | None = None) -> Iterator[dict[int, int]]:
    """The token of each copy that goes on, pass by pass; the first pass reads the prompt. Ended copies are left out.

    uniforms: (count, tokens), the numbers in [0, 1) that draw tokens at a temperature above 0. Raises EngineError.
    """
    require_room(copies.info, prompt, decoding.max_new_tokens)
    decoding.require_known(copies.info)
    if decoding.temperature and (uniforms is None or uniforms.shape != (count, decoding.max_new_tokens)):
        raise EngineError(f"samples: expected uniform numbers of shape {(count, decoding.max_new_tokens)} to draw with, got "
                          f"{None if uniforms is None else uniforms.shape}")
    first = copies.begin(prompt, count)
    logits = dict.fromkeys(range(count), first)
    for step in range(decoding.max_new_tokens):
        tokens = {i: _pick(row, decoding, uniforms, i, step) for i, row in logits.items()}
        left = yield tokens
        going = {i: token for i, token in tokens.items() if token not in decoding.stop and i not in (left or ())}
        if not going or step + 1 == decoding.max_new_tokens:
            return
        logits = copies.step(going)


def _pick(logits: np.ndarray, decoding: Decoding, uniforms: np.ndarray | None, copy: int, step: int) -> int:
    if not decoding.temperature:
        return int(logits[:decoding.vocabulary].argmax())
    return draw(decoding.distribution(logits), float(uniforms[copy, step]))


def samples(copies: Copies, prompt: Sequence[int], count: int, decoding: Decoding, uniforms: np.ndarray | None = None,
            ended: Callable[[Sequence[int]], bool] | None = None) -> list[Written]:
    """`count` continuations of one prompt, each to its stop token, to where `ended` says so, or to the limit."""
    texts: list[list[int]] = [[] for _ in range(count)]
    done: set[int] = set()
    passes = turns(copies, prompt, count, decoding, uniforms)
    tokens = next(passes)
    while True:
        for i, token in tokens.items():
            texts[i].append(token)
            if token in decoding.stop or (ended is not None and ended(texts[i])):
                done.add(i)
        try:
            tokens = passes.send(done)
        except StopIteration:
            return [Written(text, i in done) for i, text in enumerate(texts)]
