"""The quantities by which claims about speculative decoding are judged; see observed.Quantity for what one is."""

from __future__ import annotations

import pandas as pd

from edgekit.analyze import stats
from edgekit.analyze.observed import NotMeasured, Observation, Quantity, Setting, estimate_of, kind
from edgekit.analyze.stats import number
from edgekit.studies.speculative import tables, tables_speed


def draft_acceptance(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Share of judged greedy tokens of a smaller model that the largest target accepts, over all domains, in %, for the draft
    and engine with the most. The samples are prompts."""
    best = tables.most_accepted(_smaller(tables.over_domains(frame), setting, "acceptance counts"))
    if best is None:
        raise NotMeasured("acceptance counts of a smaller model at temperature 0 and a fixed draft length")
    same = [*tables.PAIR, "temperature", "length"]
    counted = tables.acceptance_table(frame)
    counted = counted[(counted[same] == best[same]).all(axis=1)]
    domains = ", ".join(f"{line.domain} {number(100 * line.acceptance)} %" for line in counted.itertuples())
    found = stats.percent(estimate_of(best, "acceptance", "", "acceptance, greedy, over all domains"))
    pair = f"{best.by} for {best.model}, {best.engine} {best['dtype']}"
    return [Observation(found, f"{pair}, {best.length} drafted tokens", (best.model, best.draft), "prompts", pair, domains)]


def speculative_speed_up(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """Speed-up from end to end by drafting with a smaller model, for the largest target: the mean over domains (geometric), for
    the draft, engine and length that gain most. The samples are processes."""
    speeds = _smaller(tables_speed.speed_table(frame), setting, "times with and without a draft")
    means = tables_speed.mean_gains(frame, speeds)
    if means.empty:
        raise NotMeasured("times with and without a draft over the same domains")
    best = means.loc[means.speed_up.idxmax()]
    here = speeds[(speeds[tables_speed.GAIN] == best[tables_speed.GAIN]).all(axis=1)]
    domains = ", ".join(f"{line.domain} {number(line.speed_up)}" for line in here.itertuples())
    pair = f"{best.by} for {best.model}, {best.engine} {best['dtype']}"
    return [Observation(estimate_of(best, "speed_up", "times", "speed-up from end to end by drafting"),
                        f"{pair}, {best.threads} threads, draft length {best.length}", (best.model, best.draft), "repeats",
                        pair, domains)]


def _smaller(table: pd.DataFrame, setting: Setting, needed: str) -> pd.DataFrame:
    """The lines of the largest target inside the setting with a smaller model as draft. Raises NotMeasured."""
    table = tables.smaller(table[table.model.map(kind).isin(setting.models)] if len(table) else table)
    if table.empty:
        raise NotMeasured(f"{needed} of a smaller model for a larger one (models {' or '.join(setting.models)})")
    return table


QUANTITIES = {
    "draft_acceptance": Quantity(draft_acceptance, "quality", 0.0, 100.0),
    "speculative_speed_up": Quantity(speculative_speed_up, "time"),
}
