"""What every engine is: an artifact in memory that scores tokens and streams tokens.

Engines take and give token ids only. Text is the tokenizer's business, so that two engines given the same ids did the same
work, and lengths are counted from ids. Clocks stand outside (edgekit.measure): a stream's first step is prefill and the
first token, each later step is one decode step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


class EngineError(RuntimeError):
    """An engine is unknown, missing, or refuses what it is given; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Step:
    """One token out of a stream."""

    token: int


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Which code runs on what. Bytes and counts come from the artifact and the engine, not from tables.

    kernel: what does the arithmetic, in the runtime's own words. kv_bytes_per_token: keys and values of one position.
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


def uniforms(seed: int, prompts: int, tokens: int) -> np.ndarray:
    """The numbers in [0, 1) that sampling uses: (prompts, tokens). A prompt's do not depend on how many there are."""
    import numpy as np

    return np.stack([np.random.default_rng([seed, i]).random(tokens) for i in range(prompts)])


class Engine(ABC):
    """An artifact in memory. Close it to free the memory; also a context manager."""

    info: EngineInfo

    @abstractmethod
    def score(self, tokens: Sequence[int]) -> np.ndarray:
        """Logits after each of the n tokens: float32, (n, vocabulary)."""

    @abstractmethod
    def stream(self, prompt: Sequence[int], max_new_tokens: int) -> Iterator[Step]:
        """Greedy tokens after `prompt`, one `Step` each, exactly `max_new_tokens` of them: nothing stops it early."""

    def sync(self) -> None:  # noqa: B027 (most engines return finished)
        """Wait until the device has finished what was asked of it. A no-op where calls return finished."""

    def device_memory_bytes(self) -> int | None:
        """Most memory that this process held on the GPU; None where the engine runs on the host or cannot tell."""
        return None

    def close(self) -> None:  # noqa: B027 (nothing to free in some)
        """Free the memory."""

    def generate(self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop: Collection[int]) -> list[list[int]]:
        """Greedy continuations, each cut before its first token in `stop` or at `max_new_tokens`."""
        outputs = []
        for prompt in prompts:
            tokens = []
            for step in self.stream(prompt, max_new_tokens):
                if step.token in stop:
                    break
                tokens.append(step.token)
            outputs.append(tokens)
        return outputs

    def sample(self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop: Collection[int],
               seed: int) -> list[list[int]]:
        """Continuations drawn from the model's own distribution (temperature 1, no cut), each ended as in `generate`.

        Token t of prompt i is the inverse of the cumulative distribution at the number (i, t) of `uniforms`, so engines with
        equal logits draw equal tokens.
        """
        import numpy as np

        outputs = []
        for prompt, row in zip(prompts, uniforms(seed, len(prompts), max_new_tokens), strict=True):
            tokens: list[int] = []
            for u in row:
                logits = self.score([*prompt, *tokens])[-1].astype(np.float64)
                cumulative = np.exp(logits - logits.max()).cumsum()
                token = min(int(np.searchsorted(cumulative, u * cumulative[-1], side="right")), len(cumulative) - 1)
                if token in stop:
                    break
                tokens.append(token)
            outputs.append(tokens)
        return outputs

    def require_room(self, prompt: Sequence[int], max_new_tokens: int) -> None:
        """Raise EngineError if prompt and output do not fit the context that the engine was opened with."""
        if not prompt:
            raise EngineError(f"{self.info.name}: expected at least one prompt token, got none")
        if len(prompt) + max_new_tokens > self.info.context:
            raise EngineError(f"{self.info.name}: {len(prompt)} prompt and {max_new_tokens} new tokens exceed the context of "
                              f"{self.info.context} that it was opened with")
        if not all(0 <= token < self.info.vocabulary for token in prompt):
            raise EngineError(f"{self.info.name}: prompt ids must be in 0..{self.info.vocabulary - 1}")

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.close()
