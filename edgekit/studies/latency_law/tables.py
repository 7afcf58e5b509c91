"""The rows of 08_latency_law as tidy tables: the points that laws are fitted to, how far off each law is, and their
coefficients.

A process times all lengths, so its points share whatever was unlike in it. A law is therefore fitted to one process at a
time, and what is told of it (an error, a coefficient) is the mean over processes with its t-interval (errors vary by factors:
their geometric mean). Held-out errors are those of laws.held_out: a pair of prompt and output lengths is predicted from
points that have neither.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from edgekit.analyze import laws, roofline, stats
from edgekit.analyze.law_forms import DECODE, PREFILL
from edgekit.analyze.laws import Law, LawError
from edgekit.analyze.once import once
from edgekit.analyze.roofline import UNIT
from edgekit.analyze.rows import rows_of

PROCESS = ["run", "repeat"]
LEAST_OUTPUT = 4  # tokens: a single step's time is no decode of a length
LAWS = {"prefill": PREFILL, "decode": DECODE}
BY = {"prefill": ["prompt_tokens"], "decode": ["prompt_tokens", "output_tokens"]}


@once
def prefill_points(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a unit, process and prompt length: `seconds` to the first token and the `flop` counted for it."""
    rows = rows_of(frame, "speed", metrics=("ttft_s", "prefill_flop")).dropna(subset=["prompt_tokens"])
    times, work = (rows[rows.metric == name] for name in ("ttft_s", "prefill_flop"))
    at = [*UNIT, *PROCESS, "prompt_tokens"]
    points = times[[*at, "output_tokens", "value"]].rename(columns={"value": "seconds"}).merge(
        work[[*at, "value"]].rename(columns={"value": "flop"}), on=at, validate="one_to_one")
    return _sized(points, frame)


