"""The quantities by which claims about reasoning within a time are judged; see observed.Quantity for what one is."""

from __future__ import annotations

import numpy as np
import pandas as pd

from edgekit.analyze import frontier, stats
from edgekit.analyze.observed import NotMeasured, Observation, Quantity, Setting, estimate_of, kind
from edgekit.analyze.stats import Estimate, number
from edgekit.studies.frontier import tables, tables_answers, tables_choices, tables_votes
from edgekit.studies.frontier.tables import CELL, DIRECT, Grid, kind_of

VOTES = 8  # the claim's number of samples
MANY = 32  # that of EdgeReasoning's figure


def best_size_growth(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Size of the best model for the longest time limit over that for the shortest, over resampled questions."""
    found = []
    for domain, grid in _grids(frame, setting, least_models=2).items():
        limits, sizes = tables_choices.limits_of(grid.time_s), grid.configs.parameters.to_numpy()
        ends = [_best(grid.time_s, grid.accuracy, limit) for limit in (limits[0], limits[-1])]
        draws = grid.draws()
        ratios = np.array([sizes[_best(time, accuracy, limits[-1])] / sizes[_best(time, accuracy, limits[0])]
                           for time, accuracy in zip(draws.time, draws.accuracy, strict=True)])
        told = "; ".join(f"within {number(limit)} s {tables_choices.label(grid.configs.loc[place])}"
                         for limit, place in zip((limits[0], limits[-1]), ends, strict=True))
        found.append(_of_grid(domain, grid, Estimate(float(sizes[ends[1]] / sizes[ends[0]]), *draws.interval(ratios),
                                                     grid.correct.shape[1], "times", "best model's size, longest limit over "
                                                     "shortest"), told))
    return _favoured(found, accepted)


def no_reasoning_gain(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Accuracy of the best configuration without reasoning less that of the best with it, at the time limit where that is
    largest among those that some reasoning meets, in % points, over resampled questions."""
    found = []
    for domain, grid in _grids(frame, setting, least_models=2).items():
        without = grid.configs["mode"].to_numpy() == DIRECT
        if not without.any() or without.all():
            continue
        limits = [limit for limit in tables_choices.limits_of(grid.time_s) if limit >= grid.time_s[~without].min()]
        gains = [_gain(grid.time_s, grid.accuracy, without, limit) for limit in limits]
        limit = limits[int(np.argmax(gains))]
        draws = grid.draws()
        drawn = np.array([_gain(time, accuracy, without, limit)
                          for time, accuracy in zip(draws.time, draws.accuracy, strict=True)])
        best = _best(np.where(without, grid.time_s, np.inf), grid.accuracy, limit)
        told = f"within {number(limit)} s, by {tables_choices.label(grid.configs.loc[best])}"
        gain = Estimate(max(gains), *draws.interval(drawn), grid.correct.shape[1], "",
                        "no reasoning over reasoning within a time")
        found.append(_of_grid(domain, grid, stats.percent(gain, "% points"), told))
    if not found:
        raise NotMeasured("answers with and without reasoning")
    return _favoured(found, accepted)


def _gain(time: np.ndarray, accuracy: np.ndarray, without: np.ndarray, limit: float) -> float:
    """Best accuracy of those without reasoning less that of the others; of those that take longer, the fastest."""
    a, b = (accuracy[_best(np.where(chosen, time, np.inf), accuracy, limit)] for chosen in (without, ~without))
    return float(a - b)


def _best(time: np.ndarray, accuracy: np.ndarray, limit: float) -> int:
    """The best within a limit; where nothing is (a resampled time may lie above it), the fastest."""
    if (time <= limit).any():
        finite = np.where(np.isfinite(time), time, 1e300)
        return frontier.best_within(finite, accuracy, limit)
    return int(np.argmin(time))


def prompt_budget_tokens(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Tokens of an answer with a budget in its prompt over those in full, on the same questions."""
    table = _budgets(frame, setting, ("soft", "budget"), "answers with a budget in the prompt, and in full")
    what = "tokens with a budget in the prompt over those in full"
    return _favoured([_of_config(line, estimate_of(line, "token_ratio", "times", what)) for _, line in table.iterrows()],
                     accepted)


def prompt_budget_cost(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Accuracy in full less that with a budget in the prompt, in % points, on the same questions."""
    table = _budgets(frame, setting, ("soft", "budget"), "answers with a budget in the prompt, and in full")
    found = []
    for _, line in table.iterrows():
        gain = estimate_of(line, "gained", "", "")
        cost = Estimate(-gain.value, -gain.high, -gain.low, gain.n, "", "accuracy that a budget in the prompt costs")
        found.append(_of_config(line, stats.percent(cost, "% points")))
    return _favoured(found, accepted)


def budget_kept(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Share of the answers of a model that was trained on budgets that keep to theirs, in %."""
    table = _budgets(frame, setting, ("budget",), "answers of a model that was trained on budgets")
    return _favoured([_of_config(line, stats.percent(estimate_of(line, "kept", "", "answers within their trained budget")))
                      for _, line in table.iterrows()], accepted)


def no_reasoning_gain_smallest(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Accuracy of the smallest model without reasoning less that in full, in % points, on the same questions."""
    table = tables_choices.sizes_table(frame)
    table = table[table.model.map(kind).isin(setting.models)] if len(table) else table
    if table.empty:
        raise NotMeasured("answers of one model with and without reasoning")
    table = table[table.parameters == table.parameters.min()]
    what = "no reasoning over reasoning, smallest model"
    return _favoured([_of_config(line, stats.percent(estimate_of(line, "gained", "", what), "% points"))
                      for _, line in table.iterrows()], accepted)


def vote_gain(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Accuracy of a vote of 8 samples less that of one, in % points, on the same questions."""
    found = []
    for _, line in _votes(frame, setting, VOTES).iterrows():
        tied, any_right = (number(100 * line[name]) for name in ("tied", "any"))
        told = f"the top is shared in {tied} % of votes; any of {VOTES} is right in {any_right} %"
        found.append(_of_config(line, stats.percent(estimate_of(line, "gained", "", f"vote of {VOTES} over one sample"),
                                                    "% points"), told))
    return _favoured(found, accepted)


def vote_time_ratio(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Time of 8 samples that are written at the same time over that of one. The samples are processes."""
    table = _votes(frame, setting, VOTES).dropna(subset=["time_ratio"])
    if table.empty:
        raise NotMeasured(f"times of {VOTES} samples at a time, and of one")
    ratios = [(line, estimate_of(line, "time_ratio", "times", f"time of {VOTES} samples over one"))
              for _, line in table.iterrows()]
    return _favoured([_of_config(line, found, samples="repeats") for line, found in ratios], accepted)


def scaling_time_ratio(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Time of a step of 32 samples over that of one. The samples are processes."""
    table = tables_votes.parallel_table(frame)
    table = table[(table.batch == MANY) & table.model.map(kind).isin(setting.models)] if len(table) else table
    table = table.dropna(subset=["step_ratio"])
    if table.empty:
        raise NotMeasured(f"times of {MANY} samples at a time, and of one")
    return _favoured([Observation(estimate_of(line, "step_ratio", "times", f"a step of {MANY} samples over one"),
                                  f"{line.model}, {line.engine} {line['dtype']}", (line.model,), "repeats", _cell(line))
                      for _, line in table.iterrows()], accepted)


def tip_slower(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Time of the tip's choice over that of the fastest that is as accurate, mean over the accuracies that are reached."""
    return _tip(frame, setting, accepted, "slower", "times", "time of the tip's choice over the fastest")


def tip_saved(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Share of the measurements that the tip does not make, in %, mean over the accuracies that are reached."""
    return [Observation(stats.percent(one.estimate), one.where, one.models, one.samples, one.artifact, one.note)
            for one in _tip(frame, setting, tuple(end / 100 for end in accepted), "saved", "", "measurements saved by the tip")]


def _tip(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float], column: str, unit: str,
         what: str) -> list[Observation]:
    found = []
    for domain, grid in _grids(frame, setting, least_models=2).items():
        lines = tables_choices.tip_lines(grid, tables_choices.THINK)
        if grid.configs["dtype"].nunique() < 2 or not lines:
            continue
        draws = grid.draws()
        drawn = [again for time, accuracy in zip(draws.time, draws.accuracy, strict=True)
                 if (again := tables_choices.tip_lines(grid, tables_choices.THINK, accuracy, time))]
        ends = draws.interval(np.array([_mean(again, column) for again in drawn]))
        found.append(_of_grid(domain, grid, Estimate(_mean(lines, column), *ends, grid.correct.shape[1], unit, what),
                              f"{len(lines)} accuracies wanted"))
    if not found:
        raise NotMeasured("models of several sizes in several precisions, all answering and timed")
    return _favoured(found, accepted)


def _mean(lines: list[dict], column: str) -> float:
    return float(np.mean([line[column] for line in lines]))


def _grids(frame: pd.DataFrame, setting: Setting, least_models: int) -> dict[str, Grid]:
    """The families' configurations of models inside the setting. Raises NotMeasured."""
    found = {}
    for domain, grid in tables.grids(frame).items():
        inside = grid.where(grid.configs.model.map(kind).isin(setting.models).to_numpy())
        if inside.configs.model.nunique() >= least_models:
            found[domain] = inside
    if not found:
        raise NotMeasured(f"answers and times of at least {least_models} models (models {' or '.join(setting.models)})")
    return found


def _budgets(frame: pd.DataFrame, setting: Setting, kinds: tuple[str, ...], needed: str) -> pd.DataFrame:
    table = tables_answers.budgets_table(frame)
    table = table[table.model.map(kind).isin(setting.models) & table["mode"].map(kind_of).isin(kinds)] if len(table) else table
    if table.empty:
        raise NotMeasured(f"{needed} (models {' or '.join(setting.models)})")
    return table


def _votes(frame: pd.DataFrame, setting: Setting, samples: int) -> pd.DataFrame:
    table = tables_votes.votes_table(frame)
    table = table[(table.samples == samples) & table.model.map(kind).isin(setting.models)] if len(table) else table
    if table.empty:
        raise NotMeasured(f"pools of at least {samples} drawn answers a question (models {' or '.join(setting.models)})")
    return table


def _cell(line: pd.Series) -> str:
    return " ".join(str(line[name]) for name in CELL[:3])


def _of_config(line: pd.Series, found: Estimate, told: str = "", samples: str = "problems") -> Observation:
    mode = f", {line['mode']}" if "mode" in line else ""
    return Observation(found, f"{line.model}, {line.engine} {line['dtype']}{mode}, {line.domain}", (line.model,), samples,
                       f"{_cell(line)}{mode}, {line.domain}", told)


def _of_grid(domain: str, grid: Grid, found: Estimate, told: str) -> Observation:
    models = tuple(grid.configs.sort_values("parameters").model.unique())
    where = f"{domain}, {len(grid.configs)} configurations of {len(models)} models"
    return Observation(found, where, models, "problems", domain, told)


def _favoured(found: list[Observation], accepted: tuple[float, float]) -> list[Observation]:
    """Those nearest to what is accepted first."""
    low, high = accepted
    return sorted(found, key=lambda one: max(low - one.estimate.value, one.estimate.value - high))


QUANTITIES = {
    "best_size_growth": Quantity(best_size_growth, "time"),
    "no_reasoning_gain": Quantity(no_reasoning_gain, "time", -100.0, 100.0),
    "prompt_budget_tokens": Quantity(prompt_budget_tokens, "quality"),
    "prompt_budget_cost": Quantity(prompt_budget_cost, "quality", -100.0, 100.0),
    "budget_kept": Quantity(budget_kept, "quality", 0.0, 100.0),
    "no_reasoning_gain_smallest": Quantity(no_reasoning_gain_smallest, "quality", -100.0, 100.0),
    "vote_gain": Quantity(vote_gain, "quality", -100.0, 100.0),
    "vote_time_ratio": Quantity(vote_time_ratio, "time"),
    "scaling_time_ratio": Quantity(scaling_time_ratio, "time"),
    "tip_slower": Quantity(tip_slower, "time", 1.0),
    "tip_saved": Quantity(tip_saved, "time", 0.0, 100.0),
}
