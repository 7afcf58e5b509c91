"""How many heads and neurons a pruned model keeps: the same count in every layer, in numbers that runtimes can carry.

A ratio seldom names a whole number of units, so the nearest count that can be carried is taken: the result, not the ratio,
says what was removed. With grouped-query attention (Ainslie et al. 2023, arXiv:2305.13245) either every group loses the same
number of query heads and keeps its keys and values (`unit=heads`), or whole groups go with them (`unit=groups`); without
grouping a head is a group of one, and both are the same.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from edgekit.building import BuildError
from edgekit.catalog.hf_config import GEMMA
from edgekit.catalog.models import Architecture

UNITS = ("heads", "groups")


@dataclass(frozen=True, slots=True)
class Kept:
    """What each layer keeps: query heads, key/value heads, MLP neurons."""

    heads: int
    kv_heads: int
    neurons: int


def require_ratio(name: str, ratio: object) -> None:
    """Raise BuildError unless `ratio` is a number in [0, 1)."""
    if isinstance(ratio, bool) or not isinstance(ratio, (int, float)) or not 0 <= ratio < 1:
        raise BuildError(f"pruned: expected {name} to be a share in [0, 1), got {ratio!r}")


def kept(a: Architecture, *, heads: float, mlp: float, unit: str, multiple: int) -> Kept:
    """The counts nearest to removing the share `heads` of the query heads and `mlp` of the neurons of every layer.

    A width that changes (heads·head_dim, neurons) stays a multiple of `multiple`, so that later quantization groups divide
    it. Raises BuildError: a ratio outside of [0, 1), one that leaves nothing or removes nothing (with those that would do),
    heads that their groups do not divide.
    """
    require_ratio("heads", heads)
    require_ratio("mlp", mlp)
    if a.heads % a.kv_heads:
        raise BuildError(f"pruned: {a.heads} query heads cannot be shared by {a.kv_heads} key/value heads evenly; the "
                         f"architecture ({a.source}) is damaged")
    per_group = a.heads // a.kv_heads
    whole = unit == "groups" or per_group == 1
    step = per_group if whole else a.kv_heads
    divides = a.family == GEMMA  # transformers refuses one whose width its heads do not divide
    removable = [n for n in range(step, a.heads, step)
                 if (a.heads - n) * a.head_dim % multiple == 0 and not (divides and a.width % (a.heads - n))]
    told = f"{step} at a time" + (f", {a.head_dim} inputs of the output projection each, in multiples of {multiple}"
                                  if a.head_dim % multiple else "") + (
        f", so many that they divide the width {a.width}" if divides else "")
    gone = _nearest("heads", "head", heads, a.heads, removable, told)
    neurons = _nearest("mlp", "neuron", mlp, a.mlp_width, [a.mlp_width - n for n in range(multiple, a.mlp_width, multiple)],
                       f"{multiple} are kept or a multiple of it")
    return Kept(a.heads - gone, a.kv_heads - gone // per_group if whole else a.kv_heads, a.mlp_width - neurons)


def _nearest(argument: str, noun: str, ratio: float, count: int, removable: list[int], told: str) -> int:
    if ratio == 0:
        return 0
    best = min([0, *removable, count], key=lambda n: (abs(n - ratio * count), n))
    if 0 < best < count:
        return best
    wrong = f"leaves a layer no {noun}" if best else f"removes no {noun}"
    near = sorted(sorted(removable, key=lambda n: abs(n - ratio * count))[:3])
    would = ", ".join(f"{n / count:.3g}" for n in near)
    raise BuildError(f"pruned: {argument}={ratio} of {count} {wrong} ({told}); "
                     + (f"ratios that do: {would}; or a smaller `multiple`" if near else "no ratio would do; use 0"))


def pruned_architecture(a: Architecture, kept: Kept) -> Architecture:
    """The same architecture with smaller numbers."""
    return dataclasses.replace(a, heads=kept.heads, kv_heads=kept.kv_heads, mlp_width=kept.neurons)


def pruned_config(config: dict, a: Architecture) -> dict:
    """`config.json` with the numbers of the pruned `a`.

    transformers refuses a Llama whose width its heads do not divide, although the size of a head is given. Mistral's
    architecture without a sliding window is the same computation without that rule, so such a model is saved under its name.
    Raises BuildError for a Llama with biases, which Mistral has not.
    """
    made = config | dict(num_attention_heads=a.heads, num_key_value_heads=a.kv_heads, head_dim=a.head_dim,
                         intermediate_size=a.mlp_width)
    if config["model_type"] == "llama" and a.width % a.heads:
        if config.get("attention_bias") or config.get("mlp_bias"):
            raise BuildError(f"pruned: {a.heads} heads do not divide the width {a.width}, which a Llama must, and Mistral, "
                             "which need not, has no biases; keep a number of heads that divides the width")
        made |= dict(model_type="mistral", architectures=["MistralForCausalLM"], sliding_window=None)
    return made
