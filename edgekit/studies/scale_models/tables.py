"""The rows of the study of the scale models as tidy tables, from the smallest model to the largest.

A column `x` has its 95 % interval in `x_low` and `x_high` (empty where the samples give none); `n` counts what the interval is
over: items, stories or prompts. Items and stories are the same for every model and step, so differences are paired. A study
without the rows that a table needs gives that table without lines.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from edgekit.analyze import stats
from edgekit.analyze.rows import rows_of
from edgekit.catalog import models as catalog

LINE = ["model", "domain", "mode", "depth"]
BUDGETS = {"direct": 0, "budget-1": 1, "budget-2": 2, "budget-3": 3, "budget-4": 4, "budget-5": 5}


def accuracy_ladder(frame: pd.DataFrame) -> pd.DataFrame:
    """Share of right answers by model, domain, mode and depth (or level), with Wilson's interval.

    An item without a readable answer counts as wrong; `unanswered` is the number of them.
    """
    rows = rows_of(frame, "accuracy")
    missed = rows[rows.metric == "unanswered"].groupby(LINE)["value"].sum()
    lines = []
    for key, items in rows[rows.metric == "correct"].groupby(LINE):
        correct = int(items.value.sum())
        lines.append(dict(zip(LINE, key, strict=True)) | stats.ends_of("accuracy", stats.wilson(correct, len(items)))
                     | {"correct": correct, "n": len(items), "unanswered": int(missed.get(key, 0))})
    return _ordered(lines, [*LINE, "parameters", *stats.with_ends("accuracy"), "correct", "unanswered", "n"], frame)


def budget_ladder(frame: pd.DataFrame) -> pd.DataFrame:
    """`accuracy_ladder` of the word problems with `budget`, the most reasoning lines that a mode allows (think: the depth)."""
    table = accuracy_ladder(frame)
    table = table[table.domain == "chain"]
    lines = table["mode"].map(BUDGETS).astype(float)
    return table.assign(budget=lines.fillna(table.depth).astype(int)).reset_index(drop=True)


def reasoning_gain(frame: pd.DataFrame) -> pd.DataFrame:
    """Share of right answers with some reasoning less that of answering directly, on the same word problems."""
    items = rows_of(frame, "accuracy")
    items = items[(items.metric == "correct") & (items.domain == "chain")]
    lines = []
    for (model, depth), cell in items.groupby(["model", "depth"]):
        answers = cell.pivot_table(index="item", columns="mode", values="value")
        for mode in answers.columns.difference(["direct"]) if "direct" in answers else []:
            both = answers[[mode, "direct"]].dropna()
            if len(both):
                lines.append(dict(model=model, mode=mode, depth=depth, n=len(both))
                             | stats.ends_of("gain", stats.paired_difference(both[mode], both["direct"])))
    return _ordered(lines, ["model", "mode", "depth", "parameters", *stats.with_ends("gain"), "n"], frame)


def prose_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Loss on prose above the grammar's entropy, in nats a token, stories as the clusters of the interval."""
    lines = [dict(model=model, tokens=int(stories.tokens.sum()), n=len(stories))
             | stats.ends_of("excess", stats.ratio_of_sums(stories.value, stories.tokens))
             for model, stories in rows_of(frame, "prose").groupby("model")]
    return _ordered(lines, ["model", "parameters", *stats.with_ends("excess"), "tokens", "n"], frame)


