"""Several texts in one llama.cpp context, each a sequence of its own in the cache, all decoded in one call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from llama_cpp import llama_cpp as c

from edgekit import progress
from edgekit.engines.base import EngineError
from edgekit.engines.llama_cpp import Batch, LlamaCpp


class LlamaCppTexts:
    """The texts of an engine that was opened with several `sequences`; a stream, a score or a session of it ends them."""

    def __init__(self, engine: LlamaCpp):
        self.engine, self.info = engine, engine.info
        self.lengths = [0] * engine.sequences
        self.text = engine.begin_text()
        self.batch = Batch(engine.info.context * engine.sequences)

    def extend(self, parts: Mapping[int, Sequence[int]], last: Mapping[int, int]) -> dict[int, np.ndarray]:
        """See `together.Texts`. Raises EngineError for no token, or for more than a text has room for."""
        self._require_texts()
        end, rows, found = 0, 0, {}
        for text, tokens in parts.items():
            k, held = len(tokens), self.lengths[text]
            if not 1 <= k <= self.info.context - held or not 1 <= last[text] <= k:
                raise EngineError(f"{self.info.name}: expected 1 to {self.info.context - held} more tokens of text {text} and "
                                  f"at most as many rows of logits, got {k} and {last[text]}")
            start, end = end, self.batch.fill(end, tokens, held, last[text])
            for i in range(start, end):
                self.batch.batch.seq_id[i][0] = text
            found[text] = slice(rows, rows + last[text])
            rows += last[text]
        self.engine.decode(self.batch.of(end))
        logits = np.ctypeslib.as_array(c.llama_get_logits(self.engine.context), shape=(rows, self.info.vocabulary))
        for text, tokens in parts.items():
            self.lengths[text] += len(tokens)
        progress.step()
        return {text: logits[part] for text, part in found.items()}

    def rollback(self, text: int, length: int) -> None:
        """See `together.Texts`. Raises EngineError if fewer tokens are held."""
        self._require_texts()
        if not 0 <= length <= self.lengths[text]:
            raise EngineError(f"{self.info.name}: cannot go back to {length} tokens of text {text}, {self.lengths[text]} are "
                              "held")
        if length < self.lengths[text]:
            if not c.llama_memory_seq_rm(self.engine.memory, text, length, -1):
                raise EngineError(f"llama_cpp: this model's cache cannot go back to {length} tokens")
            self.lengths[text] = length

    def copy(self, text: int, others: Iterable[int]) -> None:
        """Let other texts, which lose what they held, begin as this one does."""
        self._require_texts()
        for other in others:
            self.rollback(other, 0)
            c.llama_memory_seq_cp(self.engine.memory, text, other, -1, -1)
            self.lengths[other] = self.lengths[text]

    def _require_texts(self) -> None:
        if self.engine.texts != self.text:
            raise EngineError("llama_cpp: these texts are gone, for another call used the engine's cache: begin new ones")
