"""What to take: the best configuration within a time, the size from which reasoning pays, the tip of starting small, and how
many questions it takes to tell."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd

from edgekit.analyze import frontier, selection, stats
from edgekit.analyze.once import once
from edgekit.analyze.selection import Candidate
from edgekit.studies.frontier import tables
from edgekit.studies.frontier.tables import CELL, DIRECT, Grid

THINK = "think"


def limits_of(times: Iterable[float]) -> list[float]:
    """Time limits in steps of 1, 2, 5 from the first that some configuration meets to the first that all do."""
    low, high = min(times), max(times)
    steps = [factor * 10.0**power for power in range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
             for factor in (1, 2, 5)]
    return [limit for limit, before in zip(steps[1:], steps, strict=False) if limit >= low and before < high]


@once
def choices_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a family and time limit: the most accurate configuration that takes no longer, its accuracy and time, the share of
    resampled questions in which it is the choice too (`stable`), and the runner-up with how much less accurate it is."""
    columns = ["domain", "limit_s", *CELL, "mode", "parameters", "accuracy", "time_s", "stable", "second",
               *stats.with_ends("ahead"), "n"]
    lines = []
    for domain, grid in tables.grids(frame).items():
        draws = grid.draws()
        for limit in limits_of(grid.time_s):
            best = frontier.best_within(grid.time_s, grid.accuracy, limit)
            if best is None:
                continue
            config = grid.configs.loc[best]
            line = dict(domain=domain, limit_s=limit, **config[[*CELL, "mode", "parameters"]], accuracy=grid.accuracy[best],
                        time_s=grid.time_s[best], stable=draws.best_shares(limit)[best], n=grid.correct.shape[1])
            others = [i for i in np.flatnonzero(grid.time_s <= limit) if i != best]
            if others:
                second = max(others, key=lambda i: (grid.accuracy[i], -grid.time_s[i]))
                line |= dict(second=label(grid.configs.loc[second])) | stats.ends_of("ahead", stats.Estimate(
                    float(grid.accuracy[best] - grid.accuracy[second]),
                    *draws.interval(draws.accuracy[:, best] - draws.accuracy[:, second]), grid.correct.shape[1]))
            lines.append(line)
    return tables.float_ends(pd.DataFrame(lines, columns=columns))


def label(config) -> str:
    """A configuration in words."""
    return f"{config['model']} {config['dtype']}, {config['mode']}"


@once
def sizes_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a cell that answers with and without reasoning: what no reasoning gains in accuracy over reasoning in full
    (below 0: reasoning is better), on the same questions, and the time of both."""
    columns = ["domain", *CELL, "parameters", *stats.with_ends("gained"), "direct", "think", "direct_s", "think_s", "n"]
    lines = []
    for domain, grid in tables.grids(frame).items():
        for key, part in grid.configs.groupby(CELL):
            places = {config["mode"]: i for i, config in part.iterrows()}
            if {DIRECT, THINK} <= places.keys():
                a, b = places[DIRECT], places[THINK]
                lines.append(dict(domain=domain, **dict(zip(CELL, key, strict=True)), parameters=part.parameters.iloc[0],
                                  direct=grid.accuracy[a], think=grid.accuracy[b], direct_s=grid.time_s[a],
                                  think_s=grid.time_s[b], n=grid.correct.shape[1])
                             | stats.ends_of("gained", stats.paired_difference(grid.correct[a], grid.correct[b])))
    return pd.DataFrame(lines, columns=columns).sort_values(["domain", "parameters"], kind="stable").reset_index(drop=True)


@once
def crossing_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a family and cell's engine and weights with several models: the `size` (weights) up to which no reasoning is the
    better way, its interval over resampled questions where most of them have one, and the share that has (`crosses`)."""
    columns = ["domain", "engine", "dtype", *stats.with_ends("size"), "crosses", "smallest_gain", "models", "n"]
    lines = []
    for domain, grid in tables.grids(frame).items():
        for (engine, dtype), part in grid.configs.groupby(["engine", "dtype"]):
            places = part.assign(place=part.index).pivot(index="model", columns="mode", values="place")
            pairs = places.reindex(columns=[DIRECT, THINK]).dropna().astype(int).to_numpy()
            if len(pairs) < 2:
                continue
            sizes = [grid.configs.parameters[a] for a, _ in pairs]
            gains = [float(grid.accuracy[a] - grid.accuracy[b]) for a, b in pairs]
            draws = grid.draws().accuracy
            drawn = [frontier.crossing(sizes, [line[a] - line[b] for a, b in pairs]) for line in draws]
            crossed = [size for size in drawn if size is not None]
            ends = np.quantile(crossed, (0.025, 0.975)) if len(crossed) > len(drawn) / 2 else (np.nan, np.nan)
            found = frontier.crossing(sizes, gains)
            lines.append(dict(domain=domain, engine=engine, dtype=dtype, size=np.nan if found is None else found,
                              size_low=ends[0], size_high=ends[1], crosses=len(crossed) / len(drawn),
                              smallest_gain=gains[int(np.argmin(sizes))], models=len(pairs), n=grid.correct.shape[1]))
    return pd.DataFrame(lines, columns=columns)


@once
def tip_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a family, way to reason and accuracy that is wanted (each that some model reaches): what the tip chooses and
    measures, beside the fastest of all that reach it. `slower`: its time over that one's; `saved`: the share of measurements
    that it did not make."""
    columns = ["domain", "mode", "wanted", "chosen", "best", "slower", "measured", "of", "saved"]
    lines = []
    for domain, grid in tables.grids(frame).items():
        for mode in (THINK, DIRECT):
            lines += [dict(domain=domain, mode=mode) | line for line in tip_lines(grid, mode)]
    return pd.DataFrame(lines, columns=columns)


def tip_lines(grid: Grid, mode: str, accuracy: np.ndarray | None = None, time_s: np.ndarray | None = None) -> list[dict]:
    """The lines of `tip_table` for one way to reason; accuracies and times are the grid's, or one draw of them."""
    accuracy, time_s = (grid.accuracy if accuracy is None else accuracy), (grid.time_s if time_s is None else time_s)
    configs = grid.configs[grid.configs["mode"] == mode]
    candidates = [Candidate(f"{model} {dtype}", float(parameters), float(weight_bytes), float(accuracy[i]), float(time_s[i]))
                  for i, model, dtype, parameters, weight_bytes in
                  configs[["model", "dtype", "parameters", "weight_bytes"]].itertuples(name=None)]
    if len(candidates) < 2:
        return []
    order, lines = selection.in_order(candidates), []
    for wanted in sorted({one.accuracy for one in candidates if one.accuracy > 0}):
        tip, best = selection.smallest_first(order, wanted), selection.exhaustive(candidates, wanted)
        lines.append(dict(wanted=wanted, chosen=tip.chosen.name, best=best.chosen.name,
                          slower=tip.chosen.time_s / best.chosen.time_s, measured=len(tip.measured), of=len(candidates),
                          saved=1 - len(tip.measured) / len(candidates)))
    return lines


def power_table(items: int, discordant: Iterable[float] = (0.1, 0.2, 0.3, 0.5)) -> pd.DataFrame:
    """Before anything is measured: the smallest difference of accuracy that so many questions find in four of five runs, by the
    share of questions on which two configurations differ; and how many questions 5 and 10 % points would take."""
    return pd.DataFrame([dict(discordant=share, detectable=frontier.detectable(items, share),
                              for_10=frontier.items_needed(0.10, share), for_5=frontier.items_needed(0.05, share))
                         for share in discordant]).astype(dict(detectable=float))