@once
def decode_points(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a unit, process and pair of lengths: `seconds` from the first token to the last, the `steps` in between, and the
    bytes that all of them read (`step_bytes`): the weights each time, keys and values of the context that grows."""
    rows = rows_of(frame, "speed")
    facts = rows[rows.metric.isin(["weight_bytes", "kv_bytes_per_token", "window_tokens", "local_kv_bytes_per_token"])]
    facts = facts.pivot_table(index=UNIT, columns="metric", values="value", aggfunc="median", dropna=False)
    times = rows[(rows.metric == "decode_s") & (rows.output_tokens >= LEAST_OUTPUT)]
    points = times[[*UNIT, *PROCESS, *roofline.LENGTHS, "value"]].rename(columns={"value": "seconds"})
    points = points.assign(steps=points.output_tokens - 1)
    read = []
    for line in points.itertuples():
        known = facts.loc[tuple(getattr(line, name) for name in UNIT)].dropna().to_dict()
        context = roofline.mean_context(line.prompt_tokens, line.output_tokens)
        read.append(line.steps * roofline.step_bytes(known["weight_bytes"], roofline.kv_per_token(known, context), context,
                                                     line.batch))
    return _sized(points.assign(step_bytes=read), frame)


def _sized(points: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """With the number of weights, from the smallest model to the largest."""
    sizes = rows_of(frame, "speed", metrics=("parameters",)).groupby("model")["value"].median()
    points = points.assign(parameters=points.model.map(sizes))
    return points.sort_values(["parameters", *UNIT, *PROCESS, *roofline.LENGTHS], kind="stable").reset_index(drop=True)


def points_of(frame: pd.DataFrame, phase: str) -> pd.DataFrame:
    """The points of prefill or decode."""
    return prefill_points(frame) if phase == "prefill" else decode_points(frame)


def units(points: pd.DataFrame) -> Iterator[tuple[dict, list[pd.DataFrame]]]:
    """The coordinates of each unit, and the points of each of its processes."""
    for key, part in points.groupby(UNIT, sort=False, dropna=False):
        yield dict(zip(UNIT, key, strict=True)) | {"parameters": part.parameters.iloc[0]}, [
            one.reset_index(drop=True) for _, one in part.groupby(PROCESS, sort=True)]


@once
def error_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a unit, phase and law: the mean absolute error (%) at held-out lengths (`error`), the same without points that
    are marked as outliers (`error_kept`, `outliers` of them in all processes), the error on its own points (`within`), and
    why a law could not be fitted (`refused`). `best` marks the law with the least held-out error of a unit and phase."""
    columns = ["phase", *UNIT, "parameters", "law", "formula", "points", *stats.with_ends("error", "error_kept", "within"),
               "outliers", "refused", "best", "n"]
    lines = []
    for phase, known in LAWS.items():
        for unit, processes in units(points_of(frame, phase)):
            here = [unit | {"phase": phase} | _errors(law, processes, BY[phase]) for law in known]
            least = min((line["error"] for line in here if not line["refused"]), default=None)
            lines += [line | {"best": line.get("error") == least and least is not None} for line in here]
    return pd.DataFrame(lines, columns=columns)


def refused_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The lines of `error_table` whose law could not be fitted, with why."""
    table = error_table(frame)
    return table[table.refused != ""]


def best_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The line of the best law of each unit and phase in `error_table`, with the next best (`runner_up`, `runner_up_error`)."""
    table = error_table(frame)
    lines = []
    for _, part in table[table.refused == ""].groupby(["phase", *UNIT], sort=False, dropna=False):
        ranked = part.sort_values("error", kind="stable")
        second = ranked.iloc[1] if len(ranked) > 1 else None
        lines.append(ranked.iloc[0].to_dict() | dict(runner_up=None if second is None else second.law,
                                                     runner_up_error=np.nan if second is None else second.error))
    return pd.DataFrame(lines, columns=[*table.columns, "runner_up", "runner_up_error"])


def _errors(law: Law, processes: list[pd.DataFrame], by: list[str]) -> dict:
    line = dict(law=law.name, formula=law.formula, points=len(processes[0]), n=len(processes), refused="")
    try:
        apart = [laws.mape(laws.held_out(law, part, part.seconds, by)) for part in processes]
        within = [laws.fit(law, part, part.seconds).mape for part in processes]
    except LawError as error:
        return line | {"refused": str(error)}
    marks = [laws.outliers(law, part, part.seconds) for part in processes]
    try:
        kept = [laws.mape(laws.held_out(law, part[~mark], part.seconds[~mark], by)) if mark.any() else error
                for part, mark, error in zip(processes, marks, apart, strict=True)]
    except LawError:  # without the marked points too few are left
        kept = None
    found = dict(error=apart, within=within) | (dict(error_kept=kept) if kept else {})
    line["outliers"] = int(sum(mark.sum() for mark in marks))
    for name, values in found.items():
        line |= stats.ends_of(name, stats.rate_interval(values))
    return line


@once
def coefficient_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a unit, phase, law and coefficient: its mean over processes with the t-interval; laws that are refused have
    none."""
    columns = ["phase", *UNIT, "parameters", "law", "coefficient", *stats.with_ends("value"), "n"]
    lines = []
    for phase, known in LAWS.items():
        for unit, processes in units(points_of(frame, phase)):
            for law in known:
                try:
                    found = np.array([laws.fit(law, part, part.seconds).values for part in processes])
                except LawError:
                    continue
                lines += [unit | dict(phase=phase, law=law.name, coefficient=name, n=len(processes))
                          | stats.ends_of("value", stats.mean_interval(values))
                          for name, values in zip(law.coefficients, found.T, strict=True)]
    return pd.DataFrame(lines, columns=columns)


@once
def residual_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a unit, phase, law and pair of lengths: by how much (%) the law, fitted without these lengths, is above what was
    seen (`residual`, mean over processes with its t-interval)."""
    columns = ["phase", *UNIT, "parameters", "law", *roofline.LENGTHS, *stats.with_ends("residual"), "n"]
    lines = []
    for phase, known in LAWS.items():
        for unit, processes in units(points_of(frame, phase)):
            for law in known:
                try:
                    found = np.array([100 * laws.held_out(law, part, part.seconds, BY[phase]) for part in processes])
                except LawError:  # told by `refused_table`
                    continue
                lines += [unit | dict(phase=phase, law=law.name, prompt_tokens=at.prompt_tokens, output_tokens=at.output_tokens,
                                      n=len(processes)) | stats.ends_of("residual", stats.mean_interval(values))
                          for at, values in zip(processes[0].itertuples(), found.T, strict=True)]
    return pd.DataFrame(lines, columns=columns)
