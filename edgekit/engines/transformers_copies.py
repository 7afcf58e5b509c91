"""Several continuations of one text in a transformers model: the text is read once, and its cache copied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from transformers.cache_utils import Cache

from edgekit import progress
from edgekit.engines.base import require_room
from edgekit.engines.batch import GrowingLayer
from edgekit.engines.transformers import Transformers


class TransformersCopies:
    """See `parallel.Copies`. Copies that have ended leave the batch, since a row costs the same whether it is wanted or not."""

    def __init__(self, engine: Transformers):
        self.engine, self.info = engine, engine.info
        self.rows: list[int] = []

    @torch.inference_mode()
    def begin(self, prompt: Sequence[int], copies: int) -> np.ndarray:
        require_room(self.info, prompt, 1)
        self.cache = Cache(layer_class_to_replicate=GrowingLayer)
        logits = self._forward([list(prompt)])
        self.cache.batch_repeat_interleave(copies)
        self.rows = list(range(copies))
        return logits[0]

    @torch.inference_mode()
    def step(self, tokens: Mapping[int, int]) -> dict[int, np.ndarray]:
        kept = [place for place, row in enumerate(self.rows) if row in tokens]
        if len(kept) < len(self.rows):
            self.cache.batch_select_indices(torch.tensor(kept, device=self.engine.device))
            self.rows = [self.rows[place] for place in kept]
        logits = self._forward([[tokens[row]] for row in self.rows])
        return dict(zip(self.rows, logits, strict=True))

    def _forward(self, ids: list[list[int]]) -> np.ndarray:
        """Logits after the last token of each row: float32, (rows, vocabulary)."""
        logits = self.engine.model(torch.tensor(ids, device=self.engine.device), past_key_values=self.cache, use_cache=True,
                                   logits_to_keep=1).logits
        progress.step()
        return logits[:, -1].float().cpu().numpy()
