"""Whole layers against widths: what each loses at the share of the weights that went."""

from __future__ import annotations

import pandas as pd

from edgekit.analyze import losses, stats
from edgekit.analyze.once import once
from edgekit.schema import NONE
from edgekit.studies.pruning.tables import WAY

LAYERS_WAY = [*WAY, "layers"]
COLUMNS = ["model", "unit", "score", "layers", "heads", "mlp", "removed", *stats.with_ends("added", "kl"), "over", "n",
           "parameters", "source"]


@once
def unit_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a pruned variant of the models that lost whole layers too: `unit` (layers, or widths for heads and neurons), the
    share of all weights that is gone (`removed`), and what that added (nats a token). Empty where no layers went."""
    if "layers" not in frame or frame.layers.isna().all():
        return pd.DataFrame(columns=COLUMNS)
    table = losses.loss_table(frame, way=LAYERS_WAY)
    sizes = losses.rows_of(frame, "size", LAYERS_WAY)
    sizes = sizes[sizes.metric == "parameters"].groupby(["model", "way"]).value.first()
    whole = table.model.map(sizes.groupby("model").max())
    left = pd.Series([sizes.get((line.model, line.way)) for line in table.itertuples()], index=table.index, dtype=float)
    shorter = set(table[table.layers != ""].model)
    plain = table.rounds.isin(["", "1"]) & (table.allocation != "global")
    made = table.assign(removed=1 - left / whole, unit=["layers" if layers else "widths" for layers in table.layers])
    made = made[made.model.isin(shorter) & (made.score != NONE) & plain]
    return made.sort_values(["parameters", "model", "unit", "score", "removed"], kind="stable")[COLUMNS].reset_index(drop=True)
