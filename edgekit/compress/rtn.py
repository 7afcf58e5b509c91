"""Round-to-nearest: the weights of the layers on a grid of 2^bits values, nothing else changed.

Weight-only, asymmetric (min–max), a scale and a zero point for each group of neighbouring inputs of each output: the
baseline that GPTQ (Frantar et al. 2022, arXiv:2210.17323) and AWQ (Lin et al. 2023, arXiv:2306.00978) are compared with.
The result is stored dequantized, as float32 safetensors, so the same engine runs it and only the method's error differs;
`bits_per_weight` says what packed storage would need. Embeddings, output head and norms keep their values.
"""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING

from edgekit.catalog.models import Architecture
from edgekit.compress.artifact import Artifact, BuildError

if TYPE_CHECKING:
    from pathlib import Path

    import torch

BITS = tuple(range(2, 9))
SCALE_BITS = 16
MATRIX = re.compile(r"\.layers\.\d+\..*_proj\.weight$")
COPIED = ("generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def bits_per_weight(bits: int, group: int) -> float:
    """What packed storage takes for one weight of a quantized matrix: its code, and its share of a 16-bit scale and a zero
    point of `bits` bits a group."""
    return bits + (SCALE_BITS + bits) / group


def input_widths(architecture: Architecture) -> dict[str, int]:
    """Inputs of each kind of matrix, the dimension that groups divide."""
    a = architecture
    return {"q, k, v, gate and up": a.width, "o": a.heads * a.head_dim, "down": a.mlp_width}


def groups_that_fit(architecture: Architecture) -> list[int]:
    """Powers of two that divide every input width, the largest first."""
    widths = input_widths(architecture).values()
    return [group for group in (1 << i for i in range(13, 2, -1)) if all(width % group == 0 for width in widths)]


def rtn_bytes(source: Artifact, *, bits: int, group: int) -> int:
    """About what the artifact will take on disk (float32). Raises BuildError for bits or a group that cannot be."""
    _require(source, bits, group)
    return 4 * source.spec.architecture.parameters + (1 << 20)


def _require(source: Artifact, bits: int, group: int) -> None:
    if source.format != "safetensors":
        raise BuildError(f"rtn: expected a safetensors artifact, got {source.format} ({source.variant})")
    if isinstance(bits, bool) or bits not in BITS:
        raise BuildError(f"rtn: expected bits of {BITS[0]} to {BITS[-1]}, got {bits!r}")
    if isinstance(group, bool) or not isinstance(group, int) or group < 1:
        raise BuildError(f"rtn: expected a group of at least one weight, got {group!r}")
    widths = input_widths(source.spec.architecture)
    if bad := {name: width for name, width in widths.items() if width % group}:
        told = ", ".join(f"{width} ({name})" for name, width in bad.items())
        fits = ", ".join(map(str, groups_that_fit(source.spec.architecture))) or "none above 4"
        prune = f"; or prune with pruned(…, multiple={group})" if "pruned(" in source.variant else ""
        raise BuildError(f"rtn: group={group} does not divide the input width {told} of {source.spec.name}; groups that divide "
                         f"all widths: {fits}{prune}")


def quantize(weight: torch.Tensor, *, bits: int, group: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Codes (outputs, groups, group), scales and zero points (outputs, groups, 1) of a matrix (outputs, inputs).

    A group's grid spans its smallest to its largest weight, zero included, in 2^bits - 1 equal steps; zero is on the grid.
    No weight is moved by more than half a step.
    """
    import torch

    parts = weight.float().reshape(weight.shape[0], -1, group)
    low = parts.amin(-1, keepdim=True).clamp(max=0)
    high = parts.amax(-1, keepdim=True).clamp(min=0)
    scale = (high - low) / (2**bits - 1)
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))  # a group of zeros
    zero = torch.round(-low / scale)
    codes = (torch.round(parts / scale) + zero).clamp(0, 2**bits - 1)
    return codes, scale, zero


def dequantize(codes: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor) -> torch.Tensor:
    """The matrix (outputs, inputs) that codes of `quantize` stand for, float32."""
    return ((codes - zero) * scale).flatten(1)


def round_to_nearest(source: Artifact, folder: Path, *, bits: int, group: int) -> None:
    """Write `source` with rounded matrices into `folder`, float32 safetensors, file by file.

    Raises BuildError for another format, bits outside of 2 to 8, or a group that does not divide an input width.
    """
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    _require(source, bits, group)
    for file in sorted(source.path.glob("*.safetensors")):
        made = {}
        with safe_open(file, framework="pt") as weights:
            for name in weights.offset_keys():
                tensor = weights.get_tensor(name).to(torch.float32)
                made[name] = dequantize(*quantize(tensor, bits=bits, group=group)) if MATRIX.search(name) else tensor
        save_file(made, folder / file.name, metadata={"format": "pt"})
    config = json.loads((source.path / "config.json").read_text(encoding="utf-8"))
    config.pop("torch_dtype", None)
    (folder / "config.json").write_text(json.dumps(config | {"dtype": "float32"}, indent=1), encoding="utf-8")
    for name in (*COPIED, *(file.name for file in source.path.glob("*.safetensors.index.json"))):
        if (source.path / name).is_file():
            shutil.copyfile(source.path / name, folder / name)
