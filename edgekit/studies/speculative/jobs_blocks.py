"""How far the logits of one text move with the number of tokens in a pass alone: arithmetic in another order, no draft."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekit.catalog import chat_template
from edgekit.decode import speculative
from edgekit.decode.sampling import Decoding
from edgekit.engines.base import Session
from edgekit.studies.speculative.jobs import opened


def measure_blocks(*, target: str, draft: str, engine: str, dtype: str, threads: int, device: str, domain: str, prompts: int,
                   blocks: list[int], max_new_tokens: int, seed: int, prompt_form: str = chat_template.PLAIN) -> dict:
    """A worker's job: for each prompt and each number of tokens in a pass, `block_noise` of the text of plain decoding.

    draft: "lookup", since only the target is opened. Raises EngineError as `opened` does.
    """
    decoding = Decoding(max_new_tokens)
    with opened(target, draft, engine, dtype, threads, device, domain, prompts, prompt_form, decoding, seed) as at:
        seen = []
        for item, prompt in at.prompts:
            text = speculative.generate(at.pair.target, None, prompt, at.pair.decoding).tokens
            single = logits_in_blocks(at.pair.target, prompt, text, 1)
            seen += [dict(metric="block_noise", value=noise(single, logits_in_blocks(at.pair.target, prompt, text, block)),
                          pass_tokens=block, item=item) for block in blocks]
        return at.answer(seen)


def logits_in_blocks(target: Session, prompt: Sequence[int], text: Sequence[int], block: int) -> np.ndarray:
    """Logits [tokens, vocabulary] behind each token of a text that is passed `block` tokens at a time, the prompt before it in
    one pass."""
    target.rollback(0)
    target.extend(prompt, last=1)
    return np.concatenate([target.extend(text[at:at + block]).copy() for at in range(0, len(text), block)])


def noise(single: np.ndarray, other: np.ndarray) -> float:
    """Root mean square of the difference of logits [tokens, vocabulary], over the standard deviation of the first; 0 where
    every bit is the same."""
    return float(np.sqrt(np.mean(np.square(other - single), dtype=np.float64)) / single.std(dtype=np.float64))
