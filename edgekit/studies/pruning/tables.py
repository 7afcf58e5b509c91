"""The rows of the pruning study as tidy tables: what each way to prune lost, and what it kept.

Columns and intervals are as in `analyze.quantization`, whose tables of loss and accuracy these are; a way is here a score with
its shares, allocation, rounds and calibration. What pruning saves is in `analyze.pruning_savings`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from edgekit.analyze import losses as quantization
from edgekit.analyze import stats
from edgekit.analyze.once import once
from edgekit.analyze.rows import rows_of
from edgekit.schema import NONE
from edgekit.studies.pruning.tables_savings import by_size

WAY = ["score", "heads", "mlp", "rounds", "allocation", "calibration", "samples"]
SCORES = ("taylor", "gate", "activation", "magnitude", "random")
UNITS = ("heads", "neurons")


def widths(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows without those of models that lost whole layers, of which tables_layers.py has its own table."""
    gone = "layers" in frame and frame.layers.notna()
    return frame[~gone] if np.any(gone) else frame


@once
def loss_table(frame: pd.DataFrame) -> pd.DataFrame:
    """`quantization.loss_table` of the ways to prune, with the shares that really went: `removed_heads`, `removed_neurons`."""
    table, removed = quantization.loss_table(widths(frame), way=WAY), _removed(frame)
    if table.empty:  # empty columns have no type to merge by
        return table.reindex(columns=list(dict.fromkeys([*table.columns, *removed.columns])))
    return table.merge(removed, on=["model", "way"], how="left")


@once
def accuracy_table(frame: pd.DataFrame) -> pd.DataFrame:
    """`quantization.accuracy_table` of the ways to prune."""
    return quantization.accuracy_table(widths(frame), way=WAY)


