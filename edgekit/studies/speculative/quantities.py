"""The quantities by which claims about speculative decoding are judged; see observed.Quantity for what one is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from edgekit.analyze import stats
from edgekit.analyze.observed import NotMeasured, Observation, Quantity, Setting, kind
from edgekit.analyze.stats import Estimate, number
from edgekit.studies.speculative import tables, tables_speed


def draft_acceptance(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Share of judged greedy tokens of a smaller model that the largest target accepts, over all domains, in %, for the draft
    and engine with the most. The samples are prompts."""
    rows = tables.select(frame, "acceptance")
    counted = tables.longest(_smaller(tables.acceptance_table(frame), setting, "acceptance counts")
                             [lambda table: table.temperature == 0])
    if counted.empty:
        raise NotMeasured("acceptance counts of a smaller model at temperature 0 and a fixed draft length")
    seen = []
    for (model, draft, engine, dtype), here in counted.groupby(["model", "draft", "engine", "dtype"]):
        part = rows[(rows.metric == "accepted") & (rows.model == model) & (rows.draft == draft)
                    & (rows.engine == engine) & (rows["dtype"] == dtype) & (rows.temperature == 0)
                    & (rows.length == here.length.iloc[0])]
        items = part.groupby(["domain", "item"])[["value", "judged"]].sum()
        found = stats.clustered_share(items.value, items.judged)
        seen.append((found, model, draft, engine, dtype, here))
    found, model, draft, engine, dtype, here = max(seen, key=lambda one: one[0].value)
    domains = ", ".join(f"{line.domain} {number(100 * line.acceptance)} %" for line in here.itertuples())
    pair = f"{tables.draft_label(model, draft)} for {model}, {engine} {dtype}"
    return [Observation(dataclasses.replace(stats.percent(found), what="acceptance, greedy, over all domains"),
                        f"{pair}, {here.length.iloc[0]} drafted tokens", kind(model), "prompts", pair, domains)]


def speculative_speed_up(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Speed-up from end to end by drafting with a smaller model, for the largest target: the mean over domains (geometric), for
    the draft, engine and fixed length that gain most. The samples are processes."""
    speeds = _smaller(tables_speed.speed_table(frame), setting, "times with and without a draft")
    seen = []
    where = [*tables.PAIR, "length"]
    for key, here in speeds.groupby(where):
        gains = tables_speed.gains(frame, dict(zip(where, key, strict=True)))
        if gains.shape[1] == speeds.domain.nunique() and len(gains):
            seen.append((stats.rate_interval(np.exp(np.log(gains).mean(axis=1)).to_list()), key, here))
    if not seen:
        raise NotMeasured("times with and without a draft over the same domains")
    found, (model, draft, engine, dtype, threads, length), here = max(seen, key=lambda one: one[0].value)
    domains = ", ".join(f"{line.domain} {number(line.speed_up)}" for line in here.itertuples())
    pair = f"{tables.draft_label(model, draft)} for {model}, {engine} {dtype}"
    return [Observation(Estimate(found.value, found.low, found.high, found.n, "times", "speed-up from end to end by drafting"),
                        f"{pair}, {threads} threads, draft length {length}", kind(model), "repeats", pair, domains)]


def _smaller(table: pd.DataFrame, setting: Setting, needed: str) -> pd.DataFrame:
    """The lines of the largest target with another, smaller model as draft, as it is or distilled. Raises NotMeasured."""
    table = table[table.model.map(kind).isin(setting.models) & (table.draft_parameters < table.parameters)
                  & (table.draft.str.partition(" > ")[0] != table.model)] if len(table) else table
    if table.empty:
        raise NotMeasured(f"{needed} of a smaller model for a larger one (models {' or '.join(setting.models)})")
    return table[table.parameters == table.parameters.max()]


QUANTITIES = {
    "draft_acceptance": Quantity(draft_acceptance, "quality", 0.0, 100.0),
    "speculative_speed_up": Quantity(speculative_speed_up, "time"),
}
