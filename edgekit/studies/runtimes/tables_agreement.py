"""Whether runtimes agree on what the model says: with the float32 reference, and with each other."""

from __future__ import annotations

import itertools

import pandas as pd

from edgekit.analyze import stats
from edgekit.analyze.once import once
from edgekit.analyze.rows import rows_of
from edgekit.schema import REFERENCE

CELL = ["engine", "dtype"]
TIE = 0.05  # nats: where the reference's two likeliest tokens are nearer than that, either is as good
LIKELIEST, WRITTEN = "likeliest token", "written text"


def cell_name(engine: str, dtype: str) -> str:
    """A cell as a params file writes it."""
    return f"{engine}/{dtype}"


@once
def reference_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a model and cell, against the float32 reference, texts the samples: kl (nats a token), agreement (share of
    positions with the same likeliest token); texts that were written alike to their end; and of those that part, how many do so
    where the reference's own two likeliest tokens are within TIE."""
    columns = ["model", *CELL, *stats.with_ends("kl", "agreement", "written_alike"), "texts", "part", "at_ties", "n"]
    rows = rows_of(frame, "agreement")
    sums = rows[rows.metric.isin(["kl_nats", "agreed"])].pivot_table(index=["model", *CELL, "item", "tokens"], columns="metric",
                                                                      values="value").reset_index()
    texts, margins = _texts(rows, "written_token"), _texts(rows, "margin_nats")
    lines = []
    for (model, *cell), part in sums.groupby(["model", *CELL]):
        line = dict(model=model, engine=cell[0], dtype=cell[1], n=len(part))
        line |= stats.ends_of("kl", stats.ratio_of_sums(part.kl_nats, part.tokens))
        line |= stats.ends_of("agreement", stats.clustered_share(part.agreed, part.tokens))
        whole, own = (texts.get((model, *one)) for one in (REFERENCE, cell))
        if whole and own:
            parts = {item: _parting(whole[item], own[item]) for item in whole}
            apart = {item: place for item, place in parts.items() if place is not None}
            close = margins[(model, *REFERENCE)]
            ties = sum(close[item][place] < TIE for item, place in apart.items())
            line |= stats.ends_of("written_alike", stats.wilson(len(parts) - len(apart), len(parts)))
            line |= dict(texts=len(parts), part=len(apart), at_ties=ties)
        lines.append(line)
    return _named(pd.DataFrame(lines, columns=columns), CELL)


@once
def pair_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a model and pair of cells, and what is compared: the share of positions with the same likeliest token given the
    same text, or of texts that are written alike to their end; texts are the samples."""
    columns = ["model", "first", "second", "what", *stats.with_ends("agreement"), "source", "n"]
    rows = rows_of(frame, "agreement")
    lines = []
    for metric, what in (("likeliest_token", LIKELIEST), ("written_token", WRITTEN)):
        texts = _texts(rows, metric)
        models = dict.fromkeys(model for model, *_ in texts)
        for model in models:
            cells = [cell for cell in texts if cell[0] == model]
            for one, other in itertools.combinations(cells, 2):
                found = _agreement(texts[one], texts[other], whole=what == WRITTEN)
                lines.append(dict(model=model, first=cell_name(*one[1:]), second=cell_name(*other[1:]), what=what,
                                  source="measured", n=found.n) | stats.ends_of("agreement", found))
    return pd.DataFrame(lines, columns=columns)


def _agreement(one: dict[int, list], other: dict[int, list], whole: bool) -> stats.Estimate:
    if whole:
        return stats.wilson(sum(one[item] == other[item] for item in one), len(one))
    same = [sum(a == b for a, b in zip(one[item], other[item], strict=True)) for item in one]
    return stats.clustered_share(same, [len(one[item]) for item in one])


def _parting(whole: list, own: list) -> int | None:
    """The first place at which two texts differ; None where they are the same."""
    return next((place for place, (a, b) in enumerate(zip(whole, own, strict=True)) if a != b), None)


def _texts(rows: pd.DataFrame, metric: str) -> dict[tuple, dict[int, list]]:
    """(model, engine, dtype) -> item -> values in order of their position; the reference first."""
    found: dict[tuple, dict[int, list]] = {}
    chosen = rows[rows.metric == metric].sort_values(["item", "position"])
    for (model, engine, dtype), part in chosen.groupby(["model", *CELL]):
        found[model, engine, dtype] = {int(item): text["value"].tolist() for item, text in part.groupby("item")}
    return dict(sorted(found.items(), key=lambda one: (one[0][0], one[0][1:] != REFERENCE, one[0][1:])))


def _named(table: pd.DataFrame, cell: list[str]) -> pd.DataFrame:
    return table.sort_values(["model", *cell], kind="stable").reset_index(drop=True).assign(source="measured")
