"""Safetensors to OpenVINO's format: a graph with its cache inside, in a folder that OpenVINO GenAI opens as it is.

The graph is written by openvino_graph.py, `openvino_model.xml` with its weights in `openvino_model.bin`; beside them stand the
config and tokenizer of the source. OpenVINO's own exporter asks for an older transformers than the kit has.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from edgekit.building import BuildError
from edgekit.catalog.hf_config import GEMMA
from edgekit.compress import checkpoint
from edgekit.compress.artifact import Artifact, require_plain
from edgekit.compress.openvino_file import GROUP
from edgekit.errors import unknown_name

INSTALL = "python3 edgekit/environment/install.py --extra openvino"
# precision of the matrices -> bytes of one at most, scales included
PRECISIONS = {"float32": 4.0, "int8": 1.1, "int4": 0.6}
ROPES = ("default", "linear", "llama3", "yarn")  # rotations that do not depend on how long a text is


def openvino_bytes(source: Artifact, *, precision: str) -> int:
    """About what the folder will take on disk at most. Raises BuildError as `to_openvino` does for what is known beforehand."""
    if precision not in PRECISIONS:
        raise BuildError("openvino: " + unknown_name("precision", precision, PRECISIONS))
    require_plain("openvino", source)
    a = source.spec.architecture
    kind = dict(a.rope_scaling).get("rope_type", "default")
    if a.family == GEMMA or a.window:
        raise BuildError(f"openvino: {source.variant} is a Gemma 3, whose local layers the graph that is written here has not: "
                         "measure it with transformers or llama.cpp")
    if kind not in ROPES:
        raise BuildError(f"openvino: {source.variant} has rotations of type {kind}, which change with the length of a text; "
                         f"known: {', '.join(ROPES)}: measure it with transformers")
    inputs = {"width": a.width, "MLP width": a.mlp_width, "heads times their size": a.heads * a.head_dim}
    for what, size in inputs.items() if precision == "int4" else ():
        if size % GROUP:
            raise BuildError(f"openvino: {source.variant} has a {what} of {size}, which groups of {GROUP} inputs do not fill: "
                             "take precision int8, or another model")
    embeddings = a.embeddings * (1 if a.tied else 2)
    small = PRECISIONS["int8" if precision == "int4" else precision] * embeddings
    return int(PRECISIONS[precision] * (a.parameters - embeddings) + small) + (1 << 21)


def to_openvino(source: Artifact, folder: Path, *, precision: str) -> None:
    """Write `source` into `folder` as an OpenVINO model: vectors and arithmetic in float32, matrices in `precision`.

    precision: float32, int8 or int4 (see openvino_graph.build). Raises BuildError: an unknown precision, packed weights, a
    family, activation or rotation that the graph has not, or OpenVINO not installed.
    """
    openvino_bytes(source, precision=precision)
    if importlib.util.find_spec("openvino") is None:
        raise BuildError(f"openvino: openvino, which writes the graph, is not installed; the extra `openvino` brings it: "
                         f"{INSTALL}")
    import openvino

    from edgekit.compress import openvino_graph

    activation = source.spec.architecture.activation
    if activation not in openvino_graph.ACTIVATIONS:
        raise BuildError("openvino: " + unknown_name("activation", activation, openvino_graph.ACTIVATIONS))
    with checkpoint.Weights(source.path) as weights:
        model = openvino_graph.build(source.spec.architecture, weights, precision)
    openvino.save_model(model, folder / "openvino_model.xml", compress_to_fp16=False)
    checkpoint.write_beside(folder, checkpoint.read_config(source.path), source.path, dtype="float32")
