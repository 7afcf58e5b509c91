"""A decoder of the Llama kind: its numbers, and the tensors that they mean."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from edgekit.catalog import hf_config, hf_windows
from edgekit.catalog.hf_config import GEMMA

NORMED_HEADS = ("qwen3", GEMMA)  # families whose queries and keys are normed, head by head


@dataclass(frozen=True, slots=True)
class Architecture:
    """A decoder of the Llama kind, as published. Sizes count elements; `tied`: output head and embedding are one.

    family: transformers' model_type; a Mistral without windows is a Llama. activation: transformers' name of it. rope_scaling:
    what else than `rope_theta` says how positions rotate, as sorted pairs of transformers' names, `rope_type` among them; ()
    for plain rotations. window: tokens that a local layer attends to, its own included, with rotations to the base
    `local_rope_theta`; each `window_period`-th layer is global: it attends to the whole context, with the rotations above. 0:
    all are. query_scalar: what scores of attention are divided by the square root of, where that is not `head_dim`; 0: it is.
    """

    family: Literal["llama", "qwen2", "qwen3", "gemma3_text"]
    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    mlp_width: int
    vocabulary: int
    tied: bool
    rope_theta: float
    norm_eps: float
    context: int
    source: str
    activation: str = "silu"
    attention_bias: bool = False  # of a Llama: queries, keys, values and output; a Qwen2 has the first three always
    mlp_bias: bool = False
    rope_scaling: tuple[tuple[str, str | float | bool], ...] = ()
    window: int = 0
    window_period: int = 0
    local_rope_theta: float = 0.0
    query_scalar: int = 0

    def tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Names and shapes of all weights, as transformers names them; a tied output head is not listed."""
        yield "model.embed_tokens.weight", (self.vocabulary, self.width)
        for i in range(self.layers):
            yield from ((f"model.layers.{i}.{name}", shape) for name, shape in self._layer())
        yield "model.norm.weight", (self.width,)
        if not self.tied:
            yield "lm_head.weight", (self.vocabulary, self.width)

    def _layer(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        inner = self.heads * self.head_dim
        projections = [("self_attn.q", inner, self.width), *((f"self_attn.{name}", self.kv_heads * self.head_dim, self.width)
                                                             for name in "kv"),
                       ("self_attn.o", self.width, inner), ("mlp.gate", self.mlp_width, self.width),
                       ("mlp.up", self.mlp_width, self.width), ("mlp.down", self.width, self.mlp_width)]
        for name, outputs, inputs in projections:
            yield f"{name}_proj.weight", (outputs, inputs)
            if self.mlp_bias if name.startswith("mlp") else self.attention_bias or (self.family == "qwen2" and name[-1] != "o"):
                yield f"{name}_proj.bias", (outputs,)
        if self.family in NORMED_HEADS:
            yield "self_attn.q_norm.weight", (self.head_dim,)
            yield "self_attn.k_norm.weight", (self.head_dim,)
        more = ("pre_feedforward", "post_feedforward") if self.family == GEMMA else ()
        for name in ("input", "post_attention", *more):
            yield f"{name}_layernorm.weight", (self.width,)

    @property
    def adds_one(self) -> bool:
        """Whether norms multiply by one plus their weight, where others multiply by it."""
        return self.family == GEMMA

    @property
    def parameters(self) -> int:
        """Number of weights, tied ones counted once."""
        layer = sum(math.prod(shape) for _, shape in self._layer())
        return self.layers * layer + self.width + self.embeddings * (1 if self.tied else 2)

    @property
    def embeddings(self) -> int:
        """Number of weights of one embedding matrix."""
        return self.vocabulary * self.width

    @property
    def read_per_step(self) -> int:
        """Weights that one decode step reads: all but the input embedding, of which it reads one line.

        A tied embedding is read whole, as the output head.
        """
        return self.parameters - (0 if self.tied else self.embeddings - self.width)

    @property
    def local_layers(self) -> int:
        """Layers that attend to a window of the context only."""
        return self.layers - self.layers // self.window_period if self.window else 0

    def kv_elements_per_token(self) -> int:
        """Keys and values of one token in all layers: what is kept for each token of a context that no window leaves behind."""
        return self._kv_elements(self.layers)

    def local_kv_elements_per_token(self) -> int:
        """Those of them in local layers, which are not needed any more once their token is `window` tokens back."""
        return self._kv_elements(self.local_layers)

    def kv_elements(self, tokens: int) -> int:
        """Keys and values that the next token attends to, after `tokens` tokens of context, beside its own."""
        behind = max(0, tokens - (self.window - 1)) if self.window else 0
        return tokens * self.kv_elements_per_token() - behind * self.local_kv_elements_per_token()

    def _kv_elements(self, layers: int) -> int:
        return 2 * layers * self.kv_heads * self.head_dim

    def to_hf(self) -> dict:
        """The same facts as a Hugging Face `config.json`."""
        more = {name: True for name in ("attention_bias", "mlp_bias") if getattr(self, name)}
        if self.family == GEMMA:
            more |= self._gemma_to_hf()
        elif self.rope_scaling:
            more["rope_parameters"] = dict(self.rope_scaling) | {"rope_theta": self.rope_theta}
        return dict(
            model_type=self.family, architectures=[hf_config.CLASSES[self.family]], num_hidden_layers=self.layers,
            hidden_size=self.width, num_attention_heads=self.heads, num_key_value_heads=self.kv_heads,
            head_dim=self.head_dim, intermediate_size=self.mlp_width, vocab_size=self.vocabulary,
            tie_word_embeddings=self.tied, rope_theta=self.rope_theta, rms_norm_eps=self.norm_eps,
            max_position_embeddings=self.context, **{hf_config.activation_key(self.family): self.activation},
            torch_dtype="bfloat16", bos_token_id=None, eos_token_id=None, **more)

    def _gemma_to_hf(self) -> dict:
        told = dict(query_pre_attn_scalar=self.query_scalar or self.head_dim,
                    layer_types=hf_windows.alternating(self.window_period or 1, self.layers))
        if self.rope_scaling:
            told["rope_scaling"] = dict(self.rope_scaling)
        return told | (dict(sliding_window=self.window, rope_local_base_freq=self.local_rope_theta) if self.window else {})

    @classmethod
    def from_hf(cls, config: Mapping, source: str) -> Architecture:
        """Read a `config.json`; `source` names it in errors.

        Raises ModelError: a family that is not of hf_config.CLASSES, a key that is not known, or a value of a known one that
        this class has no place for: windows of other families than Gemma 3, a part of each head rotated, layers of unlike
        kinds. Mistral's is Llama's without its window.
        """
        return cls(source=source, **hf_config.read(config, source))
