"""llama.cpp's own quantizer: a safetensors artifact to a GGUF file in one of its block formats.

The blocks: `Q8_0` and `Q4_0` hold 32 weights and one scale; k-quants hold 256 weights with scales of their own, mixed by
tensor (`_M`). A matrix whose width is no multiple of 256 gets a fallback format from llama.cpp: gguf_file.py says what each
tensor became. With a calibration set, rounding errors are weighed by how strongly each input is driven.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

from edgekit.building import BuildError
from edgekit.compress import convert, grid, importance
from edgekit.compress.artifact import Artifact
from edgekit.compress.calibration import NONE, Calibration
from edgekit.errors import unknown_name

# name -> (llama.cpp's file type, bits a weight of its main format with scales: ggml-quants block sizes)
TYPES = {
    "Q8_0": (7, 8.5), "Q6_K": (18, 6.5625), "Q5_K_M": (17, 5.5), "Q4_K_M": (15, 4.5), "Q4_0": (2, 4.5),
    "Q3_K_M": (12, 3.4375), "Q2_K": (10, 2.625)}  # fmt: skip


def quantized_bytes(source: Artifact, *, type: str, **_) -> int:
    """About what the build will take on disk: the 16-bit file that is made first, and the quantized one."""
    _known(type)
    grid.require_new_type("gguf_quantized", source, type=type, file_type=TYPES[type][0])
    return int((16 + TYPES[type][1] + 2) / 8 * source.spec.architecture.parameters) + (1 << 20)


def _known(type: str) -> None:
    if type not in TYPES:
        raise BuildError("gguf_quantized: " + unknown_name("type", type, TYPES))


def to_quantized_gguf(source: Artifact, folder: Path, *, type: str, calibration: str = NONE, samples: int = 64,
                      length: int = 256, seed: int = 0) -> None:
    """Write `folder`/model.gguf of a llama.cpp type from a safetensors artifact.

    calibration: a set of data/calibration whose `samples` sequences of `length` tokens give the importance matrix; `none`:
    every input counts alike. Raises BuildError: unknown type or set, or what llama.cpp says when it refuses.
    """
    from llama_cpp import llama_cpp as c

    quantized_bytes(source, type=type)
    options = c.llama_model_quantize_default_params()
    options.ftype = TYPES[type][0]
    kept = []  # ctypes holds no references to what it points to
    if calibration != NONE:
        sequences = Calibration(calibration, samples, length, seed).sequences(
            source.spec.folder or source.path, source.spec.architecture.vocabulary)
        options.imatrix = _as_struct(importance.mean_squares(source.path, sequences),
                                     convert.gguf_names(source.spec.architecture), kept)
    complaints: list[str] = []

    @c.llama_log_callback
    def listen(level, text, data):
        if level >= 3:  # GGML_LOG_LEVEL_WARN and above
            complaints.append(text.decode(errors="replace").strip())

    wide = folder / "wide"
    wide.mkdir()
    convert.to_gguf(source, wide, dtype="float16")
    c.llama_log_set(listen, ctypes.c_void_p(0))
    c.llama_backend_init()
    code = c.llama_model_quantize(str(wide / "model.gguf").encode(), str(folder / "model.gguf").encode(),
                                  ctypes.byref(options))
    c.llama_log_set(c.llama_log_callback(0), ctypes.c_void_p(0))
    (wide / "model.gguf").unlink()
    wide.rmdir()
    if code:
        raise BuildError(f"gguf_quantized: llama.cpp refused {type} for {source.variant}: {' '.join(complaints[-3:])}")


def _as_struct(by_weight: dict, names: dict[str, str], kept: list):
    """llama.cpp's null-terminated array of (name, data, size), with its `names` of weights; what it points to is added to
    `kept`."""
    from llama_cpp import llama_cpp as c

    entries = (c.llama_model_imatrix_data * (len(by_weight) + 1))()
    for entry, (name, values) in zip(entries, by_weight.items(), strict=False):
        text = names[name].encode()
        entry.name, entry.size = text, len(values)
        entry.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        kept += [text, values]
    kept.append(entries)
    return entries
