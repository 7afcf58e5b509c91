"""Hugging Face folders: read tensor by tensor, written shard by shard, with the config that says how weights are packed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import text_files
from edgekit.building import BuildError
from edgekit.catalog import weight_files
from edgekit.catalog.hf_config import ModelError
from edgekit.catalog.models import SETTINGS

if TYPE_CHECKING:
    import torch

SHARD_BYTES = 2 * 10**9
ELEMENTS = 1 << 24  # that are widened at once


class Weights(Mapping):
    """The tensors of the model in a folder by name, read when asked for, in the order of its files (see weight_files.py).

    A context manager: leaving it closes the files. Raises BuildError for a folder without weights or with a damaged file.
    """

    def __init__(self, folder: Path):
        from safetensors import safe_open

        try:
            tensors = weight_files.stored(folder)
        except ModelError as error:
            raise BuildError(str(error)) from error
        self._stack = ExitStack()
        opened = {file: self._stack.enter_context(safe_open(file, framework="pt"))
                  for file in dict.fromkeys(tensor.file for tensor in tensors.values())}
        self._files = {name: opened[tensor.file] for name, tensor in tensors.items()}

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._files[name].get_tensor(name)

    def __contains__(self, name: object) -> bool:  # Mapping's own reads the tensor to find out
        return name in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __enter__(self) -> Weights:
        return self

    def __exit__(self, *_) -> None:
        self._stack.close()


class ShardWriter:
    """Writes tensors into safetensors files of at most `most` bytes (by default SHARD_BYTES; or one tensor) each, with an index
    if there are several; twice that is in memory.

    A context manager: leaving it without an error writes what is left and the index.
    """

    def __init__(self, folder: Path, most: int | None = None):
        self._folder, self._most = folder, most or SHARD_BYTES
        self._shard: dict[str, torch.Tensor] = {}
        self._index: dict[str, str] = {}
        self._size = self._total = 0

    def add(self, name: str, tensor: torch.Tensor) -> None:
        if self._size and self._size + tensor.nbytes > self._most:
            self._flush(f"model-{len(set(self._index.values())) + 1:05d}.safetensors")
        self._shard[name] = tensor.contiguous()
        self._size += tensor.nbytes
        self._total += tensor.nbytes

    def _flush(self, file: str) -> None:
        from safetensors.torch import save_file

        save_file(self._shard, self._folder / file, metadata={"format": "pt"})
        self._index |= dict.fromkeys(self._shard, file)
        self._shard.clear()
        self._size = 0

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind, *_) -> None:
        if kind is not None:
            return
        shards = len(set(self._index.values())) + 1
        self._flush(weight_files.SINGLE if shards == 1 else f"model-{shards:05d}.safetensors")
        if shards > 1:
            (self._folder / weight_files.INDEX).write_text(
                json.dumps({"metadata": {"total_size": self._total}, "weight_map": self._index}), encoding="utf-8")


def rounded(tensor: torch.Tensor, dtype: str, what: str) -> torch.Tensor:
    """A tensor in another floating-point type. Raises BuildError, with `what` it is, where that type cannot hold its values.

    float16 ends at 65504, and loses bits below 6·10⁻⁵ until nothing is left at 3·10⁻⁸.
    """
    import torch

    made = tensor.to(getattr(torch, dtype))
    if not torch.isfinite(made).all():
        why = "values beyond float16's 65504" if torch.isfinite(tensor).all() else "infinities or no numbers (nan)"
        raise BuildError(f"{what} has {why}; take dtype bfloat16 or float32 where the format has them, or another model")
    if dtype == "float16" and vanishing(tensor, made):
        raise BuildError(f"{what} has values too small for float16, which rounds them away; take dtype bfloat16 or float32 "
                         "where "
                         "the format has them")
    return made


def beyond_half(folder: Path) -> str | None:
    """The name of a weight with values beyond float16; None where all fit."""
    import torch

    with Weights(folder) as weights:
        for name, weight in weights.items():
            if weight.dtype in (torch.float32, torch.bfloat16) and not torch.isfinite(weight.half()).all():
                return name
    return None


def vanishing(exact: torch.Tensor, half: torch.Tensor) -> bool:
    """Whether rounding to float16 moved a tensor by more than its 11 bits can: by over 2⁻⁸ of the Euclidean norm."""
    moved = norm = 0.0
    for one, other in zip(exact.flatten().split(ELEMENTS), half.flatten().split(ELEMENTS), strict=True):
        wide = one.double()
        moved += float((other.double() - wide).square().sum())
        norm += float(wide.square().sum())
    return moved > 2**-16 * norm


def read_config(folder: Path) -> dict:
    """The folder's config.json. Raises BuildError where there is none."""
    file = folder / "config.json"
    if not file.is_file():
        raise BuildError(f"no config.json in {folder}: expected a Hugging Face folder")
    return text_files.json_of(file, BuildError, "restore the folder")


def write_beside(folder: Path, config: dict, source: Path | None, *, dtype: str, quantization: dict | None = None) -> None:
    """Write what stands beside the weights: `config` for `dtype` with its quantization_config (None: none), and the tokenizer
    and generation files of `source`, where it has them."""
    left_out = ("torch_dtype", "dtype", "quantization_config")
    config = {name: value for name, value in config.items() if name not in left_out} | {"dtype": dtype}
    if quantization is not None:
        config["quantization_config"] = quantization
    (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    for name in SETTINGS if source is not None else ():
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)


def awq_config(*, bits: int, group: int) -> dict:
    """What AutoAWQ writes about its checkpoints."""
    return dict(quant_method="awq", zero_point=True, group_size=group, bits=bits, version="gemm", modules_to_not_convert=None)


def gptq_config(*, bits: int, group: int, symmetric: bool, checkpoint_format: str) -> dict:
    """What gptqmodel writes about its checkpoints, as far as readers look at it."""
    return dict(quant_method="gptq", bits=bits, group_size=group, desc_act=False, sym=symmetric, true_sequential=True,
                lm_head=False, checkpoint_format=checkpoint_format, format=checkpoint_format, pack_dtype="int32")
