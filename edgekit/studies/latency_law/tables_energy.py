"""Laws of the power that was measured here, where a sensor was read."""

from __future__ import annotations

import pandas as pd

from edgekit.analyze import laws, stats
from edgekit.analyze.law_forms import POWER_CONSTANT, SATURATING, logarithmic
from edgekit.analyze.laws import LawError
from edgekit.analyze.once import once
from edgekit.analyze.roofline import LENGTHS, UNIT
from edgekit.analyze.rows import rows_of

LENGTH = {"prefill": "prompt_tokens", "decode": "output_tokens"}
SENSOR = ["scope", "origin"]


@once
def power_points(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a unit, process, sensor, phase and pair of lengths: mean power `power_w` over the `seconds` of a call. Of prefill
    at the shortest output that was metered, of decode at the shortest prompt: one length varies."""
    at = [*UNIT, *SENSOR, "phase", "run", "repeat", *LENGTHS]
    rows = rows_of(frame, "energy", metrics=("energy_j", "window_s"))
    table = rows.pivot_table(index=at, columns="metric", values="value", dropna=False).reset_index()
    if table.empty:
        return pd.DataFrame(columns=[*at, "power_w", "seconds"])
    table = table.dropna(subset=["energy_j", "window_s"])
    other = table.prompt_tokens.where(table.phase == "decode", table.output_tokens)
    table = table[other == other.groupby([table[name] for name in [*UNIT, *SENSOR, "phase"]], dropna=False).transform("min")]
    return table.assign(power_w=table.energy_j / table.window_s, seconds=table.window_s)


@once
def power_law_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Held-out error (%) of each law of power, a line a unit, sensor, phase and law, over processes with its t-interval; or why
    a law could not be fitted."""
    columns = ["phase", *UNIT, *SENSOR, "law", *stats.with_ends("error"), "refused", "n"]
    lines = []
    for key, part in power_points(frame).groupby(["phase", *UNIT, *SENSOR], dropna=False):
        length = LENGTH[key[0]]
        processes = [one.reset_index(drop=True) for _, one in part.groupby(["run", "repeat"])]
        for law in (logarithmic(length), SATURATING, POWER_CONSTANT):
            line = dict(zip(["phase", *UNIT, *SENSOR], key, strict=True)) | dict(law=law.name, refused="", n=len(processes))
            try:
                errors = [laws.mape(laws.held_out(law, one, one.power_w, [length])) for one in processes]
                lines.append(line | stats.ends_of("error", stats.rate_interval(errors)))
            except LawError as error:
                lines.append(line | dict(refused=str(error)))
    return pd.DataFrame(lines, columns=columns)
