"""The rows of the pipeline as tidy tables: stages beside each other, and what of the whole gain each technique has.

A column `x` has its 95 % interval in `x_low` and `x_high` (empty where the samples give none). Times are those of whole
requests over the same prompts and numbers of tokens. Stages were measured in turn, so gains are paired by repeat; answers by
item.

Of the baseline's float types the fastest one counts, at each stage of that runtime. Of the drafts and lengths the best one
counts, and it is chosen for each repeat by the other repeats, so that no repeat is judged by what its own luck chose.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from edgekit.analyze import losses, stats
from edgekit.analyze.once import once
from edgekit.analyze.retention import retained
from edgekit.analyze.rows import rows_of
from edgekit.schema import BITS, DRAFT, NONE, PRUNING, RUNTIME, TECHNIQUES, techniques

CELL = ["model", "techniques", "engine", "weights"]
WAY = [*CELL, "draft", "length"]
SIXTEEN = ("float16", "bfloat16")
# Stages in the order in which they are told: what is used -> its name
STATED, FASTEST = "baseline in 16 bits", "baseline, fastest type"
STEPS = {frozenset({RUNTIME}): "fast runtime", frozenset({RUNTIME, BITS}): "+ quantization",
         frozenset({RUNTIME, BITS, PRUNING}): "+ pruning", frozenset(TECHNIQUES): "+ drafting"}
Subset = frozenset[str]


def used(told: str) -> Subset:
    """The techniques of a row's coordinate, without drafting."""
    return frozenset() if told == NONE else frozenset(told.split(" + "))


@once
def passes(frame: pd.DataFrame) -> pd.DataFrame:
    """Seconds a token of whole requests, a line a cell, draft, length and repeat (`seconds`); `fastest`: whether its cell is
    the fastest of those with the same techniques, by plain decoding."""
    rows = rows_of(frame, "stages", metrics=("request_s",))
    sums = rows.groupby([*WAY, "repeat"], as_index=False)[["value", "output_tokens"]].sum()
    table = sums.assign(seconds=sums.value / sums.output_tokens.astype(float)).drop(columns=["value", "output_tokens"])
    table = table.astype({"length": int})
    plain = table[table.draft == NONE]
    means = np.log(plain.seconds.astype(float)).groupby([plain[name] for name in CELL]).mean().reset_index()
    best = means.loc[means.groupby(["model", "techniques"]).seconds.idxmin(), CELL] if len(means) else means[CELL]
    return table.merge(best.assign(fastest=True), on=CELL, how="left").assign(
        fastest=lambda found: found.fastest.eq(True)).reset_index(drop=True)


def models(frame: pd.DataFrame) -> list[str]:
    """The models whose stages were timed."""
    return list(dict.fromkeys(passes(frame).model))


def drafts_of(cell: pd.DataFrame) -> pd.DataFrame:
    """Of the drafted lines of one cell's passes, those of the draft and length that count: for each repeat the best of the
    other repeats, or of itself where it is the only one."""
    wide = np.log(cell[cell.draft != NONE].pivot(index="repeat", columns=["draft", "length"], values="seconds").dropna(axis=1))
    if wide.empty:
        return cell.iloc[:0]
    others = wide if len(wide) == 1 else (wide.sum() - wide) / (len(wide) - 1)
    chosen = others.idxmin(axis=1)
    keys = pd.DataFrame([(repeat, *way) for repeat, way in chosen.items()], columns=["repeat", "draft", "length"])
    return cell.merge(keys, on=["repeat", "draft", "length"])


def best_draft(lines: pd.DataFrame) -> tuple[str, int]:
    """The draft and length that most repeats chose."""
    return lines[["draft", "length"]].apply(tuple, axis=1).mode().iloc[0] if len(lines) else (NONE, 0)


def speeds(frame: pd.DataFrame, model: str) -> dict[Subset, pd.Series]:
    """Seconds a token by repeat of each set of techniques of a model, in the fastest type of its runtime."""
    table = passes(frame)
    table = table[(table.model == model) & table.fastest]
    found = {}
    for told, cell in table.groupby("techniques"):
        found[used(told)] = cell[cell.draft == NONE].set_index("repeat").seconds
        drafted = drafts_of(cell)
        if len(drafted):
            found[used(told) | {DRAFT}] = drafted.set_index("repeat").seconds
    return found


