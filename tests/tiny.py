"""Tiny random models with spread-out logits, for tests of formats and engines: no training, no files of the kit."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers

from edgekit.catalog import models
from edgekit.compress.artifact import Artifact

SIZES = dict(num_hidden_layers=2, hidden_size=64, num_attention_heads=4, num_key_value_heads=2, head_dim=32,
             intermediate_size=96, vocab_size=160, max_position_embeddings=256, eos_token_id=0, bos_token_id=0)
OWN = {
    "qwen2": dict(head_dim=16),  # it ties the width of a head to the model's; llama.cpp takes it at its word
    # A local layer, whose window is shorter than any text here, and a global one.
    "gemma3_text": dict(query_pre_attn_scalar=32, sliding_window=8, layer_types=["sliding_attention", "full_attention"])}


def sizes(family: str, **changed) -> dict:
    """What a tiny model of `family` has in its config."""
    return SIZES | OWN.get(family, {}) | changed


def write(folder: Path, family: str = "llama", tied: bool = True, **changed) -> Artifact:
    """A random model of `family` in `folder`, as the artifact that engines take."""
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(family, **sizes(family, tie_word_embeddings=tied) | changed)
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            # Large enough for sharp attention and clear winners, biases and norms included.
            weight.normal_(_around(name, family) if "norm" in name else 0.0, 0.25)
    model.save_pretrained(folder)
    spec = models.resolve(str(folder))
    return Artifact(str(folder), spec, folder, "safetensors", spec.identity[:16])


def _around(norm: str, family: str) -> float:
    """What a norm multiplies by; Gemma adds one, and behind its layers more is needed beside the eightfold embedding."""
    if family != "gemma3_text":
        return 1.0
    return 3.0 if "post_" in norm else 0.0
