"""The rows of the speculative study as tidy tables: what is accepted, and why.

A column `x` has its 95 % interval in `x_low` and `x_high` (empty where the samples give none). Acceptance is the share of
judged drafted tokens that were kept: what stands behind a refusal was never judged. Its samples are prompts, since the tokens
of one text are alike. Draft lengths are text, since "adaptive" is one of them.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from edgekit.analyze import stats
from edgekit.analyze.once import once
from edgekit.analyze.rows import rows_of
from edgekit.analyze.speculation import least_overlap
from edgekit.schema import ADAPTIVE, LOOKUP

PAIR = ["model", "draft", "engine", "dtype", "threads"]
LINE = [*PAIR, "domain", "temperature", "length"]
ALL = "all domains"
FEWEST = 30  # judged tokens of a place that is shown: of fewer the interval is as wide as the panel


def draft_label(model: str, draft: str) -> str:
    """A draft's name for readers: the lookup, the model itself with its last step, or another model, as it is or distilled."""
    if draft == LOOKUP:
        return "n-gram lookup"
    name, _, step = draft.partition(" > ")
    if learnt := re.fullmatch(r"distilled\(.*\bsteps=(\d+).*\)", step):
        return f"{name}, distilled in {learnt[1]} steps"
    if not step or name != model:
        return draft
    how = re.sub(r"rtn\(bits=(\d+)(.*)\)", r"rounded to \1 bits\2", re.sub(r"gguf_quantized\(type=(.*)\)", r"\1", step))
    return f"itself, {how}"


@once
def acceptance_table(frame: pd.DataFrame, by_position: bool = False) -> pd.DataFrame:
    """A line a pair, engine, domain, temperature and draft length, or also a `position`: acceptance, and how many prompts (n)
    and judged tokens it rests on."""
    return _accepted(select(frame, "acceptance"), [*LINE, "position"] if by_position else LINE, frame)


@once
def over_domains(frame: pd.DataFrame) -> pd.DataFrame:
    """`acceptance_table` of the prompts of all domains together; the domain is ALL."""
    rows = select(frame, "acceptance")
    return _accepted(rows.assign(item=rows.domain.astype(str) + ", " + rows["item"].astype(str), domain=ALL), LINE, frame)


def _accepted(rows: pd.DataFrame, cell: list[str], frame: pd.DataFrame) -> pd.DataFrame:
    # A prompt of which nothing was judged says nothing: it is no sample.
    rows = rows[(rows.metric == "accepted") & (rows.judged > 0)]
    lines = []
    for key, items in stats.clusters(rows, cell, "item", ["value", "judged"]):
        found = stats.clustered_share(items["value"], items["judged"])
        lines.append(dict(zip(cell, key, strict=True)) | stats.ends_of("acceptance", found)
                     | {"judged": int(items["judged"].sum()), "n": found.n})
    return finished(pd.DataFrame(lines, columns=[*cell, *stats.with_ends("acceptance"), "judged", "n"]), frame)


