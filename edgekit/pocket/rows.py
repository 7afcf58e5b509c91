"""Training data: rows of packed texts, each a pure function of the seed, the split and its number."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import numpy as np

from edgekit.pocket import language

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ROW_TOKENS = 256


def draw_rows(
    tokenizer: PreTrainedTokenizerFast,
    *,
    split: str,
    seed: int,
    first: int,
    rows: int,
    max_depth: int,
    mixture: language.Mixture = language.EARLY,
) -> tuple[np.ndarray, np.ndarray]:
    """Packed texts: token ids and a mask that is true on prompt tokens, both (rows, ROW_TOKENS).

    Row r, counted from `first`, is a pure function of (seed, split, r, max_depth, mixture). It starts at the start of a
    text, in half of the rows after an end token, and runs on over text borders.
    """
    encode = tokenizer.backend_tokenizer.encode
    end = tokenizer.eos_token_id
    ids = np.empty((rows, ROW_TOKENS), dtype=np.int64)
    in_prompt = np.empty((rows, ROW_TOKENS), dtype=bool)
    for row in range(rows):
        rng = Random(f"{seed}/{split}/{first + row}")
        row_ids: list[int] = [end] if rng.random() < 0.5 else []
        row_mask = [False] * len(row_ids)
        while len(row_ids) < ROW_TOKENS:
            text = language.draw_text(rng, split=split, max_depth=max_depth, mixture=mixture)
            given, whole = encode(text.prompt).ids, encode(text.prompt + text.completion).ids
            row_ids += [*whole, end]
            row_mask += [True] * len(given) + [False] * (len(whole) - len(given) + 1)
        ids[row], in_prompt[row] = row_ids[:ROW_TOKENS], row_mask[:ROW_TOKENS]
    return ids, in_prompt
