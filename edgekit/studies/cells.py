"""A cell, `engine/weights`: what runs a model and how its weights are stored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edgekit import engines
from edgekit.catalog import models
from edgekit.catalog.engines import ENGINES
from edgekit.compress import gguf_quantize
from edgekit.compress import variant as variants
from edgekit.compress.artifact import ELEMENT_BYTES
from edgekit.engines.base import EngineError
from edgekit.params import ParamsError, require
from edgekit.schema import STORED

# 4-bit formats of runtimes, and the step that rounds to them without calibration.
PACKED = {"awq": "packed_awq(bits=4, group={})", "gptq": "packed_gptq(bits=4, group={}, symmetric=True)"}
FLOATS = tuple(ELEMENT_BYTES)
UNPACKED = (*FLOATS, *gguf_quantize.TYPES, STORED)
# Roundings that some engines have in their own format, by names that they share: `steps` of their entries write them. A study
# that takes them names them beside WEIGHTS.
OWN = tuple(dict.fromkeys(name for entry in ENGINES.values() for name in entry.steps if name not in FLOATS))
WEIGHTS = (*UNPACKED, *PACKED)


@dataclass(frozen=True, slots=True)
class Cell:
    """An engine, and the weights that it is given: a float type, a GGUF type, the file that a model came as (`stored`), awq
    or gptq at 4 bits, or a rounding of the engine's own format (int8, int4)."""

    engine: str
    weights: str

    @classmethod
    def parse(cls, text: str, known: Iterable[str] = WEIGHTS) -> Cell:
        """The cell of `engine/weights`. Raises ParamsError for another form, weights that are not `known`, an unknown engine,
        or weights in a format that the engine does not load."""
        engine, slash, weights = text.partition("/")
        require(bool(slash) and weights in known,
                f"cell {text!r}: expected engine/weights with weights one of {', '.join(known)}")
        cell = cls(engine, weights)
        try:
            loads = engines.formats(engine)
        except EngineError as error:
            raise ParamsError(f"cell {text!r}: {error}") from error
        require(cell.format in loads, f"cell {text!r}: {engine} loads {', '.join(loads)}")
        steps = ENGINES[engine].steps
        if weights in OWN or (weights in FLOATS and steps):
            require(weights in steps, f"cell {text!r}: {engine} has no {weights} weights; it has {', '.join(steps or FLOATS)}")
        return cell

    @property
    def format(self) -> str:
        """The format of artifacts with such weights; every engine has one for plain weights."""
        if self.weights in (*FLOATS, *OWN):
            return engines.formats(self.engine)[0]
        return self.weights if self.weights in PACKED else "gguf"

    def dtype(self, activations: str) -> str:
        """What the cell says of the float type of arithmetic; packed weights leave it to `activations`."""
        return activations if self.weights in PACKED else self.weights

    def chain(self, name: str, group: int | None = None) -> str:
        """The variant that stores a model so: rounded, without calibration, where the weights have few bits (packed ones in
        groups of `group`). A model that came rounded is taken off its grid before it is rounded anew."""
        if self.weights in FLOATS:
            return engines.variant_for(self.engine, name, self.weights)
        if self.weights == STORED:
            return f"{name} > stored()"
        start = name if variants.parse(name).steps or models.is_hub_id(name) else variants.to_round(name)
        if self.weights in OWN:
            return engines.variant_for(self.engine, start, self.weights)
        step = PACKED[self.weights].format(group) if self.weights in PACKED else f"gguf_quantized(type={self.weights})"
        return f"{start} > {step}"

    def refusal(self, *chains: str) -> str | None:
        """Why its engine cannot run these chains on this machine (package, kernel for their format); None where it can."""
        return next(filter(None, (engines.absence(self.engine, variants.format_of(chain)) for chain in chains)), None)
