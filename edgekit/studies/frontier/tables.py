"""The rows of 09_frontier as tidy tables: what each configuration answers, takes and costs.

A configuration is a model in an engine and weights, and a way to reason (`mode`), `vote-n` among them. Questions are the
samples of every interval, and pair: a family's questions are the same for all. The time of an answer is that of its tokens, by
the lines through the timed streams of the same model, engine and weights (see analyze/request_time.py).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import pandas as pd

from edgekit.analyze import frontier, request_time, roofline, stats, votes
from edgekit.analyze.once import once
from edgekit.analyze.request_time import RequestTime
from edgekit.analyze.rows import rows_of
from edgekit.schema import NO_ANSWER

CELL = ["model", "engine", "dtype", "threads", "device"]
CONFIG = ["domain", *CELL, "mode"]
VOTE = "vote-"
DIRECT = "direct"
NUMBERS = (1, 2, 4, 8, 16, 32, 64)  # sizes of votes that are told, up to the pool's


def kind_of(mode: str) -> str:
    """What a mode is, without its amount: think, direct, hard, soft, budget or vote."""
    return mode.partition("-")[0]


def amount_of(mode: str) -> int:
    """The amount of a mode: tokens, lines or samples; 0 for one that has none."""
    return int(mode.partition("-")[2] or 0)


@once
def parameters_of(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a cell: `parameters`, `weight_bytes` of a step and `kv_bytes_per_token`, from its timed streams."""
    rows = rows_of(frame, "speed", metrics=("parameters", "weight_bytes", "kv_bytes_per_token"))
    if rows.empty:
        return pd.DataFrame(columns=[*CELL, "parameters", "weight_bytes", "kv_bytes_per_token"])
    return rows.pivot_table(index=CELL, columns="metric", values="value", aggfunc="median").reset_index()


