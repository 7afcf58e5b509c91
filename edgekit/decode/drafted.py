"""An engine whose greedy texts are written with a draft: for whatever asks an engine, a task say, and not a pair."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np

from edgekit.decode.sampling import Decoding
from edgekit.decode.speculative import Drafter, speculate
from edgekit.engines.base import Engine, Step


class Drafted(Engine):
    """`engine` with a drafter. Only `generate` and `stream` draft; scores are the engine's own.

    vocabulary: ids that both have; those from it on are never written. The engine stays its owner's to close.
    """

    def __init__(self, engine: Engine, drafter: Drafter, vocabulary: int | None):
        self.engine, self.drafter, self.writable, self.info = engine, drafter, vocabulary, engine.info

    def score(self, tokens: Sequence[int]) -> np.ndarray:
        return self.engine.score(tokens)

    def stream(self, prompt: Sequence[int], max_new_tokens: int) -> Iterator[Step]:
        for block in self._blocks(prompt, Decoding(max_new_tokens, vocabulary=self.writable)):
            yield from map(Step, block)

    def generate(self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop: Collection[int], *,
                 keep_stop: bool = False, ended: Callable[[Sequence[int]], bool] | None = None) -> list[list[int]]:
        """As Engine.generate; drafts do not reach over a stop token."""
        decoding = Decoding(max_new_tokens, frozenset(stop), vocabulary=self.writable)
        return [self._text(prompt, decoding, keep_stop, ended) for prompt in prompts]

    def _text(self, prompt: Sequence[int], decoding: Decoding, keep_stop: bool,
              ended: Callable[[Sequence[int]], bool] | None) -> list[int]:
        tokens: list[int] = []
        for block in self._blocks(prompt, decoding):
            for token in block:
                if keep_stop or token not in decoding.stop:
                    tokens.append(token)
                if token in decoding.stop or (ended is not None and ended(tokens)):
                    return tokens
        return tokens

    def _blocks(self, prompt: Sequence[int], decoding: Decoding) -> Iterator[list[int]]:
        session = self.engine.session()  # a score in between has ended the one before
        return (block.tokens for block in speculate(session, self.drafter, prompt, decoding))
