"""Safetensors to ONNX: the same weights as a graph for ONNX Runtime, in a folder that onnxruntime-genai opens as it is.

onnxruntime-genai's own model builder writes it, for a CPU: `model.onnx` (the graph), `model.onnx.data` (its weights, and the
sines and cosines of the rotations), `genai_config.json` and the tokenizer.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from edgekit.building import BuildError
from edgekit.catalog.hf_config import GEMMA
from edgekit.compress.artifact import Artifact, require_plain
from edgekit.errors import unknown_name

INSTALL = "python3 edgekit/environment/install.py --extra onnx"
BUILDER = "onnxruntime_genai.models.builder"
# precision of the matrices -> the builder's name of it. int4 is its round to nearest, symmetric, in groups of 32 inputs, output
# head and a tied embedding included, and its products take activations in 8 bits.
PRECISIONS = {"float32": "fp32", "int4": "int4"}
# Rotations that the builder's graph computes as transformers does; of others (linear, yarn) it makes another model unasked.
ROPES = ("default", "dynamic", "llama3")


def onnx_bytes(source: Artifact, *, precision: str) -> int:
    """About what the folder will take on disk at most: float32 weights, rotations for the whole context. Raises BuildError as
    `to_onnx` does for what is known beforehand."""
    if precision not in PRECISIONS:
        raise BuildError("onnx: " + unknown_name("precision", precision, PRECISIONS))
    require_plain("onnx", source)
    if source.spec.kind == "shape":
        raise BuildError(f"onnx: {source.spec.name} is a shape, without a tokenizer, and the folder of a model for "
                         "onnxruntime-genai holds one; take a model with trained weights")
    a = source.spec.architecture
    if a.family == GEMMA:
        raise BuildError(f"onnx: {source.spec.name} is a Gemma 3, of which the model builder rounds the embeddings' "
                         "factor and looks for local rotations where transformers has none: measure it with transformers "
                         "or llama.cpp")
    kind = dict(a.rope_scaling).get("rope_type", "default")
    if kind not in ROPES:
        raise BuildError(f"onnx: {source.spec.name} has rotations of type {kind}, which the model builder computes otherwise; "
                         f"known: {', '.join(ROPES)}: measure it with transformers")
    return 4 * (a.parameters + a.context * a.head_dim) + (1 << 22)


def to_onnx(source: Artifact, folder: Path, *, precision: str) -> None:
    """Write `source` into `folder` as an ONNX model for a CPU: inputs and outputs in float32, matrices in `precision`.

    precision: float32 or int4. Raises BuildError: an unknown precision, packed weights, a shape, a builder that is not
    installed, or what the builder says when it refuses.
    """
    onnx_bytes(source, precision=precision)
    if importlib.util.find_spec("onnxruntime_genai") is None:
        raise BuildError(f"onnx: onnxruntime-genai, whose model builder writes the graph, is not installed; the extra `onnx` "
                         f"brings it: {INSTALL}")
    # A process of its own: the builder puts modules with names as `builders` and `quantization` on the import path.
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-m", BUILDER, "-i", str(source.path.resolve()), "-o", str(folder.resolve()),
                   "-p", PRECISIONS[precision], "-e", "cpu", "-c", cache]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", cwd=cache, check=False,
                              env={**os.environ, "HF_HUB_OFFLINE": "1"})
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise BuildError(f"onnx: the model builder of onnxruntime-genai failed on {source.variant} (exit status "
                         f"{done.returncode}): {said[-1].strip() if said else 'no word why'}")
