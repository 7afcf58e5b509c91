"""What a variant is on disk: a folder in a standard format (how it gets there: see building.py)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from edgekit import text_files
from edgekit.building import BuildError
from edgekit.catalog import gguf_file, weight_files
from edgekit.catalog.hf_config import packing_of
from edgekit.catalog.models import ModelSpec
from edgekit.compress import onnx_file, openvino_file

ELEMENT_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True, slots=True)
class Artifact:
    """A built variant: `path` is a folder in Hugging Face format, or one that holds `model.gguf` (format gguf), `model.onnx` or
    `openvino_model.xml` with their data (formats onnx and openvino); of a GGUF file that llama.cpp alone runs, the file itself.

    Formats: safetensors (plain weights), awq and gptq (packed ones, with a quantization_config), gguf, onnx, openvino, mlx.
    """

    variant: str
    spec: ModelSpec
    path: Path
    format: str
    hash: str

    @property
    def file(self) -> Path:
        """The GGUF file of a GGUF artifact."""
        return self.path if self.path.is_file() else self.path / "model.gguf"

    def size_bytes(self) -> int:
        """Bytes of the weight files on disk."""
        if self.format == "gguf":
            files = [self.file]
        else:
            own = {"onnx": "model.onnx*", "openvino": "openvino_model.bin"}.get(self.format)
            files = self.path.glob(own) if own else weight_files.files_of(self.path)
        return sum(file.stat().st_size for file in files)

    def bits_per_weight(self) -> float:
        """Bits of the weight files over the number of weights: scales, zero points and what is not quantized are counted."""
        return 8 * self.size_bytes() / self.spec.architecture.parameters

    def bytes_read_per_step(self, dtype: str) -> int:
        """Bytes of the weights that one decode step reads, from the tensor lists of the files.

        An untied input embedding is left out (a step reads one line of it); a tied one counts, as the output head.
        `dtype` is what plain weights are loaded as; packed ones, their scales and zero points, and GGUF files are read as they
        are stored. GPTQ's g_idx is left out where groups are of neighbours: kernels compute an input's group from its place.
        """
        if self.format == "onnx":
            return onnx_file.read(self.path).bytes_per_step
        if self.format == "openvino":
            return openvino_file.read(self.path).bytes_per_step
        if self.format == "gguf":
            return gguf_file.read(self.file).bytes_per_step
        if self.format == "mlx":
            return sum(tensor.nbytes for name, tensor in weight_files.stored(self.path).items()
                       if self.spec.architecture.tied or not name.startswith("model.embed_tokens."))
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
