"""The rows of the pruning study as tidy tables: what each way to prune lost, what it kept, and what it saved.

Columns and intervals are as in `analyze.quantization`, whose tables of loss and accuracy these are; a way is here a score with
its shares, allocation, rounds and calibration. Savings are shares (0 to 1) of what the whole model takes: `arithmetic` is
counted from the sizes of the pruned model, `clock` is 1 less the time over that of the whole model, paired by repeat.
"""

from __future__ import annotations

import pandas as pd

from edgekit.analyze import accounting, quantization, roofline, stats
from edgekit.analyze.quantization import WHOLE
from edgekit.catalog.models import Architecture

WAY = ["score", "heads", "mlp", "rounds", "allocation", "calibration", "samples"]
SCORES = ("taylor", "gate", "activation", "magnitude", "random")
UNITS = ("heads", "neurons")
CELL = ["model", "engine", "dtype", "batch", "prompt_tokens"]


def loss_table(frame: pd.DataFrame) -> pd.DataFrame:
    """`quantization.loss_table` of the ways to prune, with `removed_heads` and `removed_neurons`: the shares that really went."""
    table, removed = quantization.loss_table(frame, way=WAY), _removed(frame)
    if table.empty:  # empty columns have no type to merge by
        return table.reindex(columns=list(dict.fromkeys([*table.columns, *removed.columns])))
    return table.merge(removed, on=["model", "way"], how="left")


def accuracy_table(frame: pd.DataFrame) -> pd.DataFrame:
    """`quantization.accuracy_table` of the ways to prune."""
    return quantization.accuracy_table(frame, way=WAY)


