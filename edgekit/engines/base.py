"""What every engine is: an artifact in memory that scores tokens and streams tokens.

Engines take and give token ids only. Text is the tokenizer's business, so that two engines given the same ids did the same
work, and lengths are counted from ids. Clocks stand outside (edgekit.measure): a stream's first step is prefill and the
first token, each later step is one decode step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit import progress
from edgekit.catalog.engines import ENGINES, take_back
from edgekit.compress import checkpoint
from edgekit.compress.artifact import Artifact
from edgekit.errors import InvalidRequest

if TYPE_CHECKING:
    import numpy as np


class EngineError(InvalidRequest):
    """An engine is unknown, missing, or refuses what it is given; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Step:
    """One token out of a stream."""

    token: int


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Which code runs on what. Bytes and counts come from the artifact and the engine, not from tables.

    kernel: what does the arithmetic, in the runtime's own words. kv_bytes_per_token: keys and values of one position, in
    all layers. provider_asked, provider: of a runtime that hands its graph to one of several back ends, the one that was asked
    for and what ran, with the share of each where there were several; "" in engines that have no such choice.
    """

    name: str
    version: str
    kernel: str
    device: str
    dtype: str
    threads: int
    vocabulary: int
    context: int
    kv_bytes_per_token: int
    provider_asked: str = ""
    provider: str = ""

    def what_ran(self) -> dict[str, str]:
        """The coordinates that tell a row of this engine what ran: its kernel, and where there was a choice the provider."""
        chosen = dict(provider_asked=self.provider_asked, provider=self.provider) if self.provider_asked else {}
        return dict(kernel=self.kernel, **chosen)


def uniforms(seed: int, prompts: int, tokens: int) -> np.ndarray:
    """The numbers in [0, 1) that sampling uses: (prompts, tokens). A prompt's do not depend on how many there are."""
    import numpy as np

    return np.stack([np.random.default_rng([seed, i]).random(tokens) for i in range(prompts)])


def require_context(name: str, artifact: Artifact, context: int) -> None:
    """Raise EngineError for a context longer than the model was made for: positions that it never saw give no error, only
    other text."""
    if context > (held := artifact.spec.architecture.context):
        raise EngineError(f"{name}: a context of {context} tokens asked, {artifact.variant} was made for {held}")


def require_stored(name: str, artifact: Artifact, stored: str, dtype: str) -> None:
    """Raise EngineError unless an artifact's matrices are `stored` as the `dtype` that is asked for."""
    if stored != dtype:
        raise EngineError(f"{name}: {artifact.variant} in {dtype} asked, its matrices are stored as {stored}; name what it "
                          f"holds, or build it with {ENGINES[name].steps.get(dtype, 'another step')}")


def require_room(info: EngineInfo, prompt: Sequence[int], max_new_tokens: int) -> None:
    """Raise EngineError if prompt and output do not fit the context, or if an id is not of the vocabulary."""
    if not prompt:
        raise EngineError(f"{info.name}: expected at least one prompt token, got none")
    if len(prompt) + max_new_tokens > info.context:
        raise EngineError(f"{info.name}: {len(prompt)} prompt and {max_new_tokens} new tokens exceed the context of "
                          f"{info.context} that it was opened with")
    if not all(0 <= token < info.vocabulary for token in prompt):
        raise EngineError(f"{info.name}: prompt ids must be in 0..{info.vocabulary - 1}")


def require_range(engine: str, artifact: Artifact, dtype: str) -> None:
    """Raise EngineError, in the name of `engine`, where `dtype` cannot hold the weights' values: they would be infinite."""
    if dtype == "float16" and (name := checkpoint.beyond_half(artifact.path)):
        raise EngineError(f"{engine}: {name} of {artifact.variant} has values beyond float16's 65504; open it with dtype "
                          "bfloat16 "
                          "or float32")


