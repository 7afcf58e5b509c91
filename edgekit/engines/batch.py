"""Many continuations at once with a transformers model: for answers that are counted and not timed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import torch
import transformers
from transformers.cache_utils import Cache, DynamicLayer

from edgekit import progress

ROOM = 64  # tokens by which a full cache grows
BATCH = 128  # a larger one has more rows that wait for its longest


class GrowingLayer(DynamicLayer):
    """Keys and values in memory that is larger than they are: the library's own layer copies all of them at every token."""

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.dtype, self.device = key_states.dtype, key_states.device
        self.keys, self.values, self._memory = key_states[:, :, :0], value_states[:, :, :0], None
        self.is_initialized = True

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args,
               **kwargs) -> tuple[torch.Tensor, torch.Tensor]:
        """All keys and values so far, (rows, heads, tokens, head_dim) each, the new ones at the end."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        old = self.keys.shape[2]
        new = old + key_states.shape[2]
        if self._memory is None or self._memory[0].shape[2] < new:
            memory = [states.new_empty((*states.shape[:2], new + ROOM, states.shape[3]))
                      for states in (key_states, value_states)]
            for larger, kept in zip(memory, (self.keys, self.values), strict=True):
                larger[:, :, :old] = kept
            self._memory = memory
        for memory, states in zip(self._memory, (key_states, value_states), strict=True):
            memory[:, :, old:new] = states
        self.keys, self.values = (memory[:, :, :new] for memory in self._memory)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep only these rows."""
        super().batch_select_indices(indices)
        self._memory = None

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Each row so many times."""
        super().batch_repeat_interleave(repeats)
        self._memory = None


def continue_all(model: transformers.PreTrainedModel, prompts: Sequence[Sequence[int]], most: int, stop: Collection[int],
                 pick: Callable[[torch.Tensor, list[int], int], torch.Tensor], keep_stop: bool = False,
                 ended: Callable[[Sequence[int]], bool] | None = None, room: int | None = None) -> list[list[int]]:
    """As `continue_batch`, for any number of prompts: those of like length share a batch. room: tokens that a batch may hold;
    None for no such limit."""
    outputs: list[list[int]] = [[] for _ in prompts]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    at_once = BATCH if room is None or not prompts else min(BATCH, max(1, room // (len(prompts[order[-1]]) + most)))
    for start in range(0, len(order), at_once):
        chosen = order[start:start + at_once]
        made = continue_batch(model, [prompts[i] for i in chosen], most, stop,
                              lambda logits, rows, step, chosen=chosen: pick(logits, [chosen[row] for row in rows], step),
                              keep_stop, ended)
        for i, tokens in zip(chosen, made, strict=True):
            outputs[i] = tokens
    return outputs


@torch.inference_mode()
def continue_batch(model: transformers.PreTrainedModel, prompts: Sequence[Sequence[int]], most: int, stop: Collection[int],
                   pick: Callable[[torch.Tensor, list[int], int], torch.Tensor], keep_stop: bool = False,
                   ended: Callable[[Sequence[int]], bool] | None = None) -> list[list[int]]:
    """Continuations of token ids, padded on the left, each cut before its first token in `stop` (behind it with `keep_stop`),
    at `most` tokens, or where `ended` is true of what was written.

    pick(logits, rows, step): the next token (len(rows), 1) of the prompts numbered `rows` from their logits (len(rows),
    vocabulary). Rows that have ended leave the batch, an eighth of them at a time.
    """
    device, longest = model.device, max(map(len, prompts))
    token = torch.tensor([[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts], device=device)
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
    position = (mask.cumsum(-1) - 1).clamp(min=0)
    stops = torch.tensor(sorted(stop), device=device)
    rows, outputs = torch.arange(len(prompts)), [[] for _ in prompts]
    going = torch.ones(len(prompts), dtype=torch.bool, device=device)
    cache = Cache(layer_class_to_replicate=GrowingLayer)
    for step in range(most):
        logits = model(token, attention_mask=mask, position_ids=position, past_key_values=cache, use_cache=True,
                       logits_to_keep=1).logits
        token = pick(logits[:, -1], rows.tolist(), step)
        progress.step()
        went = going
        going = going & ~torch.isin(token[:, 0], stops)
        written = went if keep_stop else going
        for row, picked, goes in zip(rows.tolist(), token[:, 0].tolist(), written.tolist(), strict=True):
            if goes:
                outputs[row].append(picked)
        if ended is not None:
            done = [ended(outputs[row]) for row in rows.tolist()]
            going = going & ~torch.tensor(done, device=device)
        if not going.any():
            break
        mask, position = torch.cat([mask, torch.ones_like(token)], dim=1), position[:, -1:] + 1
        if going.sum() <= len(going) * 7 / 8:
            kept = going.nonzero()[:, 0]
            cache.batch_select_indices(kept)
            token, mask, position, going, rows = token[kept], mask[kept], position[kept], going[kept], rows[kept.cpu()]
    return outputs


def greedy(logits: torch.Tensor, rows: list[int], step: int) -> torch.Tensor:
    """The likeliest token of each row: (rows, 1)."""
    return logits.argmax(-1, keepdim=True)