@once
def _lines(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a cell and process: the coefficients of its RequestTime."""
    rows = rows_of(frame, "speed", metrics=("ttft_s", "tpot_s"))
    found = []
    for key, here in rows.groupby([*CELL, "repeat"]):
        first, steps = here[here.metric == "ttft_s"], here[here.metric == "tpot_s"]
        if len(first) and len(steps):
            contexts = roofline.mean_context(steps.prompt_tokens, steps.output_tokens)
            law = request_time.fit(first.prompt_tokens, first.value, contexts, steps.value)
            found.append((*key, law.first_s, law.prompt_s, law.step_s, law.context_s))
    return pd.DataFrame(found, columns=[*CELL, "repeat", "first_s", "prompt_s", "step_s", "context_s"])


def laws(frame: pd.DataFrame) -> dict[tuple, list[RequestTime]]:
    """For each cell the time of a request, one a process of the timed streams."""
    return {key: [RequestTime(*line) for line in part[["first_s", "prompt_s", "step_s", "context_s"]].to_numpy()]
            for key, part in _lines(frame).groupby(CELL)}


@once
def answers(frame: pd.DataFrame) -> pd.DataFrame:
    """A line an answer: CONFIG, item, depth, correct, written, prompt_tokens, cut, unread and spent."""
    rows = rows_of(frame, "reasoning", metrics=("correct",))
    return rows.assign(correct=rows.value.astype(float), unread=rows.answer == NO_ANSWER,
                       cut=rows.cut.eq(True))[[*CONFIG, "item", "depth", "correct", "written", "prompt_tokens", "cut", "unread",
                                               "spent"]]


@once
def voted(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a question and size of vote of each pool: `correct` (the chance to be right), tied, nothing, any (that a sample of
    the n is right), `longest` and `written` (tokens of the longest of n, and of all), and prompt_tokens."""
    rows = rows_of(frame, "pool", metrics=("correct",))
    answer = np.where(rows.value == 1, "\0right", rows.answer)  # two ways to write the right answer are one answer
    value, written, cut, unread = (column.to_numpy() for column in (
        rows.value, rows.written, rows.cut.eq(True), rows.answer == NO_ANSWER))
    facts = rows[["domain", *CELL, "item", "prompt_tokens", "depth"]]
    lines = []
    for pool in stats.grouped(rows, ["domain", *CELL, "item"]):
        size, right = len(pool), int(value[pool].sum())
        numbers = [n for n in NUMBERS if n <= size]
        here = facts.iloc[pool[0]].to_dict() | dict(pool=size, single=right / size, cut=cut[pool].mean(),
                                                    unread=unread[pool].mean())
        lengths, mean = written[pool].tolist(), written[pool].mean()
        for n, found in votes.votes(answer[pool].tolist(), "\0right", numbers).items():
            lines.append(here | dict(
                samples=n, correct=found.right, tied=found.tied, nothing=found.nothing, any=votes.any_right(right, size, n),
                longest=votes.longest(lengths, n), written=n * mean))
    return pd.DataFrame(lines, columns=["domain", *CELL, "item", "samples", "correct", "tied", "nothing", "pool", "any",
                                        "single", "longest", "written", "prompt_tokens", "depth", "cut", "unread"])


@once
def _stretches(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a cell, process and number of samples at a time, where one was timed too: `stretch` of a step, and how much `more`
    the first token takes, in seconds."""
    rows = rows_of(frame, "parallel", metrics=("ttft_s", "tpot_s"))
    if rows.empty:
        return pd.DataFrame(columns=[*CELL, "repeat", "batch", "stretch", "more"])
    wide = rows.pivot_table(index=[*CELL, "repeat", "batch"], columns="metric", values="value", aggfunc="median").reset_index()
    ones = wide[wide.batch == 1].drop(columns="batch")
    both = wide.merge(ones, on=[*CELL, "repeat"], suffixes=("", "_of_one"))
    return both.assign(stretch=both.tpot_s / both.tpot_s_of_one, more=(both.ttft_s - both.ttft_s_of_one).clip(lower=0))[
        [*CELL, "repeat", "batch", "stretch", "more"]]


def vote_seconds(frame: pd.DataFrame) -> dict[tuple, list]:
    """By (*CELL, samples), for each process that timed a cell alone and with so many samples at a time: the function of
    (prompt, longest) tokens that gives seconds.

    A step of n samples over one of a single sample stretches the steps of the lines; what more the first token takes is added.
    Samples that have ended leave their places empty until the longest has.
    """
    known = laws(frame)
    return {key: [functools.partial(_together, law, line.stretch, line.more)
                  for law, line in zip(known.get(key[:-1], []), here.sort_values("repeat").itertuples(), strict=False)]
            for key, here in _stretches(frame).groupby([*CELL, "batch"])}


def _together(law: RequestTime, stretch: float, more: float, prompt: np.ndarray, longest: np.ndarray) -> np.ndarray:
    first = law.seconds(prompt, 1)
    return more + first + stretch * (law.seconds(prompt, longest) - first)


@dataclass(frozen=True)
class Grid:
    """A family's configurations over the same questions. configs: CONFIG, parameters, tokens, cut and unread, a line each.
    correct: (configurations, questions). times: (processes, configurations, questions), in seconds."""

    configs: pd.DataFrame
    correct: np.ndarray
    times: np.ndarray

    @property
    def accuracy(self) -> np.ndarray:
        return self.correct.mean(axis=1)

    @property
    def time_s(self) -> np.ndarray:
        return self.times.mean(axis=(0, 2))

    def draws(self) -> frontier.Draws:
        """Resampled questions, with a process's speeds drawn each time."""
        return frontier.bootstrap(self.correct, self.times)

    def where(self, chosen: np.ndarray) -> Grid:
        """Some of the configurations."""
        chosen = np.asarray(chosen)
        return Grid(self.configs[chosen].reset_index(drop=True), self.correct[chosen], self.times[:, chosen])


@once
def timed_answers(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a configuration, question and process of the clock (`run`): correct, written, seconds, and what Grid.configs has,
    of the configurations that were asked and timed."""
    times, sizes = laws(frame), parameters_of(frame).set_index(CELL)
    single, pools = answers(frame), voted(frame)
    parts = [(key, part, [law.seconds for law in times.get(key[1:-1], [])]) for key, part in single.groupby(CONFIG)]
    together = vote_seconds(frame)
    parts += [((*key[:-1], f"{VOTE}{key[-1]}"), part.assign(written=part.longest), together.get(key[1:], []))
              for key, part in pools[pools.samples > 1].groupby(["domain", *CELL, "samples"])]
    lines = []
    for key, part, seconds in parts:
        for run, each in enumerate(seconds):
            size = sizes.loc[key[1:-1]]
            prompt, written = (part[name].to_numpy(dtype=float) for name in ("prompt_tokens", "written"))
            lines.append(part[["item", "correct", "cut", "unread"]].assign(
                **dict(zip(CONFIG, key, strict=True)), parameters=size.parameters, weight_bytes=size.weight_bytes, run=run,
                written=written, seconds=each(prompt, written)))
    columns = [*CONFIG, "item", "run", "correct", "cut", "unread", "written", "seconds", "parameters", "weight_bytes"]
    return pd.concat(lines, ignore_index=True)[columns] if lines else pd.DataFrame(columns=columns)


def grids(frame: pd.DataFrame) -> dict[str, Grid]:
    """By family, the configurations that were asked and timed, over the questions that all of them have; families of fewer than
    two such questions are left out."""
    found = {}
    for domain, lines in timed_answers(frame).groupby("domain", sort=False):
        runs = int(lines.groupby(CONFIG).run.max().min()) + 1
        lines = lines[lines.run < runs].astype(dict(correct=float, cut=float, unread=float))
        wide = lines.pivot_table(index=CONFIG, columns=["run", "item"], values=["correct", "seconds"]).dropna(axis=1)
        if wide.empty or len(items := wide["correct"][0].columns) < 2:
            continue
        facts = lines.groupby(CONFIG)[["parameters", "weight_bytes", "written", "cut", "unread"]].mean()
        times = np.stack([wide["seconds"][run][items].to_numpy() for run in range(runs)])
        found[domain] = Grid(facts.loc[wide.index].reset_index().rename(columns={"written": "tokens"}),
                             wide["correct"][0][items].to_numpy(), times)
    return found


@once
def frontier_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a configuration: accuracy, time_s and tokens of an answer (for votes of the longest sample), the shares that were
    `cut` and `unread`; whether it is on its family's frontier (`pareto`), and in what share of resampled questions.

    Accuracy has Wilson's interval, of votes a t-interval; times the middle 95 % of the resampled means.
    """
    columns = [*CONFIG, "parameters", *stats.with_ends("accuracy", "time_s"), "energy_j", "tokens", "cut", "unread", "pareto",
               "pareto_share", "n", "source"]
    lines = []
    for grid in grids(frame).values():
        draws = grid.draws()
        shares, best = draws.pareto_share(), frontier.pareto(grid.time_s, grid.accuracy)
        for i, config in grid.configs.iterrows():
            right = grid.correct[i]
            accuracy = stats.bounded_interval(right) if config["mode"].startswith(VOTE) else stats.wilson(int(right.sum()),
                                                                                                        len(right))
            time = stats.Estimate(float(grid.time_s[i]), *draws.interval(draws.time[:, i]), len(right))
            lines.append(config.to_dict() | stats.ends_of("accuracy", accuracy) | stats.ends_of("time_s", time) | dict(
                pareto=bool(best[i]), pareto_share=float(shares[i]), n=len(right), source="modelled"))
    table = pd.DataFrame(lines, columns=columns)
    return ordered(table.assign(energy_j=_energy(frame, table)))


def _energy(frame: pd.DataFrame, table: pd.DataFrame) -> list[float]:
    """Joules of an answer, by joules a token of the same cell; NaN where no sensor was read."""
    by_phase = roofline.energy_table(frame)
    found = {key: part.groupby("phase").joule_per_token.first() for key, part in by_phase.groupby(CELL)}
    joules = []
    for line in table.itertuples():
        each = found.get(tuple(getattr(line, name) for name in CELL), {})
        known = "decode" in each and not line.mode.startswith(VOTE)
        joules.append(each["decode"] * (line.tokens - 1) if known else np.nan)
    return joules


def float_ends(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose missing ends of intervals are NaN."""
    return table.astype({name: float for name in table if name.endswith(("_low", "_high"))})


def ordered(table: pd.DataFrame) -> pd.DataFrame:
    """Families, then models from the smallest, then cells, then ways to reason."""
    kinds = {name: i for i, name in enumerate((DIRECT, "hard", "soft", "budget", "think", "vote"))}
    order = float_ends(table).assign(kind=[kinds[kind_of(mode)] for mode in table["mode"]],
                                     amount=list(map(amount_of, table["mode"])))
    order = order.sort_values(["domain", "parameters", "model", "engine", "dtype", "kind", "amount"], kind="stable")
    return order.drop(columns=["kind", "amount"]).reset_index(drop=True)
