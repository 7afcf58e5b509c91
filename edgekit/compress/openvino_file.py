"""What an OpenVINO model's graph holds, read from `openvino_model.xml` alone: its weights stay in the file beside it."""

from __future__ import annotations

import functools
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

from edgekit.building import BuildError
from edgekit.compress.graph_file import Graph

GRAPH = "openvino_model.xml"
GROUP = 32  # inputs that share a scale at 4 bits
TABLE = "model.embed_tokens.weight"
MATRIX = "_proj.weight"  # how the names of a layer's matrices end
STORED = {"f32": "float32", "f16": "float16", "i8": "int8", "i4": "int4"}  # OpenVINO's names of types, and the kit's
FLOATS = ("float32", "float16")
COUNTED = ("MatMul", "ScaledDotProductAttention")


@functools.lru_cache(maxsize=8)
def read(folder: Path) -> Graph:
    """The graph of `folder`. Raises BuildError where there is none, or it cannot be read."""
    file = folder / GRAPH
    kinds, operators, size, table, head = set(), Counter(), 0, 0, False
    try:
        for _, layer in ElementTree.iterparse(file):
            if layer.tag != "layer":
                continue
            name, kind = layer.get("name"), layer.get("type")
            operators[kind] += kind in COUNTED
            if kind == "Const":
                data = layer.find("data")
                size += int(data.get("size"))
                table += int(data.get("size")) if name.startswith(TABLE) else 0
                head = head or name.startswith("lm_head.")
                if name.endswith(MATRIX):
                    kinds.add(STORED.get(data.get("element_type"), data.get("element_type")))
            layer.clear()
    except (OSError, ElementTree.ParseError, AttributeError, TypeError) as error:
        raise BuildError(f"{file} cannot be read as an OpenVINO model ({error}); delete its folder to have it built "
                         "again") from error
    if not kinds:
        raise BuildError(f"{file}: expected matrices with names that end in {MATRIX}, found none; delete its folder to have it "
                         "built again")
    # Of a head's own matrix a step reads all, and of the table a line; a table that is the head too is read whole.
    return Graph("+".join(sorted(kinds)), dict(+operators), size - table * head)
