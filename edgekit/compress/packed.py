"""Round-to-nearest stored in 4-bit layouts: the control of AWQ and GPTQ that the same kernels run.

The grid is that of `rtn`, with one change: scales are rounded up to float16, in which both layouts store them, before codes
are computed. So the grid still spans each group, and no weight is moved by more than half a (stored) step; scales rounded
down would cut off the group's ends. Embeddings, output head, biases and norms are stored as float16, as AutoAWQ saves them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.building import BuildError
from edgekit.catalog import packing
from edgekit.compress import checkpoint, layouts, rtn
from edgekit.compress.artifact import Artifact
from edgekit.compress.layouts import Coded

if TYPE_CHECKING:
    import torch


def awq_bytes(source: Artifact, *, bits: int, group: int) -> int:
    """About what the artifact will take on disk. Raises BuildError for what AWQ's layout cannot hold."""
    _require_awq(source, bits, group)
    return stored_bytes(source, bits, group)


def gptq_bytes(source: Artifact, *, bits: int, group: int, symmetric: bool = False) -> int:
    """About what the artifact will take on disk. Raises BuildError for what GPTQ's layout cannot hold."""
    _require_gptq(source, bits, group)
    return stored_bytes(source, bits, group)


def stored_bytes(source: Artifact, bits: int, group: int) -> int:
    """About what packed weights take on disk, with the embeddings at 16 bits."""
    a = source.spec.architecture
    outer = a.embeddings * (1 if a.tied else 2)
    return int(rtn.bits_per_weight(bits, group) / 8 * (a.parameters - outer)) + 2 * outer + (1 << 20)


def _require_awq(source: Artifact, bits: int, group: int) -> None:
    if bits != packing.AWQ_BITS:
        raise BuildError(f"packed_awq: AWQ's layout holds {packing.AWQ_BITS} bits, got {bits!r}; packed_gptq holds "
                         f"{', '.join(map(str, packing.GPTQ_BITS))}")
    rtn.require("packed_awq", source, bits, group)
    require_whole_words("packed_awq", source, 8)


def _require_gptq(source: Artifact, bits: int, group: int) -> None:
    if bits not in packing.GPTQ_BITS:
        raise BuildError(f"packed_gptq: GPTQ's layout holds {', '.join(map(str, packing.GPTQ_BITS))} bits, got {bits!r}")
    rtn.require("packed_gptq", source, bits, group)
    require_whole_words("packed_gptq", source, 32)  # what gptqmodel's kernels ask for at any bits


def require_whole_words(step: str, source: Artifact, multiple: int) -> None:
    a = source.spec.architecture
    sizes = {*rtn.input_widths(a).values(), a.kv_heads * a.head_dim}
    if bad := sorted(size for size in sizes if size % multiple):
        raise BuildError(f"{step}: expected inputs and outputs of all matrices to be multiples of {multiple}, so that "
                         f"codes fill whole words; {source.spec.name} has {', '.join(map(str, bad))}")


def quantize(weight: torch.Tensor, *, bits: int, group: int, symmetric: bool) -> Coded:
    """Codes of a matrix (outputs, inputs) on a grid whose scales are float16 numbers.

    Asymmetric: rtn's grid. Symmetric: GPTQ's, centred on zero, whose 2^bits - 1 steps span twice the largest magnitude; its
    zero point is 2^(bits-1), so the largest positive weight is half a step beyond the last code. Raises BuildError for weights
    too large for a float16 scale.
    """
    import torch

    parts = weight.float().reshape(len(weight), -1, group)
    if symmetric:
        scale = _half_above(2 * parts.abs().amax(-1, keepdim=True) / (2**bits - 1))
        zero = torch.full_like(scale, 2 ** (bits - 1))
        codes = (torch.round(parts / scale) + zero).clamp_(0, 2**bits - 1)
    else:
        codes, scale, zero = rtn.encode(parts, _half_above(rtn.span(parts) / (2**bits - 1)), bits=bits)
    return Coded(codes.to(torch.int32).flatten(1), scale.squeeze(-1).to(torch.float16), zero.squeeze(-1).to(torch.int32),
                 torch.arange(weight.shape[1]) // group)


def _half_above(scale: torch.Tensor) -> torch.Tensor:
    """The least float16 numbers not below `scale`, as float32; 1 for 0 (a group of zeros)."""
    import torch

    half = scale.to(torch.float16)
    up = torch.where(half.float() < scale, torch.nextafter(half, torch.full_like(half, torch.inf)), half).float()
    if not torch.isfinite(up).all():
        raise BuildError(f"weights reach {float(scale.max()):.3g} a step of the grid: more than a float16 scale holds (65504)")
    if up.norm() > 2 * scale.norm():  # a bit is lost
        raise BuildError(f"weights are as small as {float(scale.max()):.3g} a step of the grid: too small for a float16 scale")
    return torch.where(up > 0, up, torch.ones_like(up))


def to_awq(source: Artifact, folder: Path, *, bits: int, group: int) -> None:
    """Write `source` rounded to nearest into `folder` as AutoAWQ would lay it out.

    Raises BuildError: other bits than 4, a group or sizes that do not fit, weights beyond float16.
    """
    _require_awq(source, bits, group)
    _write(source, folder, checkpoint.awq_config(bits=bits, group=group),
           lambda weight: layouts.pack_awq(quantize(weight, bits=bits, group=group, symmetric=False)))


def to_gptq(source: Artifact, folder: Path, *, bits: int, group: int, symmetric: bool = False) -> None:
    """Write `source` rounded to nearest into `folder` as gptqmodel would lay it out.

    An asymmetric grid may have zero points of 0, which only checkpoint format gptq_v2 can hold; a symmetric one is written as
    gptq (v1), which vLLM reads. Raises BuildError: bits that the layout lacks, a group or sizes that do not fit, weights
    beyond float16.
    """
    _require_gptq(source, bits, group)
    version = packing.GPTQ_V1 if symmetric else packing.GPTQ_V2
    config = checkpoint.gptq_config(bits=bits, group=group, symmetric=symmetric, checkpoint_format=version)
    _write(source, folder, config,
           lambda weight: layouts.pack_gptq(quantize(weight, bits=bits, group=group, symmetric=symmetric), bits, version))


def _write(source: Artifact, folder: Path, quantization: dict, packed) -> None:
    step = f"packed_{quantization['quant_method']}"
    with checkpoint.Weights(source.path) as weights, checkpoint.ShardWriter(folder) as out:
        for name, weight in weights.items():
            if rtn.MATRIX.search(name):
                for part, tensor in packed(weight).items():
                    out.add(f"{name.removesuffix('weight')}{part}", tensor)
                continue
            out.add(name, checkpoint.rounded(weight, "float16", f"{step}: {name} of {source.variant}"))
    checkpoint.write_beside(folder, checkpoint.read_config(source.path), source.path, dtype="float16",
                            quantization=quantization)