def smaller(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of the largest target with another, smaller model as draft, as it is or distilled."""
    table = table[(table.draft_parameters < table.parameters) & (table.draft.str.partition(" > ")[0] != table.model)
                  ] if len(table) else table
    return table[table.parameters == table.parameters.max()]


def most_accepted(overall: pd.DataFrame) -> pd.Series | None:
    """The greedy line of `over_domains` with the most acceptance, at the longest fixed draft length: what S1.9 is judged by."""
    greedy = longest(overall)
    greedy = greedy[greedy.temperature == 0]
    return None if greedy.empty else greedy.loc[greedy.acceptance.idxmax()]


def main_draft_table(frame: pd.DataFrame, by_position: bool = False) -> pd.DataFrame:
    """`acceptance_table` of the smaller model that the largest target accepts most: a line a domain and temperature and
    those of ALL, or, by position, a line a domain and place in the block, greedy."""
    best = most_accepted(smaller(over_domains(frame)))
    counted = acceptance_table(frame, by_position=by_position)
    if best is None:
        return counted[:0]
    more, same = ([], [*PAIR, "length", "temperature"]) if by_position else ([over_domains(frame)], [*PAIR, "length"])
    counted = pd.concat([*more, counted], ignore_index=True)
    return counted[(counted[same] == best[same]).all(axis=1)].reset_index(drop=True)


def judged_places(frame: pd.DataFrame) -> pd.DataFrame:
    """`main_draft_table` by position, of the places at which at least FEWEST tokens were judged."""
    table = main_draft_table(frame, by_position=True)
    return table[table.judged >= FEWEST]


def pass_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a pair, engine, domain, temperature and length: tokens that a pass of the target wrote (`tokens`), from counts and
    from runtimes that tell no acceptance."""
    rows = select(frame, "acceptance", "speed")
    rows = rows[rows.metric == "blocks"]
    lines = []
    for key, here in rows.groupby(LINE):
        # Repeats of a greedy text are the same text.
        items = here.drop_duplicates(["item", "repeat"]).groupby("item")[["written", "value"]].mean()
        found = stats.ratio_of_sums(items.written, items.value)
        lines.append(dict(zip(LINE, key, strict=True)) | stats.ends_of("tokens", found) | {"n": found.n})
    return finished(pd.DataFrame(lines, columns=[*LINE, *stats.with_ends("tokens"), "n"]), frame)


@once
def overlap_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a pair, domain and temperature, on the target's own texts: overlap of the distributions, agreement on the
    likeliest token, KL divergence (nats a token), and what theory makes of them: `expected` acceptance, that is the overlap
    where tokens are drawn and the agreement where they are not, and `least`, the smallest overlap that this KL allows."""
    rows = select(frame, "overlap")
    where = ["model", "draft", "domain", "temperature"]
    lines = []
    for key, here in rows[rows.metric.isin(["overlap", "agreed", "kl_nats"])].groupby(where):
        wide = here.pivot_table(index="item", columns="metric", values="value").join(here.groupby("item")["tokens"].first())
        line = dict(zip(where, key, strict=True)) | {"n": len(wide)}
        for name, metric in (("overlap", "overlap"), ("agreement", "agreed")):
            line |= stats.ends_of(name, stats.clustered_share(wide[metric], wide.tokens))
        line |= stats.ends_of("kl", stats.ratio_of_sums(wide.kl_nats, wide.tokens))
        of = "overlap" if line["temperature"] else "agreement"
        line |= {f"expected{end}": line[of + end] for end in ("", "_low", "_high")}
        lines.append(line | {"least": least_overlap(max(0.0, line["kl"]))})
    return finished(pd.DataFrame(lines, columns=[*where, *stats.with_ends("overlap", "agreement", "kl", "expected"), "least",
                                                  "n"]), frame)


@once
def theory_table(frame: pd.DataFrame) -> pd.DataFrame:
    """`acceptance_table` at the longest fixed length beside `overlap_table`, where both were measured."""
    counted = longest(acceptance_table(frame))
    where = ["model", "draft", "domain", "temperature"]
    columns = [*where, *stats.with_ends("overlap", "kl", "expected"), "least"]
    return counted.merge(overlap_table(frame)[columns], on=where)


def longest(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of the longest fixed draft length of each pair, engine, domain and temperature."""
    fixed = table[table.length != ADAPTIVE]
    most = fixed.length.astype(int).groupby([fixed[name] for name in LINE[:-1]]).transform("max")
    return fixed[fixed.length.astype(int) == most].reset_index(drop=True)


def lossless_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line an engine and type of weights, over all greedy pairs: prompts, texts, how many of these differ from plain decoding
    of the same engine, and the widest and median distance of the two tokens' logits where they part, over the spread of all.

    noise: the most by which that distance moves with the number of tokens in a pass alone; beyond: texts that part at tokens
    further apart than twice the noise of their model, which arithmetic does not explain. Both are empty where no row says."""
    rows = select(frame, "acceptance", "speed")
    lines = []
    for key, here in rows[rows.metric.isin(["differs", "tie_gap"])].groupby(["engine", "dtype"]):
        texts, gaps = here[here.metric == "differs"], here[here.metric == "tie_gap"].value
        noise = rows[(rows.metric == "gap_noise") & (rows.engine == key[0]) & (rows["dtype"] == key[1])]
        limit = here[here.metric == "tie_gap"].model.map(2 * noise.groupby("model").value.max()).astype(float)
        lines.append(dict(engine=key[0], dtype=key[1], prompts=len(texts.drop_duplicates(["domain", "item"])), texts=len(texts),
                          differ=int(texts.value.sum()), gap_median=gaps.median(), gap_widest=gaps.max(),
                          noise=noise.value.max(), beyond=np.nan if limit.isna().any() else int((gaps > limit).sum())))
    return pd.DataFrame(lines, columns=["engine", "dtype", "prompts", "texts", "differ", "gap_median", "gap_widest", "noise",
                                        "beyond"])


def block_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a model and cell, a column a number of tokens in a pass: the mean `block_noise` over texts, "exact" where no bit
    of any text differs from passes of one token. Empty where it was not measured."""
    rows, where = rows_of(frame, "blocks", metrics=("block_noise",)), ["model", "engine", "dtype"]
    if rows.empty:
        return pd.DataFrame(columns=where)
    sizes = rows.groupby([*where, "pass_tokens"]).value.agg(["mean", "max"])
    told = pd.Series(["exact" if most == 0 else stats.number(mean, 2) for mean, most in sizes.to_numpy()], sizes.index)
    table = told.unstack("pass_tokens").rename(columns="{:.0f} tokens".format)
    return table.rename_axis(columns=None).reset_index()


@once
def select(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    """The rows of some tasks with every coordinate as a column, draft lengths as text."""
    rows = rows_of(frame, *names)
    return rows.assign(length=stats.mapped(rows.length, _text))


def _text(length) -> str | None:
    if pd.isna(length):
        return None
    return length if isinstance(length, str) else str(int(length))


def finished(table: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """A table with readable drafts (`by`) and the models' numbers of weights, smallest first; missing ends are NaN."""
    rows = select(frame, "acceptance", "overlap", "speed", "batch")
    by_name = {name: rows[rows.metric == f"{name}_parameters"] for name in ("target", "draft")}
    target = by_name["target"].groupby("model")["value"].first()
    draft = by_name["draft"].groupby("draft")["value"].first()
    table = table.assign(by=[draft_label(line.model, line.draft) for line in table.itertuples()],
                         parameters=table.model.map(target).astype(float),
                         draft_parameters=table.draft.map(draft).astype(float), source="measured")
    table = table.astype({name: float for name in table if name.endswith(("_low", "_high"))})
    keys = [name for name in ("parameters", "model", "draft_parameters", "draft", *LINE[2:], "batch", "position")
            if name in table]
    return table.sort_values(keys, kind="stable").reset_index(drop=True)
