"""The members of the family: Llama architectures of four sizes, each about four times the one before.

Widths are multiples of 64, those of the two larger ones of 128, and their head counts lose a whole number of heads at
20 %. The output head is the embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Literal

from edgekit.errors import InvalidRequest, unknown_name
from edgekit.pocket.tokenizer import CONTEXT, VOCABULARY

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM


class SizeError(InvalidRequest):
    """No family member of that name; the message lists the known ones."""


@dataclass(frozen=True, slots=True)
class Size:
    """One member of the family: its shape and how it is trained unless told otherwise."""

    width: int
    layers: int
    heads: int
    head_dim: int
    intermediate: int
    steps: int  # of one cycle
    tokens_per_step: int
    peak_lrs: tuple[float, ...]  # of each cycle
    stored: Literal["float32", "bfloat16"]

    @property
    def cycles(self) -> int:
        """How often the learning rate rises and falls."""
        return len(self.peak_lrs)


# After a second cycle the smallest thinks nearly as well as the next one: what tells the sizes apart is training in
# proportion, as it does for real families. The largest needs a third one to do sums in its head.
SIZES = {
    "pocket-200k": Size(64, 3, 4, 16, 128, steps=1800, tokens_per_step=4096, peak_lrs=(6e-3,), stored="float32"),
    "pocket-900k": Size(128, 4, 4, 32, 384, steps=1800, tokens_per_step=4096, peak_lrs=(5e-3, 2.5e-3), stored="float32"),
    "pocket-3m": Size(320, 3, 10, 32, 576, steps=900, tokens_per_step=8192, peak_lrs=(4e-3, 2e-3), stored="bfloat16"),
    "pocket-10m": Size(640, 3, 10, 64, 768, steps=900, tokens_per_step=8192, peak_lrs=(3e-3, 1.5e-3, 3e-3), stored="bfloat16"),
}


def known_size(name: str) -> Size:
    """The shape of a family member. Raises SizeError, listing the known names."""
    if name not in SIZES:
        raise SizeError(unknown_name("pocket model", name, SIZES))
    return SIZES[name]


def build_model(size: Size, seed: int) -> LlamaForCausalLM:
    """A fresh model with weights drawn from `seed`; the caller's random state is left as it was."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=size.width,
        intermediate_size=size.intermediate,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        head_dim=size.head_dim,
        max_position_embeddings=CONTEXT,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
        initializer_range=0.5 / sqrt(size.width),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)
