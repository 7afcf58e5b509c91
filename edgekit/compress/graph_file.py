"""What a model's graph holds, in whichever format a runtime has it read (onnx_file.py, openvino_file.py)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Graph:
    """weights: how matrices are stored, a float type or int8, int4, several joined by "+". operators: how many nodes there are
    of each that does the arithmetic. bytes_per_step: bytes of weights that one decode step reads."""

    weights: str
    operators: dict[str, int]
    bytes_per_step: int

    @property
    def words(self) -> str:
        """The operators, the commonest first."""
        return ", ".join(f"{name} x{count}" for name, count in Counter(self.operators).most_common())
