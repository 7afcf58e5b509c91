"""Safetensors to MLX's own rounding: matrices in few bits with a scale and an offset for each group of inputs.

mlx-lm's own functions round and write: groups of neighbouring inputs, round to nearest between the least and the most of each
(affine), embedding and output head included. A matrix whose inputs do not fill groups would stay as it is without a word, so a
model that has one is refused.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from edgekit.building import BuildError
from edgekit.catalog.hf_config import GEMMA
from edgekit.compress.artifact import Artifact, require_plain
from edgekit.errors import unknown_name

INSTALL = "python3 edgekit/environment/install.py --extra mlx"
BITS = (2, 3, 4, 6, 8)
GROUPS = (32, 64, 128)
ROPES = ("default", "linear", "llama3")  # rotations that its graphs compute as transformers does


def config_of(source: Artifact, who: str) -> dict:
    """What mlx-lm is told of a model beside its config.json, of which its Llama and Qwen2 read no `rope_parameters` and rotate
    by bases of their own unasked. Raises BuildError, in the name of `who`, for what it would compute otherwise unasked."""
    a = source.spec.architecture
    kind = dict(a.rope_scaling).get("rope_type", "default")
    refused = {"a Gemma 3, whose layers and rotations mlx-lm reads from other names": a.family == GEMMA,
               f"activations of type {a.activation}, and mlx-lm's have silu": a.activation != "silu",
               f"rotations of type {kind}, which mlx-lm computes otherwise": kind not in ROPES,
               "heads that do not fill its width, as mlx-lm's Qwen2 has them":
                   a.family == "qwen2" and a.heads * a.head_dim != a.width}
    if why := [words for words, so in refused.items() if so]:
        raise BuildError(f"{who}: {source.variant} has or is {why[0]}: measure it with transformers or llama.cpp")
    return dict(rope_theta=a.rope_theta, rope_scaling=dict(a.rope_scaling) or None)


def mlx_bytes(source: Artifact, *, bits: int, group: int) -> int:
    """About what the folder will take on disk at most: scales and offsets in float32. Raises BuildError as `to_mlx` does for
    what is known beforehand."""
    for name, value, known in (("bits", bits, BITS), ("group", group, GROUPS)):
        if value not in known:
            raise BuildError("mlx_quantized: " + unknown_name(name, str(value), map(str, known)))
    require_plain("mlx_quantized", source)
    config_of(source, "mlx_quantized")
    a = source.spec.architecture
    inputs = {"width": a.width, "MLP width": a.mlp_width, "heads times their size": a.heads * a.head_dim}
    for what, size in inputs.items():
        if size % group:
            raise BuildError(f"mlx_quantized: {source.variant} has a {what} of {size}, which groups of {group} do not fill: "
                             f"take another group ({', '.join(map(str, GROUPS))}) or model")
    return int(a.parameters * (bits + 64 / group) / 8) + (1 << 20)


def to_mlx(source: Artifact, folder: Path, *, bits: int, group: int) -> None:
    """Write `source` into `folder` in MLX's format, matrices in `bits` bits in groups of `group` inputs.

    Raises BuildError: bits or groups that MLX has not, packed weights, sizes that groups do not fill, or MLX not installed.
    """
    mlx_bytes(source, bits=bits, group=group)
    if importlib.util.find_spec("mlx_lm") is None:
        raise BuildError("mlx_quantized: mlx-lm, which rounds and writes the weights, is not installed; the extra `mlx` "
                         f"brings it: {INSTALL}")
    from mlx_lm import utils

    try:
        model, config = utils.load_model(source.path, lazy=True, model_config=config_of(source, "mlx_quantized"))
    except ValueError as error:
        raise BuildError(f"mlx_quantized: mlx-lm cannot read {source.variant}: {' '.join(str(error).split())[:300]}") from error
    model, config = utils.quantize_model(model, config, group, bits)
    utils.save_model(folder, model)
    utils.save_config(config, folder / "config.json")
