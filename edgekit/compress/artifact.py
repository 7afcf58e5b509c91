"""What a variant is on disk: a folder in a standard format, addressed by the hash of what made it, built once.

A folder counts as built when its `artifact.json` stands and names every file with its size; it is written last, so a
killed or failed build leaves nothing that could be taken for whole, and the next one starts afresh.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgekit import store, text_files
from edgekit.catalog import weight_files
from edgekit.catalog.hf_config import packing_of
from edgekit.catalog.models import ModelSpec
from edgekit.errors import RunFailed

ELEMENT_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
WEIGHT_FILES = {"gguf": "*.gguf", "onnx": "model.onnx*"}  # by format; of the others see weight_files.py


class BuildError(RunFailed):
    """An artifact cannot be built; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A built variant: `path` is a folder in Hugging Face format, or one that holds `model.gguf` (format gguf) or `model.onnx`
    with its data (format onnx).

    Formats: safetensors (plain weights), awq and gptq (packed ones, with a quantization_config), gguf, onnx.
    """

    variant: str
    spec: ModelSpec
    path: Path
    format: str
    hash: str

    @property
    def file(self) -> Path:
        """The GGUF file of a GGUF artifact."""
        return self.path / "model.gguf"

    def size_bytes(self) -> int:
        """Bytes of the weight files on disk."""
        pattern = WEIGHT_FILES.get(self.format)
        files = weight_files.files_of(self.path) if pattern is None else self.path.glob(pattern)
        return sum(file.stat().st_size for file in files)

    def bits_per_weight(self) -> float:
        """Bits of the weight files over the number of weights: scales, zero points and what is not quantized are counted."""
        return 8 * self.size_bytes() / self.spec.architecture.parameters

    def bytes_read_per_step(self, dtype: str) -> int:
        """Bytes of the weights that one decode step reads, from the tensor lists of the files.

        An untied input embedding is left out (a step reads one line of it); a tied one counts, as the output head.
        `dtype` is what plain weights are loaded as; packed ones, their scales and zero points, and GGUF files are read as they
        are stored. GPTQ's g_idx is left out where groups are of neighbours: kernels compute an input's group from its place.
        Raises BuildError for ONNX, of which no engine here reads steps.
        """
        if self.format == "onnx":
            raise BuildError(f"the bytes that a step reads of {self.variant} are not known for onnx: ask for its source's")
        if self.format == "gguf":
            from gguf import GGUFReader

            sizes = {tensor.name: int(tensor.n_bytes) for tensor in GGUFReader(self.file).tensors}
            untied = "output.weight" in sizes
            return sum(size for name, size in sizes.items() if not (untied and name == "token_embd.weight"))
        left_out = "lm_head.weight" if self.spec.architecture.tied else "model.embed_tokens.weight"
        total = 0
        for name, tensor in weight_files.stored(self.path).items():
            if name == left_out or (name.endswith(".g_idx") and not self._reordered()):
                continue
            packed = name.endswith((".qweight", ".qzeros", ".scales", ".g_idx"))
            total += tensor.nbytes if packed else ELEMENT_BYTES[dtype] * math.prod(tensor.shape)
        return total

    def _reordered(self) -> bool:
        config = text_files.json_of(self.path / "config.json", BuildError)
        return packing_of(config, str(self.path)).reordered


def require_plain(step: str, source: Artifact) -> None:
    """Raise BuildError, in the name of `step`, unless `source` holds plain weights."""
    if source.format != "safetensors":
        raise BuildError(f"{step}: expected a safetensors artifact, got {source.format} ({source.variant}); put dequantized() "
                         "before this step, or take this step before the one that packs the weights")


def address(made_of: dict) -> str:
    """Content address of an artifact: 16 hex digits of the hash of what made it."""
    return hashlib.blake2b(store.canonical(made_of).encode(), digest_size=8).hexdigest()


def build_once(made_of: dict, title: str, needs_bytes: int, build: Callable[[Path], None]) -> Path:
    """The folder of the artifact that `made_of` addresses; `build(folder)` fills it if it is not there and whole.

    `title` names the source in errors; `needs_bytes` is about what it will take on disk. Raises
    BuildError when the disk is too small.
    """
    from filelock import FileLock
    from safetensors import SafetensorError

    root = store.OUTPUT / "artifacts"
    root.mkdir(parents=True, exist_ok=True)
    name = address(made_of)
    folder, building = root / name, root / f".building-{name}"
    with FileLock(str(root / f".{name}.lock")):
        if is_whole(folder):
            return folder
        for leftover in (folder, building):
            if leftover.exists():
                shutil.rmtree(leftover)
        free = shutil.disk_usage(root).free
        needs_bytes = int(needs_bytes * 1.05 + 2e8)
        if free < needs_bytes:
            raise BuildError(f"{made_of['step']} of {title} needs {needs_bytes / 1e9:.1f} GB in {root}, {free / 1e9:.1f} GB "
                             "are free; make room (artifacts/ may be deleted at any time)")
        building.mkdir()
        try:
            build(building)
        except BaseException as error:  # Ctrl-C too: gigabytes of a half-made artifact must not stay
            shutil.rmtree(building)
            if isinstance(error, (OSError, SafetensorError)):
                reason = getattr(error, "strerror", None) or error
                raise BuildError(f"cannot write {building}: {reason}; make room and run the same command again") from error
            raise
        files = {file.name: file.stat().st_size for file in building.iterdir()}
        store.write_atomically(building / "artifact.json",
                               json.dumps({"made_of": made_of, "files": files}, indent=1) + "\n")
        os.replace(building, folder)
    return folder


def remove(made_of: dict) -> None:
    """Delete the artifact that `made_of` addresses, if it stands, so that the next build makes it anew."""
    from filelock import FileLock

    root, name = store.OUTPUT / "artifacts", address(made_of)
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(str(root / f".{name}.lock")):
        if (root / name).exists():
            shutil.rmtree(root / name)


def is_whole(folder: Path) -> bool:
    """Whether the folder of an artifact holds every file that its record names."""
    record = folder / "artifact.json"
    if not record.is_file():
        return False
    files = json.loads(record.read_text(encoding="utf-8"))["files"]
    return all((folder / name).is_file() and (folder / name).stat().st_size == size for name, size in files.items())
