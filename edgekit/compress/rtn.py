"""Round-to-nearest: the weights of the layers on a grid of 2^bits values, nothing else changed.

Weight-only, asymmetric (min–max), a scale and a zero point for each group of neighbouring inputs of each output: the
baseline that GPTQ (Frantar et al. 2022, arXiv:2210.17323) and AWQ (Lin et al. 2023, arXiv:2306.00978) are compared with.
The result is stored dequantized, as float32 safetensors, so the same engine runs it and only the method's error differs;
`bits_per_weight` says what packed storage would need. Embeddings, output head and norms keep their values.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgekit.building import BuildError
from edgekit.catalog.models import Architecture
from edgekit.compress import checkpoint, grid
from edgekit.compress.artifact import Artifact, require_plain

if TYPE_CHECKING:
    from pathlib import Path

    import torch

BITS = tuple(range(2, 9))
SCALE_BITS = 16
MATRIX = re.compile(r"\.layers\.\d+\..*_proj\.weight$")


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
    if bits not in BITS:
        raise BuildError(f"rtn: expected bits of {BITS[0]} to {BITS[-1]}, got {bits!r}")
    require("rtn", source, bits, group)


def require(step: str, source: Artifact, bits: int, group: int) -> None:
    """Raise BuildError, in the name of `step`, for packed weights, a group that does not divide every input width, or a grid
    that the weights are on already."""
    require_plain(step, source)
    if group < 1:
        raise BuildError(f"{step}: expected a group of at least one weight, got {group!r}")
    widths = input_widths(source.spec.architecture)
    if bad := {name: width for name, width in widths.items() if width % group}:
        told = ", ".join(f"{width} ({name})" for name, width in bad.items())
        fits = ", ".join(map(str, groups_that_fit(source.spec.architecture))) or "none above 4"
        prune = f"; or prune with pruned(…, multiple={group})" if "pruned(" in source.variant else ""
        raise BuildError(f"{step}: group={group} does not divide the input width {told} of {source.spec.name}; groups that "
                         f"divide all widths: {fits}{prune}")
    grid.require_new(step, source, bits=bits, group=group)


def quantize(weight: torch.Tensor, *, bits: int, group: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Codes (outputs, groups, group), scales and zero points (outputs, groups, 1) of a matrix (outputs, inputs).

    A group's grid spans its smallest to its largest weight, zero included, in 2^bits - 1 equal steps; zero is on the grid.
    No weight is moved by more than half a step.
    """
    import torch

    parts = weight.float().reshape(weight.shape[0], -1, group)
    scale = span(parts) / (2**bits - 1)
    return encode(parts, torch.where(scale > 0, scale, torch.ones_like(scale)), bits=bits)  # 1 for a group of zeros


def span(parts: torch.Tensor) -> torch.Tensor:
    """From the smallest to the largest weight of each group, zero included: (…, group) to (…, 1)."""
    return parts.amax(-1, keepdim=True).clamp(min=0) - parts.amin(-1, keepdim=True).clamp(max=0)


def encode(parts: torch.Tensor, scale: torch.Tensor, *, bits: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Codes (…, group), scales and zero points (…, 1) of groups whose span is at most 2^bits - 1 steps of `scale`."""
    import torch

    zero = torch.round(-parts.amin(-1, keepdim=True).clamp(max=0) / scale)
    codes = (torch.round(parts / scale) + zero).clamp(0, 2**bits - 1)
    return codes, scale, zero


def dequantize(codes: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor) -> torch.Tensor:
    """The matrix (outputs, inputs) that codes of `quantize` stand for, float32."""
    return ((codes - zero) * scale).flatten(1)


def round_to_nearest(source: Artifact, folder: Path, *, bits: int, group: int) -> None:
    """Write `source` with rounded matrices into `folder`, float32 safetensors, tensor by tensor.

    Raises BuildError for another format, bits outside of 2 to 8, or a group that does not divide an input width.
    """
    import torch

    _require(source, bits, group)
    with checkpoint.Weights(source.path) as weights, checkpoint.ShardWriter(folder) as out:
        for name, weight in weights.items():
            exact = weight.to(torch.float32)
            out.add(name, dequantize(*quantize(exact, bits=bits, group=group)) if MATRIX.search(name) else exact)
    checkpoint.write_beside(folder, checkpoint.read_config(source.path), source.path, dtype="float32")