def _kept(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of kept shares by model, way, calibration_seed, unit and layer."""
    frame = frame.reindex(columns=list(dict.fromkeys([*frame.columns, "unit", "layer"])))
    return quantization.rows_of(frame, "kept", WAY)


def _removed(frame: pd.DataFrame) -> pd.DataFrame:
    table = 1 - _kept(frame).pivot_table(index=["model", "way"], columns="unit", values="value")
    return table.reindex(columns=list(UNITS)).add_prefix("removed_").rename_axis(columns=None).reset_index()


def main_point(frame: pd.DataFrame) -> tuple[str, str]:
    """(heads, mlp) as texts: the shares at which scores are compared, those with most scores. Raises LookupError for none."""
    table = quantization.loss_table(frame, way=WAY)
    table = table[table.score != WHOLE]
    if table.empty:
        raise LookupError("no pruned model in these rows")
    return table.groupby(["heads", "mlp"]).score.nunique().idxmax()


def method_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Losses and accuracy (change, retained) of every way at the point, a line a model and way; `what` names the way."""
    columns = stats.with_ends("accuracy", "change", "retained")
    table = loss_table(frame)
    table = table[table.score != WHOLE]
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
    blocks = quantization.block_table(frame, way=WAY)
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
            sums = pairs.assign(more=pairs.added_nats - pairs.added_nats_base).groupby("calibration_seed")[["more", "tokens"]].sum()
            found, over = stats.mean_interval(sums.more / sums.tokens), "seeds"
        else:
            means = [part.groupby(same).added_nats.mean() for part in (here, plain)]
            more = (means[0] - means[1]).reset_index()
            found, over = stats.ratio_of_sums(more.added_nats, more.tokens), "texts"
        lines.append(dict(model=model, what=what, score=score, over=over, n=found.n) | stats.ends_of("more", found))
    return pd.DataFrame(lines, columns=columns)


def sweep_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Nats a token added by each share of heads with each of neurons (numbers, `heads` and `mlp`), a line a model and pair.

    The score is the one with most pairs, uniform and in one round; the whole model stands at (0, 0). Empty without a sweep.
    """
    table = loss_table(frame)
    plain = table[(table.score != WHOLE) & table.rounds.isin(["", "1"]) & (table.allocation != "global")]
    columns = ["model", "score", "heads", "mlp", *stats.with_ends("added"), "removed_heads", "removed_neurons", "parameters",
               "source"]
    pairs = plain.groupby("score").way.nunique()
    if pairs.empty or pairs.max() < 2:
        return pd.DataFrame(columns=columns)
    score = pairs.idxmax()
    plain = plain[plain.score == score]
    swept = plain.groupby("model").way.transform("nunique") > 1
    plain = plain[swept]
    whole = table[(table.score == WHOLE) & table.model.isin(plain.model)].assign(heads="0", mlp="0", removed_heads=0.0,
                                                                                 removed_neurons=0.0, score=score)
    made = pd.concat([whole, plain], ignore_index=True).astype({"heads": float, "mlp": float})
    return made.sort_values(["parameters", "model", "heads", "mlp"])[columns].reset_index(drop=True)


def ranking_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation of the scores from `samples` sequences with those from many others, a line a model, score, unit and
    number of sequences: the mean over layers, with an interval over seeds (none for one seed)."""
    columns = ["model", "score", "unit", "samples", *stats.with_ends("correlation"), "n", "parameters", "source"]
    rows = frame[frame.task == "ranking"]
    lines = []
    for key, here in rows.groupby(["model", "score", "unit", "samples"]) if len(rows) else ():
        found = stats.mean_interval(here.groupby("calibration_seed").value.mean())
        lines.append(dict(zip(columns[:4], key, strict=True)) | stats.ends_of("correlation", found) | {"n": found.n})
    table = pd.DataFrame(lines, columns=columns[:-2]).astype({"correlation_low": float, "correlation_high": float})
    return _by_size(table, frame)


def layer_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Share of the heads and neurons that each layer keeps when all layers are ranked together at the point, a line a model,
    score, unit and layer: the mean over calibration seeds."""
    columns = ["model", "score", "unit", "layer", *stats.with_ends("kept"), "n", "parameters", "source"]
    kept = _kept(frame)
    kept = kept[kept.allocation == "global"]
    lines = []
    for key, here in kept.groupby(["model", "score", "unit", "layer"]):
        found = stats.mean_interval(here.value)
        lines.append(dict(zip(columns[:4], key, strict=True)) | stats.ends_of("kept", found) | {"n": found.n})
    table = pd.DataFrame(lines, columns=columns[:-2]).astype({"kept_low": float, "kept_high": float})
    return _by_size(table, frame)


def _by_size(table: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    sizes = {model: whole.parameters for model, (whole, _) in architectures(frame).items()}
    table = table.assign(parameters=table.model.map(sizes).astype(float), source="measured")
    return table.sort_values(["parameters", *table.columns[:4]], kind="stable").reset_index(drop=True)


def architectures(frame: pd.DataFrame) -> dict[str, tuple[Architecture, Architecture]]:
    """Whole and pruned architecture of each model of which both are on record."""
    rows = frame[frame.task == "shape"] if "part" in frame else frame[:0]
    found = {}
    for model, here in rows.groupby("model") if len(rows) else ():
        made = {(heads, mlp): _architecture(cell) for (heads, mlp), cell in here.groupby(["heads", "mlp"])}
        pruned = [a for shares, a in made.items() if any(shares)]
        if (0, 0) in made and pruned:
            found[model] = made[0, 0], pruned[0]
    return found


def _architecture(rows: pd.DataFrame) -> Architecture:
    """What the rows of one shape say; what no count needs (rotary base, norms' epsilon) is a neutral number."""
    parts = {part: int(value) for part, value in zip(rows.part, rows.value, strict=True)}
    return Architecture(family=rows.family.iloc[0], source="rows", rope_theta=1.0, norm_eps=0.0,
                        **parts | {"tied": bool(parts["tied"])})


def count_table(frame: pd.DataFrame, prompt_tokens: int = 128, context: int = 128, weight_bytes: float = 2) -> pd.DataFrame:
    """What pruning saves by arithmetic, a line a model: `removed_heads`, `removed_neurons` and the shares of `accounting.saved`;
    and how many `parameters` the whole model has."""
    lines = []
    for model, (whole, pruned) in architectures(frame).items():
        saved = accounting.saved(whole, pruned, prompt_tokens=prompt_tokens, context=context, weight_bytes=weight_bytes)
        saved["saved_parameters"] = saved.pop("parameters")
        lines.append(dict(model=model, parameters=whole.parameters, removed_heads=1 - pruned.heads / whole.heads,
                          removed_neurons=1 - pruned.mlp_width / whole.mlp_width) | saved)
    columns = ["model", "parameters", "removed_heads", "removed_neurons", "saved_parameters", "projections", "prefill", "decode",
               "decode_bytes", "kv_bytes"]
    return pd.DataFrame(lines, columns=columns).sort_values("parameters").reset_index(drop=True).assign(source="modelled")


def saving_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Arithmetic and clock side by side, a line a model, engine, dtype, batch, prompt length and phase (prefill or decode).

    macs and bytes: shares of the multiply-accumulates and (decode only) of the bytes read that go; clock: share of the time
    that goes, paired by repeat; arithmetic: macs for prefill, bytes for decode, by the limit that each has at batch 1.
    """
    columns = [*CELL, "phase", "macs", "bytes", "arithmetic", *stats.with_ends("clock"), "n", "parameters", "source"]
    made = architectures(frame)
    rows = frame[frame.task.isin(["speed", "batches"])]
    lines = []
    for key, here in rows[rows.metric.isin(["ttft_s", "tpot_s"])].groupby(CELL) if len(rows) else ():
        if key[0] not in made:
            continue
        for phase, metric in (("prefill", "ttft_s"), ("decode", "tpot_s")):
            times = here[here.metric == metric]
            pairs = times.assign(whole=(times.heads == 0) & (times.mlp == 0)).pivot_table(
                index="repeat", columns="whole", values="value")
            if set(pairs) != {True, False} or pairs.dropna().empty:
                continue
            pairs = pairs.dropna()
            ratio = stats.ratio_interval(pairs[False], pairs[True])
            ends = [None if end is None else 1 - end for end in (ratio.value, ratio.high, ratio.low)]
            line = dict(zip(CELL, key, strict=True)) | dict(phase=phase) | stats.ends_of("clock", stats.Estimate(*ends, ratio.n))
            lines.append(line | _counted(made[key[0]], line, times.output_tokens.max(), rows) | {"n": ratio.n})
    table = pd.DataFrame(lines, columns=columns[:-2])
    table = _by_size(table.astype({name: float for name in ("clock_low", "clock_high", "bytes")}), frame)
    keys = ["parameters", "model", "engine", "dtype", "phase", "batch", "prompt_tokens"]
    return table.sort_values(keys, ascending=[name != "phase" for name in keys], kind="stable").reset_index(drop=True)


def _counted(pair: tuple[Architecture, Architecture], line: dict, output_tokens: float, rows: pd.DataFrame) -> dict:
    """Shares of multiply-accumulates and bytes that go in the phase of `line`; `bytes` from the weights that were loaded."""
    prompt, batch = int(line["prompt_tokens"]), int(line["batch"])
    if line["phase"] == "prefill":
        macs = [accounting.prefill_macs(a, prompt) for a in pair]
        return dict(macs=1 - macs[1] / macs[0], arithmetic=1 - macs[1] / macs[0])
    context = roofline.mean_context(prompt, output_tokens)
    macs = [accounting.decode_macs(a, round(context)) for a in pair]
    same = rows[(rows.model == line["model"]) & (rows.engine == line["engine"]) & (rows["dtype"] == line["dtype"])]
    facts = same[same.metric.isin(["weight_bytes", "kv_bytes_per_token"])].assign(
        whole=lambda f: (f.heads == 0) & (f.mlp == 0)).groupby(["metric", "whole"]).value.first()
    read = [roofline.step_bytes(facts["weight_bytes", whole], facts["kv_bytes_per_token", whole], context, batch)
            for whole in (True, False)]
    return dict(macs=1 - macs[1] / macs[0], bytes=1 - read[1] / read[0], arithmetic=1 - read[1] / read[0])


def memory_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Peak memory beside the process (bytes, median over repeats) of the whole and of the pruned model, and the share saved."""
    columns = ["model", "engine", "dtype", "whole_bytes", "pruned_bytes", "saved"]
    rows = frame[(frame.task == "speed") & frame.metric.isin(["peak_memory_bytes", "base_memory_bytes"])]
    if rows.empty:
        return pd.DataFrame(columns=columns)
    rows = rows.assign(form=rows.heads.add(rows.mlp).gt(0).map({True: "pruned_bytes", False: "whole_bytes"}))
    wide = rows.pivot_table(index=[*columns[:3], "form", "repeat"], columns="metric", values="value")
    taken = (wide.peak_memory_bytes - wide.base_memory_bytes).groupby([*columns[:3], "form"]).median().unstack()
    taken = taken.reindex(columns=columns[3:5]).rename_axis(columns=None).reset_index()
    return taken.assign(saved=1 - taken.pruned_bytes / taken.whole_bytes)[columns]