def log_speeds(frame: pd.DataFrame, model: str) -> dict[Subset, np.ndarray]:
    """Logarithm of the speed of each set of techniques, a number a repeat, the same repeats in all; sets that lack one of the
    baseline's repeats are left out."""
    found = speeds(frame, model)
    if frozenset() not in found:
        return {}
    repeats = sorted(found[frozenset()].index)
    return {subset: -np.log(seconds.loc[repeats].to_numpy(dtype=float)) for subset, seconds in found.items()
            if set(repeats) <= set(seconds.index)}


@once
def answers(frame: pd.DataFrame) -> pd.DataFrame:
    """Outcomes of items (`value`, 0 or 1), a line a cell, draft and item, in the cell that counts of those that were timed;
    where none was, in the first."""
    rows = rows_of(frame, "accuracy", metrics=("correct",))
    rows = rows.assign(item=rows.task_name.astype(str) + " " + rows.item.astype(str))[[*CELL, "draft", "item", "value"]]
    chosen = passes(frame)
    chosen = chosen[chosen.fastest][CELL].drop_duplicates()
    first = rows[CELL].drop_duplicates(["model", "techniques"])
    untimed = first[~first.set_index(["model", "techniques"]).index.isin(chosen.set_index(["model", "techniques"]).index)]
    return rows.merge(pd.concat([chosen, untimed]), on=CELL)


def right(frame: pd.DataFrame, model: str) -> dict[Subset, np.ndarray]:
    """Outcomes of the same items for each set of techniques of a model; of a drafted one those of the draft that counts."""
    table = answers(frame)
    table = table[table.model == model]
    timed = passes(frame)
    found = {}
    for (told, draft), part in table.groupby(["techniques", "draft"]):
        cell = timed[(timed.model == model) & (timed.techniques == told) & timed.fastest]
        if draft == NONE or draft == best_draft(drafts_of(cell))[0]:
            found[used(told) | ({DRAFT} if draft != NONE else set())] = part.set_index("item").value
    whole = found.get(frozenset())
    if whole is None:
        return {}
    return {subset: values.reindex(whole.index).to_numpy(dtype=float) for subset, values in found.items()
            if set(values.index) >= set(whole.index)}


