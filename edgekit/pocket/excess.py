"""Loss on prose above its true entropy: how much of what can be known of the grammar a model does not know.

Every story's own log-probability is known from its derivation, so the excess is computed story by story, with far less noise
than a loss minus an average entropy.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from edgekit.pocket import language

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast


@dataclass(frozen=True)
class Prose:
    """Stories as tokens. `ids` (stories, length), `scored` true on the tokens of the story and its end, not on the marker
    before it; `log_p` (stories,): what the grammar gives them, in nats."""

    ids: torch.Tensor
    scored: torch.Tensor
    log_p: np.ndarray

    @property
    def tokens(self) -> np.ndarray:
        """Scored tokens of each story: (stories,)."""
        return self.scored.sum(1).numpy()

    def excess(self, model: LlamaForCausalLM, batch: int = 32) -> np.ndarray:
        """Negative log-likelihood of each story less its true one, in nats: (stories,). Its mean is a KL divergence."""
        import torch

        found = []
        with torch.inference_mode():
            for ids, scored in zip(self.ids.split(batch), self.scored.split(batch), strict=True):
                logits = model(input_ids=ids[:, :-1].to(model.device), use_cache=False).logits.float().cpu()
                losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
                found.append((losses * scored[:, 1:]).sum(1).double().numpy())
        return np.concatenate(found) + self.log_p


def draw_prose(tokenizer: PreTrainedTokenizerFast, *, split: str, seed: int, count: int) -> Prose:
    """Draw `count` stories of a split. Those that do not fit the context (about one in 10,000) are drawn again."""
    import torch

    rng = Random(f"prose/{seed}/{split}")
    end = tokenizer.eos_token_id
    rows, given, log_ps = [], [], []
    while len(rows) < count:
        text, log_p = language.draw_prose(rng, split=split)
        before = tokenizer.backend_tokenizer.encode(text.prompt).ids
        ids = [*tokenizer.backend_tokenizer.encode(text.prompt + text.completion).ids, end]
        if len(ids) <= tokenizer.model_max_length:
            rows.append(ids)
            given.append(len(before))
            log_ps.append(log_p)
    ids = torch.full((count, max(map(len, rows))), end)
    scored = torch.zeros_like(ids, dtype=torch.bool)
    for i, (row, first) in enumerate(zip(rows, given, strict=True)):
        ids[i, : len(row)] = torch.tensor(row)
        scored[i, first : len(row)] = True
    return Prose(ids, scored, np.array(log_ps))