def acceptance_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Accepted share of a draft's tokens by domain, target, draft and temperature, prompts as the clusters of the interval,
    with the numbers of weights of both."""
    by = ["domain", "model", "draft", "temperature"]
    lines = [dict(zip(by, key, strict=True)) | stats.ends_of("rate", stats.clustered_share(texts.value, texts.drafted))
             | {"drafted": int(texts.drafted.sum()), "n": len(texts)}
             for key, texts in rows_of(frame, "acceptance").groupby(by)]
    table = _ordered(lines, [*by, "parameters", *stats.with_ends("rate"), "drafted", "n"], frame)
    sizes = rows_of(frame, "size").groupby("model")["value"].first()
    table = table.assign(draft_parameters=table.draft.map(sizes))
    return table.astype({"temperature": int}).rename(columns={"model": "target"})


def rounded_accuracy(frame: pd.DataFrame) -> pd.DataFrame:
    """Accuracy after round-to-nearest by model, bits, group and domain, and `change`, its difference to the unrounded model on
    the same items. Lines of 32 bits are the unrounded models on those items (no change)."""
    by = ["model", "bits", "group", "domain"]
    columns = [*by, "parameters", *stats.with_ends("accuracy", "change"), "n"]
    rounded, whole = (rows_of(frame, task, metrics=("correct",)) for task in ("rounded_accuracy", "accuracy"))
    pairs = rounded.merge(whole[["model", "domain", "mode", "item", "value"]], on=["model", "domain", "mode", "item"],
                          suffixes=("", "_whole"), validate="many_to_one")
    lines = [dict(zip(by, key, strict=True)) | {"n": len(items)}
             | stats.ends_of("accuracy", stats.wilson(int(items.value.sum()), len(items)))
             | stats.ends_of("change", stats.paired_difference(items.value, items.value_whole))
             for key, items in pairs.groupby(by)]
    for (model, group, domain), items in pairs.groupby(["model", "group", "domain"]):
        items = items.drop_duplicates(["mode", "item"])
        lines.append(dict(model=model, bits=32, group=group, domain=domain, n=len(items))
                     | stats.ends_of("accuracy", stats.wilson(int(items.value_whole.sum()), len(items))))
    return _ordered(lines, columns, frame)


def rounded_prose(frame: pd.DataFrame) -> pd.DataFrame:
    """Excess loss in nats a token after round-to-nearest by model, bits and group, and `added`, its difference to the
    unrounded model on the same stories. Lines of 32 bits are the unrounded models on those stories."""
    by = ["model", "bits", "group"]
    columns = [*by, "parameters", *stats.with_ends("excess", "added"), "n"]
    pairs = rows_of(frame, "rounded_prose").merge(rows_of(frame, "prose")[["model", "item", "value"]], on=["model", "item"],
                                                suffixes=("", "_whole"), validate="many_to_one")
    lines = [dict(zip(by, key, strict=True)) | {"n": len(stories)}
             | stats.ends_of("excess", stats.ratio_of_sums(stories.value, stories.tokens))
             | stats.ends_of("added", stats.ratio_of_sums(stories.value - stories.value_whole, stories.tokens))
             for key, stories in pairs.groupby(by)]
    for (model, group), stories in pairs.groupby(["model", "group"]):
        stories = stories.drop_duplicates("item")
        lines.append(dict(model=model, bits=32, group=group, n=len(stories))
                     | stats.ends_of("excess", stats.ratio_of_sums(stories.value_whole, stories.tokens)))
    return _ordered(lines, columns, frame)


def activation_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Largest activation over root mean square by model and site, the greatest of its layers, and the model's number of
    outlier features."""
    rows = rows_of(frame, "activations")
    counts = rows[rows.metric == "outlier_features"].groupby("model")["value"].first()
    peaks = rows[rows.metric == "peak_over_rms"]
    lines = [dict(model=model, site=site, peak_over_rms=layers.value.max(), layer=int(layers.layer[layers.value.idxmax()]),
                  outlier_features=int(counts[model])) for (model, site), layers in peaks.groupby(["model", "site"])]
    return _ordered(lines, ["model", "site", "parameters", "peak_over_rms", "layer", "outlier_features"], frame)


def training_table(models: Iterable[str]) -> pd.DataFrame:
    """The losses of each pocket model's training run, from its card: tokens seen, nats a token on validation texts."""
    lines = []
    for name in (name for name in models if name.startswith("pocket-")):
        card = catalog.card(name)
        lines += [dict(model=name, parameters=card["parameters"], tokens=point["tokens"],
                       validation_loss=point["validation_loss"], excess=point["prose_excess"], source="measured")
                  for point in card["training"]["loss_curve"]]
    columns = ["model", "parameters", "tokens", "validation_loss", "excess", "source"]
    return pd.DataFrame(lines, columns=columns).sort_values(["parameters", "tokens"], kind="stable").reset_index(drop=True)


def models_of(frame: pd.DataFrame) -> list[str]:
    """The models that were asked, from the smallest to the largest."""
    rows = rows_of(frame, "size")
    return list(rows.sort_values("value").model)


def _ordered(lines: list[dict], columns: list[str], frame: pd.DataFrame) -> pd.DataFrame:
    """The lines as a table with the models' numbers of weights, smallest first; counts as whole numbers."""
    table = pd.DataFrame(lines, columns=columns).assign(source="measured")
    sizes = rows_of(frame, "size").groupby("model")["value"].first()
    table["parameters"] = table.model.map(sizes)
    counts = ("parameters", "depth", "bits", "group", "layer")
    whole = [name for name in counts if name in columns and table[name].notna().all()]
    table = table.astype(dict.fromkeys(whole, int) | {name: float for name in columns if name.endswith(("_low", "_high"))})
    keys = [name for name in ("parameters", "model", "domain", "group", "bits", "mode", "depth", "draft", "temperature", "site")
            if name in columns]
    return table.sort_values(keys, kind="stable").reset_index(drop=True)
