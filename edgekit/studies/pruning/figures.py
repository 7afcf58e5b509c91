"""The figures of 04_pruning."""

from __future__ import annotations

from edgekit.catalog import published
from edgekit.plots.figure import Figure
from edgekit.plots.intervals import AGAIN
from edgekit.studies.pruning import drawings, tables, tables_layers, tables_savings

FIGURES = (
    Figure("pruning_methods", lambda frame: (tables.method_table(frame),), drawings.pruning_methods, "losses of pruned models",
           "What each way to choose heads and neurons costs at the published shares, without any training afterwards: "
           "accuracy lost on the same problems, with 95 % intervals over problems, and loss added on the same texts, "
           "with intervals over seeds where there are several, else over texts. Dotted: Taylor importance, the published "
           f"choice; green: what S1.7 accepts of it. {AGAIN}"),
    Figure("pruning_sweep", lambda frame: (
        tables.sweep_table(frame), tuple(float(share) for share in tables.main_point(frame))),
           drawings.pruning_sweep, "losses at other shares",
           "Loss added to the whole model's (nats a token) by the shares of heads and of MLP neurons that were asked to "
           "go; colours are on a log scale. Black frame: the published shares. What really goes is the nearest count "
           "that a checkpoint can carry."),
    Figure("pruning_saving", lambda frame: (tables_savings.saving_table(frame), published.numbers("S1.6")),
           drawings.pruning_saving, "times of whole and pruned models",
           "Share of the time that the pruned model saves, paired by repeat, with 95 % t-intervals; black marks: what "
           "arithmetic promises (multiply-accumulates of prefill, bytes that a decode step reads); crosses: the "
           f"published 30 % of the compute; green: what S1.6 accepts of the time of prefill. {AGAIN}"),
    Figure("pruning_units", lambda frame: (tables_layers.unit_table(frame),), drawings.pruning_units,
           "losses of models without some of their layers",
           "Loss added by the share of all weights that went, without any training afterwards: whole layers (lines) by how "
           "much each turns the stream, by their place, or by chance, and heads and neurons (marks) by each of their scores; "
           f"95 % intervals over texts. {AGAIN}"),
    Figure("pruning_ranking", lambda frame: (tables.ranking_table(frame),), drawings.pruning_ranking,
           "rankings of heads and neurons",
           "Spearman's rank correlation, the mean over layers, between scores from few calibration sequences and scores "
           f"from many others, with 95 % intervals over draws on Fisher's z scale. {AGAIN}"),
    Figure("pruning_layers", lambda frame: (tables.layer_table(frame),), drawings.pruning_layers,
           "models whose layers were ranked together",
           "Share of its heads and neurons that each layer keeps when the units of all layers are ranked together, with "
           "95 % intervals over calibration seeds on the logit scale; dashed: the mean over layers."),
)
