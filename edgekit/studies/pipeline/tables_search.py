"""The search over chains as tables: what each evaluation saw, which variants went on, and which is fastest within each loss.

Speeds are of whole requests in the fast runtime, over those of the unquantized model there with the same prompts; losses are of
right answers to the same problems. The plan reads its rows by the same functions, so what is shown is what was decided on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from edgekit.analyze import halving, stats
from edgekit.analyze.halving import Seen
from edgekit.analyze.once import once
from edgekit.analyze.retention import retained
from edgekit.analyze.rows import rows_of
from edgekit.schema import NONE, PRUNE_FIRST, RUNTIME

LOSSES = (1.0, 3.0, 5.0)  # % of the right answers
KEEP = 0.5  # share of a rung that goes on to the next
WHAT = ["weights", "pruning", "order", "draft", "length"]  # what tells the variants of a search apart
KEY = ["model", "engine", *WHAT, "rung"]
TIMED, ASKED = ["domain", "item"], ["task_name", "domain", "mode", "item"]  # what pairs requests, and answers
TOO_LOSSY, TOO_SLOW, NOT_REACHED = "loses more", "slower", "failed, or no time left"  # why a variant does not go on


def named(weights: str, pruning: str, order: str, draft: str, length: int) -> str:
    """A variant of the search in words, in the order in which it is made."""
    steps = [f"pruned {pruning}"] * (pruning != NONE) + [weights]
    steps = steps if order in (NONE, PRUNE_FIRST) else steps[::-1]
    return " > ".join(steps) + (f", {draft} drafts {length}" if draft != NONE else "")


@once
def evaluation_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a variant and rung: its `name`; tok_per_s of whole requests; speed_up over the model that nothing was done to
    (`reference`), paired by prompt; loss of its right answers in %, paired by problem; n problems, prompts, and cost_s, the
    time of the evaluation. No loss where the reference has no right answer or no rows on that rung."""
    columns = [*KEY, "name", "reference", "tok_per_s", *stats.with_ends("speed_up", "loss"), "n", "prompts", "cost_s", "source"]
    lines = []
    for (model, engine, rung), rows in rows_of(frame, "search").groupby(["model", "engine", "rung"]):
        variants = rows.drop_duplicates(WHAT)
        names = {tuple(what): named(*what[:4], int(what[4])) for what in variants[WHAT].itertuples(index=False)}
        rows = rows.assign(name=list(map(names.__getitem__, rows[WHAT].itertuples(index=False, name=None))))
        references = variants[(variants.techniques == RUNTIME) & (variants.draft == NONE)][WHAT]
        whole = next(map(names.__getitem__, references.itertuples(index=False, name=None)), None)
        requests, answers = _side_by_side(rows, "request_s", TIMED), _side_by_side(rows, "correct", ASKED)
        written = rows[rows.metric == "request_s"].groupby("name").written.sum()
        cost = rows[rows.metric == "evaluate_s"].groupby("name")["value"].sum()
        for what, name in names.items():
            times, right = requests[name].dropna(), answers[name].dropna()
            line = dict(zip(KEY, (model, engine, *what, int(rung)), strict=True), name=name, reference=name == whole,
                        tok_per_s=written[name] / times.sum(), n=len(right), prompts=len(times), cost_s=cost[name],
                        source=rows.source.iloc[0])
            if whole is not None:
                both = requests[[whole, name]].dropna().to_numpy()
                line |= stats.ends_of("speed_up", stats.ratio_interval(both[:, 0], both[:, -1]))
                line |= stats.ends_of("loss", _loss(*answers[[name, whole]].dropna().to_numpy().T))
            lines.append(line)
    table = pd.DataFrame(lines, columns=columns).astype(dict.fromkeys(stats.with_ends("speed_up", "loss"), float))
    return table.astype({"rung": int, "length": int, "reference": bool})


def _side_by_side(rows: pd.DataFrame, metric: str, pairing: list[str]) -> pd.DataFrame:
    """A line each of what pairs the variants, which are the columns."""
    return rows[rows.metric == metric].pivot(index=pairing, columns="name", values="value")


