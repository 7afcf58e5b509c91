"""Cells of a grid: an engine and the weights that it is given, written `engine/weights`."""

from __future__ import annotations

from edgekit import engines
from edgekit.compress import gguf_quantize
from edgekit.compress.artifact import ELEMENT_BYTES
from edgekit.engines.base import EngineError
from edgekit.params import ParamsError, require

# 4-bit formats of runtimes, and the step that rounds to them without calibration
PACKED = {"awq": "packed_awq(bits=4, group={})", "gptq": "packed_gptq(bits=4, group={}, symmetric=True)"}


def split_cell(cell: str) -> tuple[str, str]:
    """`engine/weights`: weights are a dtype, a GGUF type, or awq or gptq at 4 bits. Raises ParamsError for another form, or
    for weights in a format that the engine does not load."""
    engine, slash, weights = cell.partition("/")
    known = (*ELEMENT_BYTES, *gguf_quantize.TYPES, *PACKED)
    require(bool(slash) and weights in known, f"cell {cell!r}: expected engine/weights with weights one of {', '.join(known)}")
    try:
        engines.require_known(engine)
    except EngineError as error:
        raise ParamsError(f"cell {cell!r}: {error}") from error
    if weights not in ELEMENT_BYTES:
        format = weights if weights in PACKED else "gguf"
        require(format in engines.formats(engine), f"cell {cell!r}: {engine} loads {', '.join(engines.formats(engine))}")
    return engine, weights
