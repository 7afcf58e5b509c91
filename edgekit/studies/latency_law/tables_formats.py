"""Which rate each stored format of weights is read at: the physical law of decoding, with a time a byte for each of them.

A GGUF file of one name holds tensors of several formats, and a kernel that dequantizes more slowly than the memory delivers
makes bytes of its format dearer. Over several cells of one engine the time of all steps is a sum over formats, bytes times a
time a byte, none of which is below zero; keys and values are a format of their own.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import optimize

from edgekit.analyze import stats
from edgekit.analyze.observed import kind
from edgekit.analyze.once import once
from edgekit.analyze.roofline import UNIT
from edgekit.analyze.rows import rows_of
from edgekit.studies.latency_law.tables import decode_points, units

LEAST_SHARE = 0.02  # of a step: formats below it in every cell are counted with keys and values, as one rest
REST = "keys, values and rest"
TOGETHER = ["engine", "threads", "device"]


@once
def format_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Bytes that a step reads by the format that a GGUF file stores them in: a line a unit and format, with its `share`."""
    rows = rows_of(frame, "speed", metrics=("type_bytes",))
    found = rows.groupby([*UNIT, "type"], dropna=False)["value"].median().reset_index(name="nbytes")
    whole = found.groupby(UNIT, dropna=False).nbytes.transform("sum")
    return found.assign(share=found.nbytes / whole).sort_values([*UNIT, "share"], ascending=[True] * len(UNIT) + [False])


@once
def format_rate_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The rate at which decoding reads each stored format, a line an engine and format: `rate` (bytes a second, mean over
    processes with its t-interval), the `cells` that hold it, and by how much (%) the sum over formats is off (`error`).

    Of models that are not pocket ones, which a cache may hold. A format that these cells cannot tell from others, or that costs
    nothing beside them, has no rate; where there are fewer cells than formats, `refused` says how many it takes.
    """
    columns = [*TOGETHER, "format", *stats.with_ends("rate"), "cells", "error", "refused", "n"]
    formats, points = format_table(frame), decode_points(frame)
    formats, points = (table[table.model.map(kind) != "pocket"] for table in (formats, points))
    lines = []
    for key, part in formats.groupby(TOGETHER):
        here = points[(points[TOGETHER] == list(key)).all(axis=1)]
        known = list(dict.fromkeys(part.type[part.share >= LEAST_SHARE]))
        cells = part.groupby(UNIT, dropna=False).ngroups
        line = dict(zip(TOGETHER, key, strict=True))
        if cells < len(known):
            lines.append(line | dict(cells=cells, refused=f"{len(known)} formats ({', '.join(known)}) take at least as many "
                                                          f"cells, got {cells}"))
            continue
        found, errors = _solved(part, here, known)
        for nth, name in enumerate([*known, REST]):
            told = found[:, nth][found[:, nth] > 0]
            rate = stats.rate_interval(1 / told) if len(told) == len(found) else None
            held = cells if name == REST else int((part.type == name).sum())
            lines.append(line | dict(format=name, cells=held, error=float(np.mean(errors)), refused="", n=len(found))
                         | stats.ends_of("rate", rate))
    return pd.DataFrame(lines, columns=columns)


def _solved(formats: pd.DataFrame, points: pd.DataFrame, known: list[str]) -> tuple[np.ndarray, list[float]]:
    """Seconds a byte, a line a process and a column a format and the rest, by least squares of relative errors; and the mean
    absolute errors (%). A process of one cell is put beside those of the others that were measured in the same round."""
    byte = formats.set_index([*UNIT, "type"]).nbytes
    rounds: dict[int, list[np.ndarray]] = {}
    for unit, processes in units(points):
        at = tuple(unit[name] for name in UNIT)
        of = np.array([byte.get((*at, name), 0.0) for name in known])
        for nth, part in enumerate(processes):
            read = part.steps.to_numpy()[:, None] * of
            rest = part.step_bytes.to_numpy() - read.sum(axis=1)
            rounds.setdefault(nth, []).append(np.column_stack([read, rest]) / part.seconds.to_numpy()[:, None])
    found, errors = [], []
    for parts in rounds.values():
        design = np.concatenate(parts)
        size = np.where(design.max(axis=0) > 0, design.max(axis=0), 1.0)
        values = optimize.nnls(design / size, np.ones(len(design)))[0] / size
        found.append(values)
        errors.append(100 * float(np.mean(np.abs(design @ values - 1))))
    return np.array(found), errors
