"""What a `config.json` says of the rotations by which attention knows positions (Su et al. 2021, arXiv:2104.09864)."""

from __future__ import annotations

from collections.abc import Mapping

from edgekit.catalog.hf_values import ModelError, number

ORIGINAL = "original_max_position_embeddings"
# Kinds of rotations: what each must say, and what it may.
ROPES = {"default": ((), ()), "linear": (("factor",), ()), "dynamic": (("factor",), ()),
         "llama3": (("factor", "low_freq_factor", "high_freq_factor", ORIGINAL), ()),
         "yarn": (("factor", ORIGINAL), ("attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate"))}
THETA = 10000.0  # transformers' default

Rotations = tuple[float, tuple[tuple[str, str | float | bool], ...]]


def read(config: Mapping, source: str) -> Rotations:
    """Base of the rotations, and what scales them. `rope_scaling` is the older name of `rope_parameters`. Raises ModelError."""
    scaling, parameters = (config.get(name) or {} for name in ("rope_scaling", "rope_parameters"))
    if not (isinstance(scaling, Mapping) and isinstance(parameters, Mapping)):
        raise ModelError(f"{source}: expected rope_parameters (or rope_scaling) to be an object, got {scaling or parameters!r}")
    if scaling and parameters and scaling != parameters:
        raise ModelError(f"{source}: rope_scaling ({scaling}) and rope_parameters ({parameters}) differ; keep one of them")
    rope = {name: value for name, value in (scaling or parameters).items() if value is not None}
    kind = rope.pop("rope_type", rope.get("type", "default"))
    rope.pop("type", None)
    if kind not in ROPES:
        raise ModelError(f"{source}: rope type {kind!r} is not known; known: {', '.join(ROPES)}")
    above = {name: value for name, value in config.items() if value is not None}
    theta = rope.pop("rope_theta", above.get("rope_theta", THETA))
    theta = number({"rope_theta": theta}, "rope_theta", "", source)
    if rope.pop("partial_rotary_factor", 1) != 1:
        raise ModelError(f"{source}: expected partial_rotary_factor to be 1, got another: no step here rotates a part of a "
                         "head")
    needed, possible = ROPES[kind]
    if ORIGINAL in needed:
        rope[ORIGINAL] = above.get(ORIGINAL, rope.get(ORIGINAL, above.get("max_position_embeddings")))
    if unknown := [name for name in rope if name not in (*needed, *possible)]:
        raise ModelError(f"{source}: {unknown[0]} ({rope[unknown[0]]!r}) is not known for rotations of type {kind}, which have "
                         f"{', '.join((*needed, *possible)) or 'no parameters'}")
    for name in needed:
        number(rope, name, f"{kind} rope's", source)
    for name, value in rope.items():
        kinds, wanted = ((bool,), "true or false") if name == "truncate" else ((int, float), "a number")
        if type(value) not in kinds:
            raise ModelError(f"{source}: expected {name} of the rotations to be {wanted}, got {value!r}")
    return theta, () if kind == "default" else tuple(sorted((rope | {"rope_type": kind}).items()))
