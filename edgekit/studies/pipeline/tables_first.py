"""First tokens behind a prompt of a stated length. Columns as in tables.py."""

from __future__ import annotations

import pandas as pd

from edgekit.analyze import stats
from edgekit.analyze.once import once
from edgekit.analyze.rows import rows_of
from edgekit.schema import BITS, RUNTIME, TECHNIQUES, techniques
from edgekit.studies.pipeline import tables

QUANTIZED = "quantized"


@once
def first_token_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a model and stage: ttft_s behind `prompt_tokens`, of every model quantized in the fast runtime, and of one that
    was taken through all stages with all of them too."""
    rows = rows_of(frame, "speed", metrics=("ttft_s",))
    lines = [dict(model=model, stage=QUANTIZED, prompt_tokens=int(prompt), n=len(part))
             | stats.ends_of("ttft_s", stats.rate_interval(part.value))
             for (model, prompt), part in rows[rows.techniques == techniques((RUNTIME, BITS))].groupby(
                 ["model", "prompt_tokens"])]
    table = tables.stage_table(frame)
    full = table[(table.stage == tables.STEPS[frozenset(TECHNIQUES)]) & table.first_s.notna()]
    lines += [dict(model=line.model, stage=line.stage, prompt_tokens=int(line.first_prompt), n=line.n, ttft_s=line.first_s,
                   ttft_s_low=line.first_s_low, ttft_s_high=line.first_s_high) for line in full.itertuples()]
    sizes = rows_of(frame, "speed", "size", metrics=("parameters",)).groupby("model").value.max()
    table = pd.DataFrame(lines, columns=["model", "stage", "prompt_tokens", *stats.with_ends("ttft_s"), "n"])
    table = table.assign(parameters=table.model.map(sizes), source="measured")
    table = table.astype({name: float for name in table if name.endswith(("_low", "_high"))})
    return table.sort_values(["parameters", "model"], kind="stable").reset_index(drop=True)