def _kept(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of kept shares by model, way, calibration_seed, unit and layer."""
    return quantization.rows_of(widths(frame), "kept", WAY)


def _removed(frame: pd.DataFrame) -> pd.DataFrame:
    table = 1 - _kept(frame).pivot_table(index=["model", "way"], columns="unit", values="value")
    return table.reindex(columns=list(UNITS)).add_prefix("removed_").rename_axis(columns=None).reset_index()


def main_point(frame: pd.DataFrame) -> tuple[str, str]:
    """(heads, mlp) as texts: the shares at which scores are compared, those with most scores. Raises LookupError for none."""
    table = quantization.loss_table(widths(frame), way=WAY)
    table = table[table.score != NONE]
    if table.empty:
        raise LookupError("no pruned model in these rows")
    return table.groupby(["heads", "mlp"]).score.nunique().idxmax()


@once
def method_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Losses and accuracy (change, retained) of every way at the point, a line a model and way; `what` names the way."""
    columns = stats.with_ends("accuracy", "change", "retained")
    table = loss_table(frame)
    table = table[table.score != NONE]
    if table.empty:
        return table.assign(what="").reindex(columns=[*table.columns, "what", *columns])
    heads, mlp = main_point(frame)
    table = table[(table.heads == heads) & (table.mlp == mlp)]
    table = table.merge(accuracy_table(frame)[["model", "way", "engine", "dtype", *columns]],
                        on=["model", "way", "engine", "dtype"], how="left")
    table["what"] = [_named(line) for line in table.itertuples()]
    order = {score: place for place, score in enumerate(SCORES)}
    return table.sort_values(["parameters", "model", "score", "what"], kind="stable",
                             key=lambda column: column.map(order) if column.name == "score" else column).reset_index(drop=True)


def _named(line) -> str:
    more = ["all layers together"] * (line.allocation == "global")
    more += [f"{line.rounds} rounds"] * (line.rounds not in ("", "1"))
    return ", ".join([line.score, *more])


def contrast_table(frame: pd.DataFrame, base: str = "taylor") -> pd.DataFrame:
    """Nats a token that each way at the point adds beyond `base` (plain), in `more`; above 0 where `base` loses less.

    Paired by block of texts and, where both were drawn by the same calibration seeds (at least two), by seed; else seeds of a
    way are averaged and its interval is over blocks.
    """
    columns = ["model", "what", "score", *stats.with_ends("more"), "over", "n"]
    table = method_table(frame)
    if table.empty:
        return pd.DataFrame(columns=columns)
    blocks = quantization.block_table(widths(frame), way=WAY)
    blocks = blocks.merge(table[["model", "way", "what", "score"]], on=["model", "way"])
    lines = []
    same = ["domain", "block", "tokens"]
    for (model, what, score), here in blocks.groupby(["model", "what", "score"], sort=False):
        plain = blocks[(blocks.model == model) & (blocks.what == base)]
        if what == base or plain.empty:
            continue
        seeds = sorted(set(here.calibration_seed) & set(plain.calibration_seed)) if score != "random" else []
        if len(seeds) > 1:
            pairs = here.merge(plain, on=[*same, "calibration_seed"], suffixes=("", "_base"))
            sums = pairs.groupby("calibration_seed")[["added_nats", "added_nats_base", "tokens"]].sum()
            found, over = stats.mean_interval((sums.added_nats - sums.added_nats_base) / sums.tokens), "seeds"
        else:
            means = [part.groupby(same).added_nats.mean() for part in (here, plain)]
            more = (means[0] - means[1]).reset_index()
            found, over = stats.ratio_of_sums(more.added_nats, more.tokens), "texts"
        lines.append(dict(model=model, what=what, score=score, over=over, n=found.n) | stats.ends_of("more", found))
    return pd.DataFrame(lines, columns=columns)


@once
def sweep_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Nats a token added by each share of heads with each of neurons (numbers, `heads` and `mlp`), a line a model and pair.

    The score is the one with most pairs, uniform and in one round; the whole model stands at (0, 0). Empty without a sweep.
    """
    table = loss_table(frame)
    plain = table[(table.score != NONE) & table.rounds.isin(["", "1"]) & (table.allocation != "global")]
    columns = ["model", "score", "heads", "mlp", *stats.with_ends("added"), "removed_heads", "removed_neurons", "parameters",
               "source"]
    pairs = plain.groupby("score").way.nunique()
    if pairs.empty or pairs.max() < 2:
        return pd.DataFrame(columns=columns)
    score = pairs.idxmax()
    plain = plain[plain.score == score]
    swept = plain.groupby("model").way.transform("nunique") > 1
    plain = plain[swept]
    whole = table[(table.score == NONE) & table.model.isin(plain.model)].assign(heads="0", mlp="0", removed_heads=0.0,
                                                                                 removed_neurons=0.0, score=score)
    made = pd.concat([whole, plain], ignore_index=True).astype({"heads": float, "mlp": float})
    return made.sort_values(["parameters", "model", "heads", "mlp"])[columns].reset_index(drop=True)


def halves_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Nats a token added at the point by the `heads` alone, by the neurons alone (`mlp`) and by `both`, a line a model;
    `share`: the heads' part of the two halves. Empty where the sweep lacks one of them."""
    table = sweep_table(frame)
    lines = []
    for model, here in table.groupby("model", sort=False):
        heads, mlp = map(float, main_point(frame))
        added = here.set_index(["heads", "mlp"]).added
        if {(heads, 0.0), (0.0, mlp), (heads, mlp)} <= set(added.index):
            alone = added[heads, 0.0], added[0.0, mlp]
            lines.append(dict(model=model, heads=alone[0], mlp=alone[1], both=added[heads, mlp], share=alone[0] / sum(alone)))
    return pd.DataFrame(lines, columns=["model", "heads", "mlp", "both", "share"])


def ranking_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation of the scores from `samples` sequences with those from many others, a line a model, score, unit and
    number of sequences: the mean over layers, with an interval over seeds on Fisher's z scale (none for one seed)."""
    columns = ["model", "score", "unit", "samples", *stats.with_ends("correlation"), "n", "parameters", "source"]
    lines = []
    for key, here in rows_of(frame, "ranking").groupby(["model", "score", "unit", "samples"]):
        found = stats.bounded_interval(here.groupby("calibration_seed").value.mean(), -1.0, 1.0)
        lines.append(dict(zip(columns[:4], key, strict=True)) | stats.ends_of("correlation", found) | {"n": found.n})
    table = pd.DataFrame(lines, columns=columns[:-2]).astype({"correlation_low": float, "correlation_high": float})
    return by_size(table, frame)


def layer_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Share of the heads and neurons that each layer keeps when all layers are ranked together at the point, a line a model,
    score, unit and layer: the mean over calibration seeds, with an interval on the logit scale, which stays a share."""
    columns = ["model", "score", "unit", "layer", *stats.with_ends("kept"), "n", "parameters", "source"]
    kept = _kept(frame)
    kept = kept[kept.allocation == "global"]
    lines = []
    for key, here in kept.groupby(["model", "score", "unit", "layer"]):
        found = stats.bounded_interval(here.value)
        lines.append(dict(zip(columns[:4], key, strict=True)) | stats.ends_of("kept", found) | {"n": found.n})
    table = pd.DataFrame(lines, columns=columns[:-2]).astype({"kept_low": float, "kept_high": float})
    return by_size(table, frame)
