"""Whether a rounding would fall onto the grid that weights came on: its loss is then zero by construction, and no finding."""

from __future__ import annotations

from edgekit.building import BuildError
from edgekit.catalog import gguf_file
from edgekit.compress.artifact import Artifact

# ggml's block formats: bits of a code, and neighbouring inputs that share a scale (ggml-common.h)
GRIDS = {"Q4_0": (4, 32), "Q4_1": (4, 32), "Q5_0": (5, 32), "Q5_1": (5, 32), "Q8_0": (8, 32), "Q2_K": (2, 16), "Q3_K": (3, 16),
         "Q4_K": (4, 32), "Q5_K": (5, 32), "Q6_K": (6, 16)}
MOST = 0.05  # share of the weights that may lie on a grid that is asked for again


def require_new(step: str, source: Artifact, *, bits: int, group: int) -> None:
    """Raise BuildError, in the name of `step`, where codes of `bits` bits in groups of `group` neighbouring inputs, each with a
    scale and a zero point, hold the grid that most weights of `source` came on."""
    if source.spec.file is not None:
        kinds = gguf_file.read(source.spec.file).kinds()
        _refuse(step, source, f"{bits} bits in groups of {group}", sum(
            count for kind, count in kinds.items()
            if kind in GRIDS and bits >= GRIDS[kind][0] and GRIDS[kind][1] % group == 0) / kinds.total())


def require_new_type(step: str, source: Artifact, *, type: str, file_type: int) -> None:
    """The same for a GGUF type, whose number is `file_type`."""
    if source.spec.file is not None:
        told = gguf_file.read(source.spec.file)
        same = told.keys.get("general.file_type") == file_type
        kinds = told.kinds()
        _refuse(step, source, type, 1.0 if same else kinds[type.removesuffix("_M")] / kinds.total())


def _refuse(step: str, source: Artifact, asked: str, share: float) -> None:
    if share > MOST:
        file = source.spec.file
        raise BuildError(f"{step}: {share:.0%} of the weights of {source.spec.name} came on a grid that {asked} holds "
                         f"({file.name}: {gguf_file.read(file).stored_as}), so that its loss would be zero by construction and "
                         "no finding; put rescaled() before this step, which takes the weights off the grid and leaves the "
                         "function")