def _loss(right: np.ndarray, whole: np.ndarray) -> stats.Estimate | None:
    if not whole.sum():
        return None
    kept = retained(right, whole)
    return stats.Estimate(100 * (1 - kept.value), 100 * (1 - kept.high), 100 * (1 - kept.low), kept.n, "%")


def seen(table: pd.DataFrame) -> dict[tuple[str, int], Seen]:
    """The evaluations of one model's table by name and rung, as the search takes them. Nothing is known of a loss that is not
    there."""
    return {(line.name, line.rung): Seen(line.tok_per_s, *(
        (math.inf, -math.inf, math.inf) if math.isnan(line.loss) else (line.loss, line.loss_low, line.loss_high)), line.cost_s)
        for line in table.itertuples(index=False)}


@once
def search_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The last line of each variant in `evaluation_table`: the highest rung that it came to, and what it looked like there.

    chosen: the losses within which it is the fastest, as "1, 3"; dropped: why it did not go on (TOO_LOSSY: it was known to lose
    more than LOSSES allow, TOO_SLOW: others were faster, NOT_REACHED: it was to go on and has no rows there), empty on the last
    rung.
    """
    table = evaluation_table(frame)
    parts = []
    for _, here in table.groupby(["model", "engine"], sort=False):
        last = here.sort_values("rung", kind="stable").groupby("name", sort=False).tail(1)
        best = best_within(here)
        parts.append(last.assign(
            chosen=[", ".join(f"{loss:g}" for loss, name in best.items() if name == one) for one in last.name],
            dropped=[_why(line, here) for line in last.itertuples()]))
    columns = [*table.columns, "chosen", "dropped"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _why(line, table: pd.DataFrame) -> str:
    """Why a variant did not go on from its rung; `table`: the evaluations of all variants."""
    if line.rung == table.rung.max():
        return ""
    if line.loss_low > max(LOSSES):
        return TOO_LOSSY
    beside = table[(table.rung == line.rung) & ~table.reference]
    going = halving.promoted({name: one for (name, _), one in seen(beside).items()}, KEEP, LOSSES)
    return NOT_REACHED if line.name in going else TOO_SLOW


def best_within(table: pd.DataFrame) -> dict[float, str | None]:
    """By loss in %: the fastest variant of a model that is known to lose less, on the last rung of its `evaluation_table`."""
    last = table[(table.rung == table.rung.max()) & ~table.reference]
    found: Mapping[str, Seen] = {name: one for (name, _), one in seen(last).items()}
    return {loss: halving.chosen(found, loss) for loss in LOSSES}


def choice_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a model and loss (`within`, %): the fastest variant that is known to lose less, its speed_up and loss; a `name` of
    "none" where none is."""
    columns = ["model", "engine", "within", "name", *stats.with_ends("speed_up", "loss"), "n", "source"]
    table, lines = evaluation_table(frame), []
    for (model, engine), here in table.groupby(["model", "engine"], sort=False):
        last = here[here.rung == here.rung.max()].set_index("name")
        for within, name in best_within(here).items():
            of = {} if name is None else last.loc[name, [*stats.with_ends("speed_up", "loss"), "n"]].to_dict()
            lines.append(dict(model=model, engine=engine, within=within, name=name or NONE, source="measured", **of))
    return pd.DataFrame(lines, columns=columns)


def rung_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a model and rung: variants evaluated on it, problems and prompts of each, minutes spent, and `least`, the loss (%)
    that even a variant which answers every problem alike cannot be known to stay below: no bound below it can be met there."""
    columns = ["model", "engine", "rung", "variants", "n", "prompts", "minutes", "least"]
    lines = [dict(model=model, engine=engine, rung=rung, variants=len(here), n=int(here.n.max()),
                  prompts=int(here.prompts.max()), minutes=here.cost_s.sum() / 60,
                  least=here[here.reference].loss_high.max())
             for (model, engine, rung), here in evaluation_table(frame).groupby(["model", "engine", "rung"], sort=False)]
    return pd.DataFrame(lines, columns=columns)
