"""Assisted generation of Hugging Face transformers: `generate` with an assistant model, or with its prompt lookup."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
import transformers

from edgekit.compress.artifact import Artifact
from edgekit.decode.builtin import Native
from edgekit.engines.transformers import Transformers


def _cut(model: transformers.PreTrainedModel, vocabulary: int) -> None:
    """Leave a model its first `vocabulary` ids: `generate` takes no assistant whose vocabulary is padded to another size."""
    if model.config.vocab_size > vocabulary:
        model.resize_token_embeddings(vocabulary)


class Assisted(Native):
    """`generate(assistant_model=…)` with a constant number of drafted tokens and no confidence threshold, as ours drafts."""

    def __init__(self, target: Artifact, draft: Artifact | None, *, length: int, dtype: str, threads: int, device: str,
                 context: int, vocabulary: int):
        where = dict(dtype=dtype, threads=threads, device=device, context=context)
        self.target = Transformers(target, **where)
        _cut(self.target.model, vocabulary)
        self.options: dict = {}
        if length and draft is None:
            self.options = dict(prompt_lookup_num_tokens=length)
        elif length:
            assistant = Transformers(draft, **where).model
            _cut(assistant, vocabulary)
            assistant.generation_config.num_assistant_tokens = length
            assistant.generation_config.num_assistant_tokens_schedule = "constant"
            assistant.generation_config.assistant_confidence_threshold = 0.0
            self.options = dict(assistant_model=assistant)
        self.info = self.target.info
        self.passes = 0
        self.target.model.register_forward_pre_hook(self._count)

    def _count(self, *_) -> None:
        self.passes += 1

    @torch.inference_mode()
    def generate(self, prompt: Sequence[int], most: int, stop: Collection[int]) -> tuple[list[int], int]:
        self.target.require_room(prompt, most)
        ids = torch.tensor([list(prompt)], device=self.target.device)
        self.passes = 0
        made = self.target.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=most, do_sample=False,
                                          eos_token_id=sorted(stop), pad_token_id=min(stop), **self.options)
        return made[0, len(prompt):].tolist(), self.passes

    def close(self) -> None:
        self.options = {}
        self.target.close()
