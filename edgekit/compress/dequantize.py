"""Packed weights back to float32: an artifact of AWQ, GPTQ or GGUF as a plain Hugging Face folder.

So that one reference engine runs the result of every method, and only the method's error differs, not its kernel's. Codes
times scales is computed in float32 from the stored float16 scales; kernels that do it in float16 add their own rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.building import BuildError
from edgekit.catalog.architecture import Architecture
from edgekit.catalog.gguf_file import ROTATIONS
from edgekit.catalog.hf_config import ModelError, packing_of
from edgekit.compress import checkpoint, convert, layouts, removal
from edgekit.compress.artifact import Artifact

ROWS = 4096  # of a matrix that are turned into floats at once

if TYPE_CHECKING:
    import torch


def dequantized_bytes(source: Artifact) -> int:
    """About what the folder will take on disk (float32). Raises BuildError for an artifact that is not packed."""
    if source.format not in READERS:
        raise BuildError(f"dequantized: expected an artifact of format {', '.join(READERS)}, got {source.format} "
                         f"({source.variant})")
    return 4 * source.spec.architecture.parameters + (1 << 20)


def to_float(source: Artifact, folder: Path) -> None:
    """Write the weights that a packed artifact stands for into `folder`, as float32 safetensors, tensor by tensor.

    Raises BuildError for a format, layout or base that it cannot read: a missing tensor, or one of another shape than the
    model that the artifact was made of.
    """
    dequantized_bytes(source)
    a = source.spec.architecture
    with checkpoint.ShardWriter(folder) as out:
        for name, weight in whole(READERS[source.format](source), a, f"dequantized: {source.variant}",
                                  f"delete {source.path} to build it again"):
            out.add(name, weight.float())
    if source.format != "gguf":
        config, beside = checkpoint.read_config(source.path), source.path
    else:  # a GGUF folder has no config.json: that of the base
        beside = source.spec.folder
        config = removal.pruned_config(a.to_hf() if beside is None else checkpoint.read_config(beside), a)
    checkpoint.write_beside(folder, config, beside, dtype="float32")


def whole(weights: Iterable[tuple[str, torch.Tensor]], a: Architecture, what: str,
          hint: str) -> Iterator[tuple[str, torch.Tensor]]:
    """The same weights, as far as they are those of `a`. Raises BuildError, in the name of `what` and with what to do, for one
    of another shape, and at the end for one that is missing."""
    expected = dict(a.tensors())
    for name, weight in weights:
        wanted = expected.pop(name, None)
        if tuple(weight.shape) != wanted:
            raise BuildError(f"{what}: {name} has shape {tuple(weight.shape)}, in a model of this config "
                             f"{wanted or 'there is no such tensor'}; {hint}")
        yield name, weight
    if expected:
        raise BuildError(f"{what} lacks {len(expected)} tensors of a model of this config, among them "
                         f"{next(iter(expected))}; {hint}")


def _from_packed(source: Artifact) -> Iterator[tuple[str, torch.Tensor]]:
    read = _reader(source)
    parts = layouts.PARTS[source.format]
    with checkpoint.Weights(source.path) as weights:
        for name in weights:
            module, _, part = name.rpartition(".")
            if part == "qweight":
                if missing := [other for other in parts if f"{module}.{other}" not in weights]:
                    raise BuildError(f"dequantized: {source.path} has {name} but no {module}.{missing[0]}; delete the folder "
                                     "to build it again")
                yield f"{module}.weight", read({part: weights[f"{module}.{part}"] for part in parts}).weight()
            elif part not in parts and convert.kept(name, source.spec.architecture):
                yield name, weights[name]


def _reader(source: Artifact):
    """The function that reads one matrix of the checkpoint. Raises BuildError for a layout that is none of the known."""
    try:
        packing = packing_of(checkpoint.read_config(source.path), f"{source.path}/config.json")
    except ModelError as error:
        raise BuildError(f"dequantized: {error}") from error
    method = packing and packing.method
    if method != source.format:
        raise BuildError(f"dequantized: {source.path}/config.json: expected quant_method {source.format}, got {method!r}")
    if method == "awq":
        return layouts.unpack_awq
    return lambda tensors: layouts.unpack_gptq(tensors, packing.bits, packing.version)


def _from_gguf(source: Artifact) -> Iterator[tuple[str, torch.Tensor]]:
    yield from floats(source.file, source.spec.architecture, source.spec.name)


def floats(file: Path, a: Architecture, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    """The weights of a GGUF file of the model `name`, float32, one at a time and in transformers' names and order of rows.

    Raises BuildError for a tensor that such a model has not."""
    import numpy as np
    import torch
    from gguf import GGUFReader
    from gguf import dequantize as gguf_dequantize

    ours = convert.gguf_names(a)
    names = {ours[of]: of for of, _ in a.tensors()}
    for tensor in GGUFReader(file).tensors:
        if tensor.name not in names:
            if tensor.name == ROTATIONS:  # made from the config, not a weight
                continue
            raise BuildError(f"dequantized: {file} has a tensor {tensor.name!r}, which {name} has not")
        of = names[tensor.name]
        weight = torch.empty(tuple(int(size) for size in reversed(tensor.shape)))
        for begin in range(0, len(weight), ROWS):  # the library needs several times what it gives
            rows = slice(begin, begin + ROWS)
            weight[rows] = torch.from_numpy(np.array(gguf_dequantize(tensor.data[rows], tensor.tensor_type)))
        yield of, convert.from_stored(of, weight, a)


READERS = {"awq": _from_packed, "gptq": _from_packed, "gguf": _from_gguf}
