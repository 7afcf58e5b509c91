"""The GGUF file that a model came as, as it is: the step behind the cell llama_cpp/stored."""

from __future__ import annotations

import os
from pathlib import Path

from edgekit.building import BuildError
from edgekit.compress.artifact import Artifact


def stored_bytes(source: Artifact) -> int:
    """What it takes on disk beside the file: nothing, it is linked. Raises BuildError for a model that is no such file."""
    if source.spec.file is None or source.variant != source.spec.name:
        raise BuildError(f"stored: expected a model that is a GGUF file, got {source.variant}; take gguf(dtype=…) or "
                         "gguf_quantized(type=…)")
    return 0


def to_stored(source: Artifact, folder: Path) -> None:
    """Link the file into `folder` as model.gguf. Raises BuildError for a model that is no GGUF file."""
    stored_bytes(source)
    os.symlink(source.spec.file, folder / "model.gguf")
