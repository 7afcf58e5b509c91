"""A runtime's own overhead: what a decode step takes beside its bytes, told by models of several sizes.

The time of a step is a sum: its bytes over a rate, and what the runtime takes for itself (its Python, its dispatch, the waits
of its threads), whatever the bytes. The second is seen by extrapolating to zero bytes over models of one runtime and one
precision, and it is a time for each step or for each layer of it, as the runtime starts one or the other anew. Both laws are
fitted to each round of processes; the one that foretells a model that it did not see better is told.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from edgekit.analyze import laws, roofline, stats
from edgekit.analyze.law_forms import BYTES_AND_LAYERS, BYTES_AND_STEPS
from edgekit.analyze.laws import Law, LawError
from edgekit.analyze.once import once
from edgekit.analyze.roofline import LENGTHS, UNIT
from edgekit.analyze.rows import rows_of

RUNTIME = ["engine", "dtype", "threads", "device", "source"]
LAWS = (BYTES_AND_STEPS, BYTES_AND_LAYERS)
FEWEST = 3  # models of different sizes: with two, two coefficients leave nothing to err


@once
def step_points(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a unit, process and pair of lengths: `seconds` of a decode step, its `step_bytes`, one step, and the `layers` and
    `parameters` of the model, with the bandwidth that the process measured."""
    rows = rows_of(frame, "speed")
    facts = rows[rows.metric.isin(["weight_bytes", "kv_bytes_per_token", "window_tokens", "local_kv_bytes_per_token",
                                   "parameters"])].pivot_table(index=UNIT, columns="metric", values="value")
    layers = rows[(rows.metric == "size") & (rows.part == "layers")].groupby("model")["value"].median()
    beside = rows[rows.metric == "memory_bandwidth_byte_per_s"].set_index([*UNIT, "run", "repeat"])["value"]
    times = rows[(rows.metric == "tpot_s") & (rows.batch == 1) & rows.model.isin(layers.index)]
    lines = []
    for line in times.itertuples():
        unit = tuple(getattr(line, name) for name in UNIT)
        known = facts.loc[unit].dropna().to_dict()
        context = roofline.mean_context(line.prompt_tokens, line.output_tokens)
        size = roofline.step_bytes(known["weight_bytes"], roofline.kv_per_token(known, context), context)
        lines.append(dict(zip(UNIT, unit, strict=True)) | dict(
            prompt_tokens=line.prompt_tokens, output_tokens=line.output_tokens, repeat=line.repeat, seconds=line.value,
            step_bytes=size, steps=1, layers=layers[line.model], parameters=known["parameters"],
            cache=line.last_level_cache_bytes,
            bandwidth=beside.get((*unit, line.run, line.repeat), np.nan)))
    return pd.DataFrame(lines, columns=[*UNIT, *LENGTHS, "repeat", "seconds", "step_bytes", "steps", "layers", "parameters",
                                        "cache", "bandwidth"])


