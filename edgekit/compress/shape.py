"""A shape: a published architecture with random weights, as a Hugging Face folder in bfloat16.

Speed, memory and energy of a dense decoder do not depend on the values of its weights, as long as they are ordinary
numbers. One block of normal numbers (deviation 0.02, as in a fresh model) is repeated, because drawing 7·10⁹ of them would
take minutes and change nothing that is measured.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

from edgekit.catalog.models import Architecture, ModelSpec
from edgekit.compress import checkpoint

BLOCK = 1 << 20


def tensors(architecture: Architecture) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of all weights, as transformers names them; a tied output head is not listed."""
    a = architecture
    yield "model.embed_tokens.weight", (a.vocabulary, a.width)
    for i in range(a.layers):
        layer = f"model.layers.{i}."
        for name, rows in (("q", a.heads), ("k", a.kv_heads), ("v", a.kv_heads)):
            yield f"{layer}self_attn.{name}_proj.weight", (rows * a.head_dim, a.width)
            if a.family == "qwen2":
                yield f"{layer}self_attn.{name}_proj.bias", (rows * a.head_dim,)
        yield f"{layer}self_attn.o_proj.weight", (a.width, a.heads * a.head_dim)
        yield f"{layer}mlp.gate_proj.weight", (a.mlp_width, a.width)
        yield f"{layer}mlp.up_proj.weight", (a.mlp_width, a.width)
        yield f"{layer}mlp.down_proj.weight", (a.width, a.mlp_width)
        yield f"{layer}input_layernorm.weight", (a.width,)
        yield f"{layer}post_attention_layernorm.weight", (a.width,)
    yield "model.norm.weight", (a.width,)
    if not a.tied:
        yield "lm_head.weight", (a.vocabulary, a.width)


def write(spec: ModelSpec, folder: Path, *, seed: int) -> None:
    """Write `spec`'s architecture with random weights into `folder`: sharded safetensors, an index, config.json."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    block = (torch.randn(BLOCK, generator=generator) * 0.02).to(torch.bfloat16)
    with checkpoint.ShardWriter(folder) as out:
        for name, shape in tensors(spec.architecture):
            if "norm" in name:
                out.add(name, torch.ones(shape, dtype=torch.bfloat16))
            else:
                count = math.prod(shape)
                out.add(name, block.repeat(-(-count // BLOCK))[:count].reshape(shape).clone())
    (folder / "config.json").write_text(json.dumps(spec.architecture.to_hf(), indent=1), encoding="utf-8")
