"""How the weights of a checkpoint are packed: what a config's `quantization_config` says, and the tensors that it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from edgekit.errors import InvalidRequest

AWQ_BITS = 4
GPTQ_BITS = (2, 3, 4, 8)
# Checkpoint formats of GPTQ: v1 stores a zero point less one, so a zero point of 0 has no place in it; v2 stores it as it is.
GPTQ_V1, GPTQ_V2 = "gptq", "gptq_v2"


class PackingError(InvalidRequest):
    """Weights are packed in a way that no step and no engine here reads; the message says what is known."""


@dataclass(frozen=True, slots=True)
class Packing:
    """Codes of `bits` bits in groups of `group` neighbouring inputs (None: all of them) of each output.

    version: AWQ's gemm, or GPTQ's gptq or gptq_v2. reordered: GPTQ's groups are not of neighbours (`desc_act`), and readers
    need the index of each input's group.
    """

    method: Literal["awq", "gptq"]
    bits: int
    group: int | None
    version: str
    reordered: bool

    @classmethod
    def of_config(cls, config: Mapping) -> Packing | None:
        """What a `config.json` says; None for plain weights. Raises PackingError for a method or layout that is not known."""
        told = config.get("quantization_config")
        if not told:
            return None
        if not isinstance(told, Mapping):
            raise PackingError(f"expected quantization_config to be an object, got {told!r}")
        method, bits, group = told.get("quant_method"), told.get("bits"), told.get("group_size")
        if method not in ("awq", "gptq"):
            raise PackingError(f"weights are quantized by {method!r} (quantization_config); known: awq, gptq: take the model "
                               "with "
                               "plain weights")
        if method == "awq":
            version = str(told.get("version")).lower()
            if bits != AWQ_BITS or version != "gemm" or told.get("zero_point") is not True:
                raise PackingError(f"expected AWQ's gemm layout of {AWQ_BITS} bits with zero points, got {bits!r} bits, "
                                   "version "
                                   f"{told.get('version')!r}, zero_point {told.get('zero_point')!r}")
        else:
            version = told.get("checkpoint_format", GPTQ_V1)  # older files, all of them v1, do not say
            if bits not in GPTQ_BITS or version not in (GPTQ_V1, GPTQ_V2):
                raise PackingError(f"expected GPTQ of {', '.join(map(str, GPTQ_BITS))} bits as gptq or gptq_v2, got {bits!r} "
                                   "bits "
                                   f"as {version!r}")
        if told.get("dynamic") or told.get("pack_dtype", "int32") != "int32":
            raise PackingError("expected one layout for all matrices, in words of 32 bits, got quantization_config with "
                               f"dynamic={told.get('dynamic')!r}, pack_dtype={told.get('pack_dtype')!r}")
        if type(group) is not int or (group < 1 and group != -1):
            raise PackingError(f"expected group_size in quantization_config to be a number of inputs, or -1, got {group!r}")
        return cls(method, bits, None if group == -1 else group, version, bool(told.get("desc_act")))

    def parts(self, shape: tuple[int, ...]) -> dict[str, tuple[tuple[str, ...], tuple[int, ...]]]:
        """The tensors that stand for a matrix (outputs, inputs), by the last part of their names: dtypes that each may have,
        as safetensors names them, and its shape."""
        outputs, inputs = shape
        groups = -(-inputs // (self.group or inputs))
        words = ("I32",)
        codes = (inputs, outputs * self.bits // 32) if self.method == "awq" else (inputs * self.bits // 32, outputs)
        parts = {"qweight": (words, codes), "qzeros": (words, (groups, outputs * self.bits // 32)),
                 "scales": (("F16", "BF16"), (groups, outputs))}
        return parts if self.method == "awq" else parts | {"g_idx": (words, (inputs,))}