class Session(ABC):
    """A text that an engine holds with the cache behind it, and that grows at its end and shrinks from it.

    length: tokens held. What `extend` returns may lie in the engine's own memory: it is valid until the next call.
    """

    length = 0

    def __init__(self, info: EngineInfo):
        self.info = info

    def extend(self, tokens: Sequence[int], last: int | None = None) -> np.ndarray:
        """Append k >= 1 tokens in one pass. Logits after each of the `last` of them (all by default, at least 1): float32,
        (last, vocabulary).

        Raises EngineError for no token, or for more than the context has room for.
        """
        k = len(tokens)
        if not k or self.length + k > self.info.context:
            raise EngineError(f"{self.info.name}: expected 1 to {self.info.context - self.length} more tokens (of a context of "
                              f"{self.info.context}, {self.length} are held), got {k}")
        logits = self._append(tokens, k if last is None else last)
        self.length += k
        progress.step()
        return logits

    def rollback(self, length: int) -> None:
        """Forget all but the first `length` tokens. Raises EngineError if fewer are held."""
        if not 0 <= length <= self.length:
            raise EngineError(f"{self.info.name}: cannot go back to {length} tokens, {self.length} are held")
        if length < self.length:
            self._cut(length)
            self.length = length

    @abstractmethod
    def _append(self, tokens: Sequence[int], last: int) -> np.ndarray:
        """The pass of `extend`."""

    @abstractmethod
    def _cut(self, length: int) -> None:
        """The cut of `rollback`, of at least one token."""


class Engine(ABC):
    """An artifact in memory. Close it to free the memory; also a context manager."""

    info: EngineInfo
    # Whether keys and values that the windows of local layers have left behind are dropped.
    forgets = True
    # Ids from this on are never written, whatever their logits: those with which a model pads its vocabulary. None: all are.
    writable: int | None = None

    @abstractmethod
    def score(self, tokens: Sequence[int]) -> np.ndarray:
        """Logits after each of the n tokens: float32, (n, vocabulary)."""

    @abstractmethod
    def stream(self, prompt: Sequence[int], max_new_tokens: int) -> Iterator[Step]:
        """Greedy tokens after `prompt`, one `Step` each, exactly `max_new_tokens` of them: nothing stops it early."""

    def session(self) -> Session:
        """An empty text that can grow by blocks and be rolled back. Raises EngineError where the engine or model cannot."""
        raise EngineError(f"{self.info.name}: it cannot score a block of tokens and take some of them back, as speculative "
                          f"decoding needs; engines that can: {', '.join(take_back())}")

    def sync(self) -> None:  # noqa: B027 (most engines return finished)
        """Wait until the device has finished what was asked of it. A no-op where calls return finished."""

    def device_memory_bytes(self) -> int | None:
        """Most memory that this process held on the GPU; None where the engine runs on the host or cannot tell."""
        return None

    def close(self) -> None:  # noqa: B027 (nothing to free in some)
        """Free the memory."""

    def generate(self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop: Collection[int], *,
                 keep_stop: bool = False, ended: Callable[[Sequence[int]], bool] | None = None) -> list[list[int]]:
        """Greedy continuations, each cut before its first token in `stop`, behind it with `keep_stop`, or at `max_new_tokens`.

        ended: whether nobody needs more than these tokens; an engine may then end the text there, and saves the rest.
        """
        outputs = []
        for prompt in prompts:
            tokens = []
            for step in self.stream(prompt, max_new_tokens):
                progress.step()
                if keep_stop or step.token not in stop:
                    tokens.append(step.token)
                if step.token in stop or (ended is not None and ended(tokens)):
                    break
            outputs.append(tokens)
        return outputs

    def sample(self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop: Collection[int],
               seed: int, *, keep_stop: bool = False) -> list[list[int]]:
        """Continuations drawn from the model's own distribution (temperature 1, no cut), each ended as in `generate`.

        Token t of prompt i is the inverse of the cumulative distribution at the number (i, t) of `uniforms`, so engines with
        equal logits draw equal tokens.
        """
        import numpy as np

        outputs = []
        for prompt, row in zip(prompts, uniforms(seed, len(prompts), max_new_tokens), strict=True):
            tokens: list[int] = []
            for u in row:
                logits = self.score([*prompt, *tokens])[-1, :self.writable].astype(np.float64)
                progress.step()
                cumulative = np.exp(logits - logits.max()).cumsum()
                token = min(int(np.searchsorted(cumulative, u * cumulative[-1], side="right")), len(cumulative) - 1)
                if keep_stop or token not in stop:
                    tokens.append(token)
                if token in stop:
                    break
            outputs.append(tokens)
        return outputs

    def require_room(self, prompt: Sequence[int], max_new_tokens: int) -> None:
        """Raise EngineError if prompt and output do not fit the context that the engine was opened with."""
        require_room(self.info, prompt, max_new_tokens)

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.close()