@once
def overhead_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a runtime and precision: `overhead_s` of a step of the largest model, `byte_per_s` of the rest, its
    share of the measured bandwidth (`kernel_share`), `even_bytes`, the bytes of a step at which both take as long, and the
    `error` (%) of the law on models that it did not see. `refused`: why there is none of it; `void`: why there is no share of
    the bandwidth, where a cache holds some of the models and the rate passes that of the memory."""
    columns = [*RUNTIME, "law", *stats.with_ends("overhead_s", "byte_per_s", "kernel_share", "even_bytes"), "error", "models",
               "layers", "refused", "void", "n"]
    lines = []
    for key, points in step_points(frame).groupby(RUNTIME):
        line = dict(zip(RUNTIME, key, strict=True)) | dict(models=points.model.nunique(), refused="", void="", n=0)
        if line["models"] < FEWEST:
            lines.append(line | dict(refused=f"needs {FEWEST} models of different sizes, got {line['models']}"))
            continue
        fits = {law.name: found for law in LAWS if (found := _fits(law, points)) is not None}
        if not fits:
            lines.append(line | dict(refused="its models cannot tell a rate and an overhead apart"))
            continue
        name, (values, error) = min(fits.items(), key=lambda item: item[1][1])
        lines.append(line | dict(law=name, error=error, n=len(values)) | _told(name, values, points))
    return pd.DataFrame(lines, columns=columns)


@once
def share_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a model, runtime and precision: `overhead_share`, the part of a step that its bytes at the runtime's rate do not
    explain, the mean over processes; `step_bytes` of the longest lengths, and the law's share at such a step (`law_share`)."""
    columns = [*RUNTIME, "model", "parameters", "step_bytes", *stats.with_ends("overhead_share"), "law_share", "n"]
    points, lines = step_points(frame), []
    for runtime in overhead_table(frame).query("refused == ''").itertuples():
        here = points[(points[RUNTIME] == [getattr(runtime, name) for name in RUNTIME]).all(axis=1)]
        for model, part in here.groupby("model"):
            part = part[part.step_bytes == part.step_bytes.max()]
            read = part.step_bytes / runtime.byte_per_s
            layers = part.layers.iloc[0] / runtime.layers if runtime.law == BYTES_AND_LAYERS.name else 1
            overhead = runtime.overhead_s * layers
            line = {name: getattr(runtime, name) for name in RUNTIME} | dict(
                model=model, parameters=part.parameters.iloc[0], step_bytes=part.step_bytes.iloc[0], n=len(part),
                law_share=overhead / (overhead + read.iloc[0]))
            lines.append(line | stats.ends_of("overhead_share", stats.mean_interval(1 - read / part.seconds)))
    return pd.DataFrame(lines, columns=columns).sort_values([*RUNTIME, "step_bytes"], kind="stable").reset_index(drop=True)


def _fits(law: Law, points: pd.DataFrame) -> tuple[np.ndarray, float] | None:
    """Coefficients, a line a round, and the mean error (%) on models that a fit did not see; None where it cannot be fitted."""
    values, errors = [], []
    try:
        for _, part in points.groupby("repeat"):
            values.append(laws.fit(law, part, part.seconds).values)
            errors.append(_unseen(law, part))
    except LawError:
        return None
    return np.array(values), float(100 * np.mean(np.abs(np.concatenate(errors))))


def _unseen(law: Law, part: pd.DataFrame) -> np.ndarray:
    """Relative errors on each model of a fit to the others."""
    found = []
    for model in part.model.unique():
        other, own = part[part.model != model], part[part.model == model]
        found.append(laws.relative(laws.fit(law, other, other.seconds).predict(own), own.seconds.to_numpy()))
    return np.concatenate(found)


def _told(law: str, values: np.ndarray, points: pd.DataFrame) -> dict:
    """What the coefficients of the rounds say together. An overhead below zero, which noise can give, has no even bytes."""
    layers = points.loc[points.parameters.idxmax(), "layers"]
    overhead = values[:, 1] * (layers if law == BYTES_AND_LAYERS.name else 1)
    told = dict(layers=layers) | stats.ends_of("overhead_s", stats.mean_interval(overhead))
    if (values[:, 0] > 0).all():
        rates = 1 / values[:, 0]
        told |= stats.ends_of("byte_per_s", stats.rate_interval(rates))
        bandwidth = points.groupby("repeat").bandwidth.median().to_numpy()
        if np.isfinite(bandwidth).all():
            share = stats.rate_interval(rates / bandwidth)
            told["void"] = roofline.in_cache(share, points.step_bytes.min(), float(points.cache.max()))
            told |= {} if told["void"] else stats.ends_of("kernel_share", share)
        if (overhead > 0).all():
            told |= stats.ends_of("even_bytes", stats.rate_interval(overhead * rates))
    return told
