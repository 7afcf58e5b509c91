"""Ways to quantize: a method with its bits, groups and calibration, as a step of a variant and as coordinates of rows."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from edgekit.catalog.models import ModelSpec
from edgekit.compress import rtn
from edgekit.schema import NONE, STORED

# method -> the bits that it has; those of GGUF are in its types
BITS = {"rtn": (8, 4, 3, 2), "awq": (4,), "gptq": (8, 4, 3, 2)}
CALIBRATED = ("awq", "gptq", "gguf_imatrix")
METHODS = (*BITS, "gguf", "gguf_imatrix")
WITHOUT_IMATRIX = ("Q8_0",)  # llama.cpp's importance matrix has no use for it
# What of a method's own choices is changed, and the arguments that change it: the parts of AWQ's search, GPTQ's grid.
CHANGES = {
    "awq": {"all": "", "no clip": ", clip=False", "no scale": ", scale=False", "none": ", scale=False, clip=False",
            "duo": ", duo=True"},
    "gptq": {"all": "", "symmetric": ", symmetric=True"},
}


@dataclass(frozen=True, slots=True)
class QuantizationSpec:
    """One way to quantize; None where a method has no such thing. `condition` is what of it stands in rows."""

    method: str
    bits: int | None = None
    group: int | None = None
    type: str | None = None
    calibration: str | None = None
    samples: int | None = None
    calibration_seed: int | None = None
    search: str | None = None

    def condition(self) -> dict:
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}

    def chain(self, model: str, length: int) -> str:
        """The variant that stores `model` so; calibration sequences are `length` tokens long."""
        if self.method == STORED:
            return f"{model} > stored()"
        return model if self.method == NONE else f"{model} > {self.step(length)}"

    def step(self, length: int) -> str:
        """The step alone; as `chain`."""
        drawn = f"calibration={self.calibration}, samples={self.samples}, length={length}, seed={self.calibration_seed}"
        if self.method == "rtn":
            return f"packed_gptq(bits={self.bits}, group={self.group})"
        if self.method == "gguf":
            return f"gguf_quantized(type={self.type})"
        if self.method == "gguf_imatrix":
            return f"gguf_quantized(type={self.type}, {drawn})"
        return f"{self.method}(bits={self.bits}, group={self.group}, {drawn}{CHANGES[self.method][self.search]})"

    def refusal(self, spec: ModelSpec) -> str | None:
        """Why this cannot be for a model, known beforehand; None where it can."""
        if self.method in BITS and self.bits not in BITS[self.method]:
            return f"{self.method} has no {self.bits} bits; it has {', '.join(map(str, BITS[self.method]))}"
        if self.method in BITS and self.group not in (fits := rtn.groups_that_fit(spec.architecture)):
            return (f"groups of {self.group} do not divide every input width of {spec.name}; these do: "
                    f"{', '.join(map(str, fits))}")
        return None
