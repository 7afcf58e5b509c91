"""Which files of a folder are the model, and that they hold it whole.

The index (`model.safetensors.index.json`) says which; without one it is `model.safetensors`. Whatever else lies there (an
adapter, a consolidated copy, an optimizer's state) is not read. What the files hold is compared, header by header, with what
the architecture asks for: a tensor that is missing, of another shape or of no use is refused here, where a loader would fill
it with random numbers or leave it out.
"""

from __future__ import annotations

import functools
import json
import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit import text_files
from edgekit.catalog.architecture import Architecture
from edgekit.catalog.hf_config import ModelError
from edgekit.catalog.packing import Packing

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
ADAPTER = "adapter_config.json"
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
FLOATS = {"F32": 4, "F16": 2, "BF16": 2}
WORDS = {"I32": 4, "U32": 4, "I64": 8}
# Frequencies of the rotations, which checkpoints of 2023 hold and every reader computes from the config instead.
COMPUTED = re.compile(r"(^|\.)rotary_emb\.inv_freq$")
MATRIX = re.compile(r"_proj\.weight$")
RESTORE = "restore the folder (or, where it was built here, delete it to have it built again)"


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor as its file's header tells it; `dtype` is safetensors' name of it (F32, BF16, I32, …)."""

    file: Path
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * (FLOATS | WORDS)[self.dtype]


def files_of(folder: Path) -> list[Path]:
    """The files that are the model in a Hugging Face folder, in the order of their names.

    Raises ModelError: no weights or pickled ones, an index that is damaged, names a missing file or one elsewhere, or a folder
    that holds two models.
    """
    if (folder / ADAPTER).is_file():
        raise ModelError(f"{folder} holds {ADAPTER}: a model and an adapter of one lie in one folder, and readers differ in "
                         "which "
                         "they take; merge the adapter into the weights, or move its files elsewhere")
    if (folder / INDEX).is_file():
        names = sorted(set(_weight_map(folder / INDEX).values()))
        if names != [SINGLE] and (folder / SINGLE).is_file():
            raise ModelError(f"{folder} holds both {SINGLE} and an index of other files ({names[0]}, …), and readers differ in "
                             f"which they take; remove {SINGLE} or {INDEX}")
        if missing := [name for name in names if not (folder / name).is_file()]:
            raise ModelError(f"{folder} lacks {len(missing)} of the {len(names)} files that {INDEX} names, among them "
                             f"{missing[0]}; the download is incomplete: fetch it again")
        return [folder / name for name in names]
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    expected = f"no weights in {folder} (expected {SINGLE}, or {INDEX} and the *.safetensors that it names)"
    if others := sorted(folder.glob("*.safetensors")):
        raise ModelError(f"{expected}; {others[0].name} is there, which no index names: fetch the folder again, or merge an "
                         "adapter into its model")
    if pickled := sorted(file for pattern in PICKLED for file in folder.glob(pattern)):
        raise ModelError(f"{expected}; {pickled[0].name} is there, a pickle, which can run code of strangers when it is read: "
                         "convert it with transformers' save_pretrained")
    raise ModelError(f"{expected}; the download or checkout is incomplete: fetch it again")


def beside(folder: Path) -> list[str]:
    """Names of *.safetensors in the folder that are not the model: a reader that takes whatever it finds would read them."""
    ours = files_of(folder)
    return sorted(file.name for file in folder.glob("*.safetensors") if file not in ours)


def _weight_map(index: Path) -> dict[str, str]:
    """Names of tensors to names of files. Raises ModelError for one that is not of this kind, or points out of its folder."""
    found = text_files.json_of(index, ModelError, "restore the folder")
    named = found.get("weight_map")
    if not isinstance(named, dict) or not named or not all(isinstance(file, str) for file in named.values()):
        raise ModelError(f"{index}: expected weight_map, from names of tensors to names of files; restore the folder")
    if not isinstance(found.get("metadata"), dict):
        raise ModelError(f"{index}: expected metadata beside weight_map, without which transformers reads no shards; add "
                         '"metadata": {}')
    for file in sorted(set(named.values())):
        if Path(file).name != file or not file.endswith(".safetensors"):
            raise ModelError(f"{index}: expected names of *.safetensors in its own folder, got {file!r}; restore the folder")
    return named


def stored(folder: Path) -> dict[str, Stored]:
    """The tensors of the model in `folder` by name, from the headers of its files, in the order that they lie there.

    Left out: what readers compute. Raises ModelError as `files_of`, and for a damaged file, a tensor that two files hold, or
    an index and files that disagree.
    """
    from safetensors import SafetensorError, safe_open

    found: dict[str, Stored] = {}
    for file in files_of(folder):
        try:
            with safe_open(file, framework="np") as opened:
                for name in opened.offset_keys():
                    if name in found:
                        raise ModelError(f"{folder}: both {found[name].file.name} and {file.name} hold {name}; "
                                         f"{RESTORE}")
                    told = opened.get_slice(name)
                    found[name] = Stored(file, told.get_dtype(), tuple(told.get_shape()))
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{file} is damaged ({error}); {RESTORE}") from error
    if (folder / INDEX).is_file():
        named = _weight_map(folder / INDEX)
        for name in sorted(found.keys() | named.keys()):
            lies = found[name].file.name if name in found else None
            if lies != named.get(name):
                raise ModelError(f"{folder}: {INDEX} says that {name} lies in {named.get(name) or 'no file'}, and it lies in "
                                 f"{lies or 'none'}; restore the folder")
    return {name: tensor for name, tensor in found.items() if not COMPUTED.search(name)}


def require_whole(folder: Path, a: Architecture, packing: Packing | None) -> None:
    """Raise ModelError unless the files hold every tensor of `a` in its shape, as floats or packed as `packing` says, and no
    other.

    A tied output head may be there: it is then compared with the embedding, for transformers unties it where they differ.
    """
    found = stored(folder)
    left = dict(found)
    packed = 0
    for name, shape in a.tensors():
        module = name.removesuffix(".weight")
        parts = {} if packing is None or not MATRIX.search(name) or name in found else packing.parts(shape)
        packed += bool(parts)
        for part, (kinds, expected) in ({f"{module}.{part}": told for part, told in parts.items()}
                                        or {name: (FLOATS, shape)}).items():
            _require(folder, a, part, left.pop(part, None), kinds, expected)
    if (head := left.pop("lm_head.weight", None)) is not None and a.tied:
        _require(folder, a, "lm_head.weight", head, FLOATS, (a.vocabulary, a.width))
        embedding = found["model.embed_tokens.weight"]
        if not _equal(head.file, embedding.file, head.file.stat().st_mtime_ns, embedding.file.stat().st_mtime_ns):
            raise ModelError(f"{folder}: config.json ties the output head to the embedding (tie_word_embeddings), and the "
                             "files "
                             "hold two that differ; set it to false, or remove lm_head.weight")
    elif head is not None:
        left["lm_head.weight"] = head
    if packing is not None and not packed:
        raise ModelError(f"{folder}: config.json speaks of {packing.method} weights (quantization_config), and none is packed; "
                         f"{RESTORE}")
    if left:
        name = next(iter(left))
        why = "packed weights, and config.json has no quantization_config" if name.endswith(".qweight") and not packing else (
            f"a tensor that a {a.family} model of this config has not")
        raise ModelError(f"{folder} holds {name}: {why} ({len(left)} such); nothing would read it: {RESTORE}")


def _require(folder: Path, a: Architecture, name: str, came: Stored | None, kinds: Mapping[str, int] | tuple[str, ...],
             shape: tuple[int, ...]) -> None:
    if came is None:
        raise ModelError(f"{folder} has no {name}, which a {a.family} model of this config needs; a loader would draw it at "
                         f"random: {RESTORE}")
    if came.shape != shape or came.dtype not in kinds:
        raise ModelError(f"{folder}: expected {name} of shape {shape} as {' or '.join(kinds)}, got {came.shape} as "
                         f"{came.dtype}; "
                         f"weights and config.json are not of one model: {RESTORE}")


@functools.lru_cache(maxsize=64)
def _equal(one: Path, other: Path, *changed: int) -> bool:
    """Whether the output head in `one` and the embedding in `other` hold the same bytes; read once for each time of change."""
    import numpy as np

    def raw(file: Path, name: str):
        with open(file, "rb") as stream:
            size = struct.unpack("<Q", stream.read(8))[0]
            told = json.loads(stream.read(size))[name]
        start, end = told["data_offsets"]
        return told["dtype"], np.memmap(file, np.uint8, "r", 8 + size + start, (end - start,))

    (kind, head), (other_kind, embedding) = raw(one, "lm_head.weight"), raw(other, "model.embed_tokens.weight")
    return kind == other_kind and np.array_equal(head, embedding)
