"""Tables of 01_scale_models that its notebook shows beside the figures: each is a part of another one, or its summary."""

from __future__ import annotations

import pandas as pd

from edgekit.analyze import stats
from edgekit.studies.scale_models import tables


def family_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The models: weights, training tokens and validation loss from their cards (tokens_seen, validation_loss), and the excess
    loss on prose."""
    training = tables.training_table(tables.models_of(frame))
    seen = training.groupby("model").agg(tokens_seen=("tokens", "max"), validation_loss=("validation_loss", "last"))
    return tables.prose_table(frame).drop(columns="tokens").merge(seen, on="model", how="left")


def ends_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of the largest model on the shallowest and the deepest word problems, by mode."""
    ladder = tables.accuracy_ladder(frame)
    chain = ladder[ladder.domain == "chain"]
    largest = chain[chain.parameters == chain.parameters.max()]
    return largest[largest.depth.isin([largest.depth.min(), largest.depth.max()])]


def unanswered_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Outputs without a readable answer, which count as wrong, over all tasks."""
    return tables.accuracy_ladder(frame).groupby("model", sort=False)[["unanswered", "n"]].sum().reset_index()


def exponent_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Exponents of the power laws of excess loss: in the tokens seen, from a tenth of each model's run on; and in the weights,
    over the finished models (with an interval)."""
    prose, training = tables.prose_table(frame), tables.training_table(tables.models_of(frame))
    late = training[(training.excess > 0) & (training.tokens >= training.groupby("model").tokens.transform("max") / 10)]
    lines = [dict(of=model, variable="tokens seen", n=len(curve), exponent=stats.power_law(curve.tokens, curve.excess).value)
             for model, curve in late.groupby("model", sort=False) if len(curve) > 1]
    if prose.parameters.nunique() > 1 and (prose.excess > 0).all():
        fit = stats.power_law(prose.parameters, prose.excess)
        lines.append(dict(of="the finished models", variable="weights", n=len(prose)) | stats.ends_of("exponent", fit))
    return pd.DataFrame(lines, columns=["of", "variable", *stats.with_ends("exponent"), "n"])


def domain_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Share of right answers to queries of each other domain over all of its levels, by model."""
    ladder = tables.accuracy_ladder(frame)
    sums = ladder[ladder.domain != "chain"].groupby(["domain", "model"], sort=False)[["correct", "n"]].sum().reset_index()
    return pd.DataFrame([dict(domain=line.domain, model=line.model, n=line.n)
                         | stats.ends_of("accuracy", stats.wilson(line.correct, line.n)) for line in sums.itertuples()],
                        columns=["domain", "model", *stats.with_ends("accuracy"), "n"])


def change_table(frame: pd.DataFrame) -> pd.DataFrame:
    """How many combinations of model, group and domain lose accuracy for certain at each number of bits (the whole interval
    below zero), gain it, or show no difference, on the same items as the unrounded model."""
    table = tables.rounded_accuracy(frame)
    table = table[table.bits < 32]
    table = table.assign(lose=table.change_high < 0, gain=table.change_low > 0)
    table = table.assign(no_difference=~table.lose & ~table.gain)
    return table.groupby("bits")[["lose", "gain", "no_difference"]].sum().reset_index().sort_values("bits", ascending=False)


def peaks_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Largest activations over the root mean square, a column a site (attention, mlp, mlp_down, residual), a line a model."""
    wide = tables.activation_table(frame).pivot_table(
        index=["parameters", "model", "outlier_features"], columns="site", values="peak_over_rms")
    return wide.reset_index()
