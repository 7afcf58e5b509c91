"""The figures of 01_scale_models."""

from __future__ import annotations

from edgekit.plots.figure import Figure
from edgekit.studies.scale_models import drawings, tables, tables_behaviours

FIGURES = (
    Figure("scale_accuracy", lambda frame: (tables.accuracy_ladder(frame),), drawings.scale_accuracy,
           "answers to word problems",
           "Share of right answers to word problems against their depth, by mode and size, with Wilson's 95 % "
           "intervals."),
    Figure("scale_budget", lambda frame: (tables.budget_ladder(frame),), drawings.scale_budget,
           "answers within a number of lines",
           "Share of right answers against the lines of reasoning that are allowed, with Wilson's 95 % intervals. "
           "Dotted: as many as there are steps."),
    Figure("scale_prose", lambda frame: (
        tables.prose_table(frame), tables.training_table(tables.models_of(frame)),
        tables_behaviours.exponents("size_exponent")),
           drawings.scale_prose, "losses on prose",
           "Loss on prose above the entropy of its grammar. Left: along training, from the model cards. Right: on "
           "test stories, with 95 % intervals over stories, the fitted power law and the published exponents as "
           "slopes through the smallest model."),
    Figure("scale_queries", lambda frame: (tables.accuracy_ladder(frame),), drawings.scale_queries, "answers to queries",
           "Share of right answers to queries of other domains against their level, by size, with Wilson's 95 % "
           "intervals."),
    Figure("scale_rounding", lambda frame: (tables.rounded_accuracy(frame), tables.rounded_prose(frame)),
           drawings.scale_rounding, "rounded models",
           "Accuracy and excess loss against bits after round-to-nearest, a row a group size, with 95 % intervals; "
           "\"none\" is the unrounded model on the same items."),
    Figure("scale_acceptance", lambda frame: (tables.acceptance_table(frame),), drawings.scale_acceptance,
           "acceptance between models",
           "Share of a draft's tokens that the target accepts, by domain, greedy (above) and sampled at temperature "
           "1 (below). Intervals are in the table beside the figure."),
)
