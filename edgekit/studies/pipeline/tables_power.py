"""How much the numbers of problems and prompts could show, and what each draft gained. Columns as in tables.py."""

from __future__ import annotations

import numpy as np
import pandas as pd

from edgekit.analyze import stats
from edgekit.analyze.once import once
from edgekit.analyze.power import items_for_bound
from edgekit.analyze.rows import rows_of
from edgekit.catalog import published
from edgekit.schema import NONE
from edgekit.studies.pipeline import tables


@once
def power_table(frame: pd.DataFrame, assumed: float) -> pd.DataFrame:
    """A line a model and stage with answers: items asked, how many are `needed` to show a loss below what S1.2 accepts if none
    is lost, by the `assumed` share of answers that change, and by the share that did (`changed`): `needed_seen`, nothing of a
    stage that changed none."""
    bound = published.accepted("S1.2", "pipeline_loss")[1] / 100
    lines = []
    for model in tables.models(frame):
        outcomes = tables.right(frame, model)
        whole = outcomes.get(frozenset())
        if whole is None or not whole.sum():
            continue
        accuracy = float(whole.mean())
        for subset, name in tables.STEPS.items():
            if subset in outcomes:
                changed = float((outcomes[subset] != whole).mean())
                seen = items_for_bound(bound, accuracy, changed) if changed else np.nan
                lines.append(dict(model=model, stage=name, items=len(whole), accuracy=accuracy, changed=changed,
                                  needed=items_for_bound(bound, accuracy, assumed), needed_seen=seen))
    columns = ["model", "stage", "items", "accuracy", "needed", "changed", "needed_seen"]
    return pd.DataFrame(lines, columns=columns).assign(source="measured")


@once
def draft_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a cell, draft and length: `gain` over plain decoding in the same process, from end to end; `texts` that were
    written, and how many `differ` from the plain ones; past_end, % of plain tokens that stand behind their text's own end."""
    table = tables.passes(frame)
    rows = rows_of(frame, "stages", metrics=("differs", "past_end_tokens"))
    lines = []
    for key, cell in table.groupby(tables.CELL, sort=False):
        at = dict(zip(tables.CELL, key, strict=True))
        plain = cell[cell.draft == NONE].set_index("repeat").seconds
        here = rows[(rows[tables.CELL] == list(key)).all(axis=1)]
        behind = here[here.metric == "past_end_tokens"]
        share = 100 * behind.value.sum() / behind.output_tokens.astype(float).sum() if len(behind) else np.nan
        for (draft, length), own in cell[cell.draft != NONE].groupby(["draft", "length"], sort=False):
            both = own.set_index("repeat").seconds.to_frame("own").join(plain.rename("plain"), how="inner")
            texts = here[(here.metric == "differs") & (here.draft == draft) & (here.length == length)].value
            gain = stats.ratio_interval(both.plain, both.own)
            lines.append(at | dict(draft=draft, length=length, n=gain.n, texts=len(texts), differ=int(texts.sum()),
                                   past_end=share) | stats.ends_of("gain", gain))
    columns = [*tables.WAY, *stats.with_ends("gain"), "texts", "differ", "past_end", "n"]
    table = pd.DataFrame(lines, columns=columns).assign(source="measured")
    return table.astype({name: float for name in table if name.endswith(("_low", "_high"))})
