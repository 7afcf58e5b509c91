"""What pruning saves: counted from the sizes of whole and pruned models, and measured with the clock.

Savings are shares (0 to 1) of what the whole model takes. `arithmetic` is counted from the sizes of the pruned model; `clock`
is 1 less the time over that of the whole model, paired by repeat.
"""

from __future__ import annotations

import pandas as pd

from edgekit.analyze import accounting, roofline, stats
from edgekit.analyze.once import once
from edgekit.analyze.rows import rows_of
from edgekit.catalog.models import Architecture

LINE = ["model", "engine", "dtype", "batch", "prompt_tokens"]


def architectures(frame: pd.DataFrame) -> dict[str, tuple[Architecture, Architecture]]:
    """Whole and pruned architecture of each model of which both are on record."""
    found = {}
    for model, here in rows_of(frame, "shape").groupby("model"):
        made = {(heads, mlp): _architecture(cell) for (heads, mlp), cell in here.groupby(["heads", "mlp"])}
        pruned = [a for shares, a in made.items() if any(shares)]
        if (0, 0) in made and pruned:
            found[model] = made[0, 0], pruned[0]
    return found


def _architecture(rows: pd.DataFrame) -> Architecture:
    """What the rows of one shape say; what no count needs (rotary base, norms' epsilon) is a neutral number."""
    parts = {part: int(value) for part, value in zip(rows.part, rows.value, strict=True)}
    return Architecture(family=rows.family.iloc[0], source="rows", rope_theta=1.0, norm_eps=0.0,
                        **parts | {part: bool(parts[part]) for part in ("tied", "attention_bias", "mlp_bias") if part in parts})


@once
def count_table(frame: pd.DataFrame, prompt_tokens: int = 128, context: int = 128, weight_bytes: float = 2) -> pd.DataFrame:
    """What pruning saves by arithmetic, a line a model: `removed_heads`, `removed_neurons` and the shares of
    `accounting.saved`; and how many `parameters` the whole model has."""
    lines = []
    for model, (whole, pruned) in architectures(frame).items():
        saved = accounting.saved(whole, pruned, prompt_tokens=prompt_tokens, context=context, weight_bytes=weight_bytes)
        saved["saved_parameters"] = saved.pop("parameters")
        lines.append(dict(model=model, parameters=whole.parameters, removed_heads=1 - pruned.heads / whole.heads,
                          removed_neurons=1 - pruned.mlp_width / whole.mlp_width) | saved)
    columns = ["model", "parameters", "removed_heads", "removed_neurons", "saved_parameters", "projections", "prefill",
               "decode", "decode_bytes", "kv_bytes"]
    return pd.DataFrame(lines, columns=columns).sort_values("parameters").reset_index(drop=True).assign(source="modelled")


@once
def saving_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Arithmetic and clock side by side, a line a model, engine, dtype, batch, prompt length and phase (prefill or decode).

    macs and bytes: shares of the multiply-accumulates and (decode only) of the bytes read that go; clock: share of the time
    that goes, paired by repeat; arithmetic: macs for prefill, bytes for decode, by the limit that each has at batch 1.
    """
    columns = [*LINE, "phase", "macs", "bytes", "arithmetic", *stats.with_ends("clock"), "n", "parameters", "source"]
    made = architectures(frame)
    # Sums of floats depend on their order, and figures must not depend on that of the rows.
    rows = rows_of(frame, "speed", "batches").sort_values([*LINE, "heads", "mlp", "metric", "repeat", "value"], kind="stable")
    lines = []
    for key, here in rows[rows.metric.isin(["ttft_s", "tpot_s"])].groupby(LINE):
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
            line = dict(zip(LINE, key, strict=True)) | dict(phase=phase)
            line |= stats.ends_of("clock", stats.Estimate(*ends, ratio.n))
            lines.append(line | _counted(made[key[0]], line, times.output_tokens.max(), rows) | {"n": ratio.n})
    table = pd.DataFrame(lines, columns=columns[:-2])
    table = by_size(table.astype(dict.fromkeys(("clock_low", "clock_high", "bytes"), float)), frame)
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
    same = same[same.metric.isin(["weight_bytes", "kv_bytes_per_token", "local_kv_bytes_per_token", "window_tokens"])]
    whole = (same.heads == 0) & (same.mlp == 0)
    facts = [same[one].groupby("metric").value.first() for one in (whole, ~whole)]
    read = [roofline.step_bytes(one["weight_bytes"], roofline.kv_per_token(one, context), context, batch) for one in facts]
    return dict(macs=1 - macs[1] / macs[0], bytes=1 - read[1] / read[0], arithmetic=1 - read[1] / read[0])


def memory_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Peak memory beside the process (bytes, median over repeats) of the whole and of the pruned model, and the share saved."""
    columns = ["model", "engine", "dtype", "whole_bytes", "pruned_bytes", "saved"]
    rows = rows_of(frame, "speed")
    rows = rows[rows.metric.isin(["peak_memory_bytes", "base_memory_bytes"])]
    if rows.empty:
        return pd.DataFrame(columns=columns)
    rows = rows.assign(form=rows.heads.add(rows.mlp).gt(0).map({True: "pruned_bytes", False: "whole_bytes"}))
    wide = rows.pivot_table(index=[*columns[:3], "form", "repeat"], columns="metric", values="value")
    taken = (wide.peak_memory_bytes - wide.base_memory_bytes).groupby([*columns[:3], "form"]).median().unstack()
    taken = taken.reindex(columns=columns[3:5]).rename_axis(columns=None).reset_index()
    return taken.assign(saved=1 - taken.pruned_bytes / taken.whole_bytes)[columns]


def by_size(table: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """A table of measured lines with the models' numbers of weights (`parameters`), smallest first."""
    sizes = {model: whole.parameters for model, (whole, _) in architectures(frame).items()}
    table = table.assign(parameters=table.model.map(sizes).astype(float), source="measured")
    return table.sort_values(["parameters", *table.columns[:4]], kind="stable").reset_index(drop=True)
