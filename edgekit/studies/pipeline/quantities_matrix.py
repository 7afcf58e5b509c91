"""The quantities by which the claim about variants and platforms is judged: counts of what committed rows hold of the kit's own
variants. They are counted over all platforms, whatever rows a verdict is asked for."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from edgekit.analyze.observed import NotMeasured, Observation, Quantity, Setting
from edgekit.analyze.stats import Estimate
from edgekit.studies.pipeline import tables_matrix
from edgekit.studies.pipeline.tables_matrix import FIELDS

WHERE = "the committed rows of all studies"


def variants_in_all(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """The most variants that one platform has latency, accuracy, memory and power of."""
    return _counted("variants with all four on one platform", lambda counts: counts.all_four.max())


def platforms_in_all(frame: pd.DataFrame, setting: Setting, accepted: tuple[float, float]) -> list[Observation]:
    """The platforms that have latency, accuracy, memory and power of a variant."""
    return _counted("platforms with all four of a variant", lambda counts: (counts.all_four > 0).sum())


def _counted(what: str, count: Callable[[pd.DataFrame], int]) -> list[Observation]:
    """The count, as large as it is. Raises NotMeasured where one of the four is on record for no variant: a count would then
    tell of the sensors that machines have, and not of what was tried."""
    table = tables_matrix.committed_matrix()
    counts = tables_matrix.counts(table)
    none = [name for name in FIELDS if not counts[name].sum()]
    if none:
        known = counts[counts[list(FIELDS)].sum(axis=1) > 0]
        told = ", ".join(f"{name} of {int(known[name].sum())}" for name in FIELDS)
        why = table[table.field.isin(none) & table.platform.isin(known.platform)].why.map(lambda why: why.partition(" (")[0])
        raise NotMeasured(f"{' and '.join(none)} of any variant ({'; '.join(dict.fromkeys(why))}); on record are {told} "
                          f"variants on {len(known)} platforms ({', '.join(known.platform)})")
    value = float(count(counts))
    models = tuple(dict.fromkeys(table[table.value.notna()].model))
    return [Observation(Estimate(value, value, value, 1, "", what), WHERE, models, "", WHERE)]


QUANTITIES = {"variants_in_all": Quantity(variants_in_all, "size"), "platforms_in_all": Quantity(platforms_in_all, "size")}
