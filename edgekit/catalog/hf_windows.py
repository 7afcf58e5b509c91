"""What a `config.json` says of layers that attend to a window of the context only.

Gemma 3 alternates them: a few local layers, whose window slides and whose rotations have a base of their own, then a global one
(Gemma Team 2025, arXiv:2503.19786, section 2). Other families' windows are refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from edgekit.catalog import hf_rope
from edgekit.catalog.hf_values import ModelError, count

FULL, SLIDING = "full_attention", "sliding_attention"
PATTERN = "sliding_window_pattern"  # transformers writes another, `_sliding_window_pattern`, which it does not read
# transformers' defaults for Gemma 3
PERIOD = 6
THETAS = {FULL: ("rope_theta", 1e6), SLIDING: ("rope_local_base_freq", 1e4)}
PLAIN = {"rope_type": "default"}
HAVE_A_SIZE = ("qwen2", "qwen3")  # of windows in their configs, even where none is used


def refuse(config: Mapping, family: str, source: str) -> None:
    """Raise ModelError where attention looks back over a window, in a family of which that is not carried."""
    slides = bool(config.get("use_sliding_window"))
    if family not in HAVE_A_SIZE:  # a Mistral config without the entry means a window
        slides |= config.get("sliding_window", 4096 if family == "mistral" else None) is not None
    kinds = config.get("layer_types") or []
    if slides or any(kind != FULL for kind in kinds) or (kinds and family == "mistral"):
        told = {name: config[name] for name in ("use_sliding_window", "sliding_window", "layer_types") if name in config}
        raise ModelError(f"{source}: expected attention over the whole context (sliding_window null, or for qwen2 and qwen3 "
                         "use_sliding_window false, and layer_types null or, but for mistral, all full_attention), got "
                         f"{told or 'no sliding_window, which for mistral means one of 4096'}; windows are not carried: take a "
                         "model without them")


def alternating(period: int, layers: int) -> list[str]:
    """Kinds of `layers` layers, of which each `period`-th attends to the whole context."""
    return [SLIDING if (i + 1) % period else FULL for i in range(layers)]


def of_gemma(config: Mapping, family: str, source: str, layers: int, head_dim: int) -> dict:
    """The fields of an `Architecture` in which a Gemma 3 differs. Raises ModelError."""
    (theta, scaling), (local_theta, local_scaling) = _rotations(config, source)
    if local_scaling:
        raise ModelError(f"{source}: expected plain rotations in local layers (rope_parameters of sliding_attention with "
                         f"rope_type default), got {dict(local_scaling)}, which no step here carries")
    scalar = count(config, "query_pre_attn_scalar", family, source)
    made = dict(rope_theta=theta, rope_scaling=scaling, query_scalar=0 if scalar == head_dim else scalar)
    period = _period(config, family, source, layers)
    if period > 1:
        made |= dict(window=count(config, "sliding_window", family, source), window_period=period, local_rope_theta=local_theta)
    return made


def _period(config: Mapping, family: str, source: str, layers: int) -> int:
    pattern = PERIOD if config.get(PATTERN) is None else count(config, PATTERN, family, source)
    kinds = config.get("layer_types")
    if kinds is None:
        kinds = alternating(pattern, layers)
    listed = kinds if isinstance(kinds, list) else []
    period = listed.index(FULL) + 1 if FULL in listed else layers + 1
    if kinds != alternating(period, layers) or (config.get(PATTERN) is not None and kinds != alternating(pattern, layers)):
        raise ModelError(f"{source}: expected layer_types of {layers} layers, each n-th of them {FULL} and the others "
                         f"{SLIDING}, with n as {PATTERN} says, got {kinds} and {config.get(PATTERN) or 'no pattern'}; layers "
                         "that alternate otherwise are not carried: take a model without them")
    return period


def _rotations(config: Mapping, source: str) -> list[hf_rope.Rotations]:
    """Those of global and of local layers. The older form has both bases at the top, and `rope_scaling` is of the global."""
    by_kind, scaling = config.get("rope_parameters") or {}, config.get("rope_scaling") or {}
    told = [by_kind, scaling, *(by_kind.values() if isinstance(by_kind, Mapping) else ())]
    if not all(isinstance(one, Mapping) for one in told if one is not None) or by_kind.keys() - THETAS.keys():
        raise ModelError(f"{source}: expected rope_parameters to hold {' and '.join(THETAS)}, an object each, and rope_scaling "
                         f"to be one, got {by_kind!r} and {scaling!r}")
    found = []
    for kind, (key, default) in THETAS.items():
        theta, rope = config.get(key), dict(by_kind.get(kind) or PLAIN)
        one = {"rope_parameters": rope | scaling if kind == FULL else rope, "rope_theta": default if theta is None else theta,
               "max_position_embeddings": config.get("max_position_embeddings")}
        found.append(hf_rope.read(one, source))
    return found
