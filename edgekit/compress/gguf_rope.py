"""What a GGUF file can say of a model's computation: activation, rotations, windows of attention.

llama.cpp's graphs of these families have one activation each, and take the scaling of rotations from metadata (linear, yarn) or
as a divisor for each frequency (llama3's, in the `llama` graph alone). `gemma3` scales those of its global layers alone, and
divides scores by a number that it finds for itself. What a file cannot say would be computed otherwise without a word, so it is
refused here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgekit.building import BuildError
from edgekit.catalog.architecture import Architecture
from edgekit.catalog.hf_config import activation_key
from edgekit.catalog.hf_rope import ORIGINAL

if TYPE_CHECKING:
    import gguf
    import numpy as np

# llama.cpp reads no others for these graphs; transformers' own, of which it takes 0 for absent.
BETAS = {"beta_fast": 32, "beta_slow": 1}
GEMMA = "gemma3"
ACTIVATION = {GEMMA: "gelu_pytorch_tanh"}  # of graphs that have another than SILU
SILU = "silu"
KINDS = ("default", "linear", "yarn")  # of rotations that all graphs know, and those that are known to some
KINDS_OF = {"llama": (*KINDS, "llama3"), GEMMA: KINDS[:2]}
GEMMA_27B_LAYERS = 62  # by which llama.cpp knows the one model whose scores are divided otherwise


def require_carried(a: Architecture, graph: str, name: str) -> None:
    """Raise BuildError, in the name of the model `name`, for what a file of llama.cpp's `graph` cannot say."""
    rope = dict(a.rope_scaling)
    kind = rope.get("rope_type", "default")
    cannot = None
    computed, kinds = ACTIVATION.get(graph, SILU), KINDS_OF.get(graph, KINDS)
    if a.activation != computed:
        cannot = f"{activation_key(a.family)} {a.activation}; llama.cpp computes {computed}"
    elif kind not in kinds:
        cannot = f"rotations of type {kind}; known for {graph}: {', '.join(kinds)}"
    elif graph == GEMMA and (a.query_scalar or a.head_dim) != (scalar := _gemmas_scalar(a)):
        cannot = f"query_pre_attn_scalar {a.query_scalar or a.head_dim}; llama.cpp takes {scalar} for {a.layers} layers"
    elif kind == "yarn" and (rope["factor"] <= 1 or rope.get("truncate") is False
                             or any(rope.get(beta) not in (None, 0, value) for beta, value in BETAS.items())):
        cannot = ("yarn with a factor of at most 1, truncate=false, or beta_fast and beta_slow other than 32 and 1; llama.cpp "
                  "knows none of them")
    if cannot:
        raise BuildError(f"gguf: {name} has {cannot}: measure it with transformers, which computes what its config.json says")


def _gemmas_scalar(a: Architecture) -> int:
    """What the `gemma3` graph divides scores by the square root of."""
    return a.width // a.heads if a.layers == GEMMA_27B_LAYERS else a.head_dim


def write(writer: gguf.GGUFWriter, a: Architecture) -> None:
    """The metadata of rotations and windows."""
    from gguf import RopeScalingType

    if a.window:
        writer.add_sliding_window(a.window)
        writer.add_sliding_window_pattern(a.window_period)
        writer.add_rope_freq_base_swa(a.local_rope_theta)
    writer.add_rope_dimension_count(a.head_dim)
    writer.add_rope_freq_base(a.rope_theta)
    rope = dict(a.rope_scaling)
    kind = rope.get("rope_type")
    if kind not in ("linear", "yarn"):
        return
    writer.add_rope_scaling_type(RopeScalingType(kind))
    writer.add_rope_scaling_factor(rope["factor"])
    if kind == "yarn":
        writer.add_rope_scaling_orig_ctx_len(int(rope[ORIGINAL]))
        # llama.cpp multiplies the recommended one by what it finds here.
        writer.add_rope_scaling_attn_factors(_attention_factor(rope) / _recommended(rope["factor"], 1))


def _recommended(factor: float, scale: float) -> float:
    """YaRN's factor of queries and keys (Peng et al. 2023, arXiv:2309.00071, equation 22), as transformers has it."""
    return 0.1 * scale * math.log(factor) + 1


def _attention_factor(rope: dict) -> float:
    if "attention_factor" in rope:
        return rope["attention_factor"]
    if rope.get("mscale") and rope.get("mscale_all_dim"):
        return _recommended(rope["factor"], rope["mscale"]) / _recommended(rope["factor"], rope["mscale_all_dim"])
    return _recommended(rope["factor"], 1)


def divisors(a: Architecture) -> dict[str, np.ndarray]:
    """The per-frequency divisors of Llama 3's long-context rope, as llama.cpp's `rope_freqs.weight`; {} for other rotations."""
    import numpy as np

    rope = dict(a.rope_scaling)
    if rope.get("rope_type") != "llama3":
        return {}
    waves = 2 * math.pi * a.rope_theta ** (np.arange(0, a.head_dim, 2) / a.head_dim)
    turns = rope[ORIGINAL] / waves
    low, high, factor = rope["low_freq_factor"], rope["high_freq_factor"], rope["factor"]
    blend = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return {"rope_freqs.weight": (1 / ((1 - blend) / factor + blend)).astype(np.float32)}
