"""What needs no clock: the documents' listings under today's versions, and which accelerators no engine here reaches."""

from __future__ import annotations

import pandas as pd

from edgekit.analyze.rows import rows_of
from edgekit.catalog import platforms
from edgekit.catalog.engines import ENGINES
from edgekit.schema import DECLARED, FAILED, PASSED, UNTOLD

# What a device names as its unit of computation (platforms.yaml) -> as what an engine would be asked to run on it. Neural
# engines and signal processors are reached through their makers' own compilers, for which no engine here builds a model.
ASKED_AS = {"Neural Engine": "neural engine", "Hexagon DSP": "hexagon", "NPU": "npu",
            "GPU and accelerators, sparse INT8": "cuda", "tensor cores, dense BF16": "cuda"}
NOBODY = "no engine here"


def listing_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a call of a listing, in their order: whether it ran, and what the library said where it did not."""
    rows = rows_of(frame, "listing", metrics=("ran",))
    told = [dict(listing=line.listing, call=line.call, ran="ran" if line.value else "did not run",
                 said="" if pd.isna(line.reason) else line.reason) for line in rows.itertuples()]
    return pd.DataFrame(told, columns=["listing", "call", "ran", "said"])


def conformance_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a model and cell, a column an outcome: the checks that ended so, and of the failed ones what was seen."""
    rows = rows_of(frame, "conformance", metrics=("conforms",))
    lines = []
    for (model, engine, dtype), part in rows.groupby(["model", "engine", "dtype"]):
        by = {outcome: ", ".join(part.loc[part.outcome == outcome, "check"]) for outcome in (PASSED, DECLARED, UNTOLD, FAILED)}
        said = "; ".join(f"{line.check}: {line.seen}" for line in part[part.outcome == FAILED].itertuples())
        lines.append(dict(model=model, engine=engine, dtype=dtype, **by, said=said))
    return pd.DataFrame(lines, columns=["model", "engine", "dtype", PASSED, DECLARED, UNTOLD, FAILED, "said"])


def reach_table() -> pd.DataFrame:
    """A line a published platform: its unit of computation, which engines can be asked to run on it, and what they reach of the
    same device. Raises KeyError for a unit that ASKED_AS does not know."""
    lines = []
    for platform in platforms.load().values():
        asked = ASKED_AS[platform.compute_unit]
        reached = [name for name, entry in ENGINES.items() if asked in entry.devices]
        lines.append(dict(platform=platform.name, unit=platform.compute_unit, engines=", ".join(reached) or NOBODY,
                          compute_op_per_s=platform.compute_op_per_s))
    return pd.DataFrame(lines)
