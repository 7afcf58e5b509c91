"""What an ONNX model's graph holds, read from `model.onnx` alone: its weights stay in the file beside it."""

from __future__ import annotations

import functools
import math
from collections import Counter
from pathlib import Path

from edgekit.building import BuildError
from edgekit.compress.graph_file import Graph

# Operators that read a line of a table a token: of them a step reads next to nothing. Attention's are sines and cosines.
READ_BY_LINE = {"Gather", "GatherBlockQuantized", "GroupQueryAttention", "RotaryEmbedding"}
# They say the shape of a table and do not read it again.
VIEWS = {"Reshape", "Transpose", "Shape"}
# ONNX's names of the types of matrices, and the kit's
FLOATS = {"FLOAT": "float32", "FLOAT16": "float16", "BFLOAT16": "bfloat16"}


@functools.lru_cache(maxsize=8)
def read(folder: Path) -> Graph:
    """The graph of `folder`/model.onnx. Raises BuildError where there is none, or it cannot be read."""
    import onnx
    from google.protobuf.message import DecodeError

    file = folder / "model.onnx"
    try:
        graph = onnx.load(file, load_external_data=False).graph
    except (OSError, DecodeError) as error:
        said = " ".join(str(error).split())
        raise BuildError(f"{file} cannot be read as an ONNX model ({said}); delete its folder to have it built "
                         "again") from error
    stored = {one.name: one for one in graph.initializer}
    kinds, operators, read_by = set(), Counter(), {name: set() for name in stored}
    for node in graph.node:
        for name in stored.keys() & set(node.input):
            read_by[name].add(node.op_type)
        if node.op_type == "MatMulNBits":
            found = {one.name: one.i for one in node.attribute}
            kinds.add(f"int{found['bits']}")
            level = found.get("accuracy_level", 0)
            operators[f"MatMulNBits of {found['bits']} bits by {found['block_size']}"
                      + ", activations in 8 bits" * (level == 4)] += 1
        elif node.op_type == "MatMul":
            matrices = [stored[name] for name in node.input if name in stored]
            named = (onnx.TensorProto.DataType.Name(one.data_type) for one in matrices)
            kinds |= {FLOATS.get(name, name.lower()) for name in named}
            operators["MatMul"] += bool(matrices)
        elif "Attention" in node.op_type:
            operators[node.op_type] += 1
    wanted = {name for name, by in read_by.items() if by - READ_BY_LINE - VIEWS}
    size = sum(_bytes(onnx, stored[name]) for name in wanted)
    return Graph("+".join(sorted(kinds)), dict(+operators), size)


def _bytes(onnx, tensor) -> int:
    return math.prod(tensor.dims) * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