@once
def stage_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a model and stage, in the order of STEPS behind both baselines: tok_per_s and speed_up over the fastest baseline
    (from end to end), ttft_s, first_s (behind the stated prompt) and tpot_s, peak_memory_bytes, joule_per_token, perplexity,
    kl, accuracy and loss (% of the baseline's right answers), n repeats and items."""
    lines = [line for model in models(frame) for line in _stages(frame, model)]
    columns = ["model", "stage", "techniques", "engine", "weights", "draft", "length", "n", "items", "parameters",
               *stats.with_ends("tok_per_s", "speed_up", "ttft_s", "first_s", "tpot_s", "joule_per_token", "accuracy", "loss"),
               "first_prompt", "peak_memory_bytes", "perplexity", "kl"]
    table = pd.DataFrame(lines, columns=columns).assign(source="measured")
    return table.astype({name: float for name in table if name.endswith(("_low", "_high"))})


def _stages(frame: pd.DataFrame, model: str) -> list[dict]:
    table = passes(frame)
    table = table[table.model == model]
    plain = table[(table.techniques == NONE) & (table.draft == NONE)]
    whole = plain[plain.fastest]
    half = plain[plain.weights.isin(SIXTEEN)]
    shown = []
    if len(half):
        stated = half[half.weights == half.groupby("weights").seconds.mean().idxmin()]
        shown.append((STATED, stated))
    if len(whole) and not whole.weights.isin(SIXTEEN).all():
        shown.append((FASTEST, whole))
    for subset, name in STEPS.items():
        cell = table[(table.techniques == techniques(subset - {DRAFT})) & table.fastest]
        shown.append((name, drafts_of(cell) if DRAFT in subset else cell[cell.draft == NONE]))
    rows = rows_of(frame, "stages", "energy", "divergence", "size")
    rows, outcomes = rows[rows.model == model], right(frame, model)
    counted = _answered(frame, model)
    return [_stage(rows, name, lines, whole) | _kept(outcomes, lines)
            if name != STATED or lines.weights.iloc[0] in counted else _stage(rows, name, lines, whole)
            for name, lines in shown if len(lines)]


def _stage(rows: pd.DataFrame, name: str, lines: pd.DataFrame, whole: pd.DataFrame) -> dict:
    """One line of `stage_table`, but for its answers: the passes of a stage, beside those of the fastest baseline."""
    at = {column: lines[column].iloc[0] for column in CELL}
    draft, length = best_draft(lines)
    line = at | dict(stage=name, draft=draft, length=length, n=len(lines))
    line |= stats.ends_of("tok_per_s", stats.rate_interval(1 / lines.seconds))
    both = lines.set_index("repeat").seconds.to_frame("own").join(whole.set_index("repeat").seconds.rename("whole")).dropna()
    if len(both):
        line |= stats.ends_of("speed_up", stats.ratio_interval(both.whole, both.own))
    parameters = rows[(rows.metric == "parameters")].value.max()  # pruned variants have fewer
    rows = _here(rows, at)
    drafted = rows[(rows.draft == draft) & (rows.length == length)]
    for column in ("ttft_s", "tpot_s"):
        asked = drafted[(drafted.metric == column) & drafted["item"].notna()]
        if len(asked):
            line |= stats.ends_of(column, stats.rate_interval(asked.groupby("repeat").value.mean()))
    first = drafted[(drafted.metric == "ttft_s") & drafted["item"].isna()]
    if len(first):
        line |= stats.ends_of("first_s", stats.rate_interval(first.value)) | dict(first_prompt=int(first.prompt_tokens.iloc[0]))
    joules = drafted[drafted.metric == "energy_j"]
    if len(joules):
        joules = joules[joules.scope == joules.scope.iloc[0]]
        line |= stats.ends_of("joule_per_token", stats.rate_interval(joules.value / joules.output_tokens.astype(float)))
    peaks = rows[(rows.metric == "peak_memory_bytes") & rows.draft.isin([NONE, draft])].groupby("draft").value.max()
    return line | dict(peak_memory_bytes=peaks.max(), parameters=parameters) | _lost(rows)


def _here(rows: pd.DataFrame, at: Mapping) -> pd.DataFrame:
    for name, value in at.items():
        rows = rows[rows[name] == value]
    return rows


def _lost(rows: pd.DataFrame) -> dict:
    """Perplexity and divergence of a cell, over all texts, from the unquantized model in the reference engine."""
    sums = rows[(rows.task == "divergence") & (rows.against == losses.UNQUANTIZED)].groupby("metric")[["value", "tokens"]].sum()
    if not {"nll_nats", "kl_nats"} <= set(sums.index):
        return {}
    nats = sums.value / sums.tokens.astype(float)
    return dict(perplexity=float(np.exp(nats.nll_nats)), kl=float(nats.kl_nats))


def _kept(outcomes: dict[Subset, np.ndarray], lines: pd.DataFrame) -> dict:
    """Accuracy of a stage, and what of the fastest baseline's right answers it lost, in %."""
    subset = used(lines.techniques.iloc[0]) | ({DRAFT} if lines.draft.iloc[0] != NONE else set())
    if subset not in outcomes:
        return {}
    own, whole = outcomes[subset], outcomes[frozenset()]
    found = stats.ends_of("accuracy", stats.wilson(int(own.sum()), len(own))) | dict(items=len(own))
    if whole.sum():
        found |= stats.ends_of("loss", loss_of(own, whole))
    return found


def _answered(frame: pd.DataFrame, model: str) -> set[str]:
    """Weights of the baseline whose answers count."""
    table = answers(frame)
    return set(table[(table.model == model) & (table.techniques == NONE)].weights)


def loss_of(own: np.ndarray, whole: np.ndarray) -> stats.Estimate:
    """Share of the whole model's right answers that is lost, in %, with the paired interval of what is kept."""
    kept = stats.percent(retained(own, whole))
    return stats.Estimate(100 - kept.value, 100 - kept.high, 100 - kept.low, kept.n, "%", "accuracy lost")
