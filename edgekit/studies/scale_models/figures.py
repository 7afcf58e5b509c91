"""The figures of 01_scale_models."""

from __future__ import annotations

from edgekit.plots.figure import Figure
from edgekit.plots.intervals import AGAIN
from edgekit.studies.scale_models import drawings, tables, tables_behaviours

FIGURES = (
    Figure("scale_accuracy", lambda frame: (tables.accuracy_ladder(frame),), drawings.scale_accuracy,
           "answers to word problems",
           "Share of right answers to word problems against their depth, by size, with all steps written and with the answer "
           "alone, with Wilson's 95 % intervals."),
    Figure("scale_budget", lambda frame: (tables.budget_ladder(frame),), drawings.scale_budget,
           "answers within a number of lines",
           "Share of right answers against the lines of reasoning that are allowed, with Wilson's 95 % intervals. "
           "Dotted: as many as there are steps, which is enough; \"all\" is no limit."),
    Figure("scale_prose", lambda frame: (
        tables.prose_table(frame), tables.training_table(tables.models_of(frame)),
        tables_behaviours.exponents("size_exponent")),
           drawings.scale_prose, "losses on prose",
           "Loss on prose above the entropy of its grammar. Left: along training, from the model cards; it jumps where a "
           "further stage of training begins with a high learning rate. Right: on test stories, with 95 % intervals over "
           "stories, the fitted power law, and the published exponents as slopes through the smallest model."),
    Figure("scale_queries", lambda frame: (tables.accuracy_ladder(frame),), drawings.scale_queries, "answers to queries",
           "Share of right answers to queries of other domains, by size, with Wilson's 95 % intervals: of two that were taught "
           "against their level, and of those that were never taught over all levels."),
    Figure("scale_rounding", lambda frame: (tables.rounded_accuracy(frame), tables.rounded_prose(frame)),
           drawings.scale_rounding, "rounded models",
           "What round-to-nearest takes against its bits, each rounded model less the unrounded one on the same items and "
           "stories, with 95 % intervals of the paired differences: right answers, and added loss on prose (logarithmic, "
           f"linear below a thousandth). The groups are the widest that all models were rounded in. {AGAIN}"),
    Figure("scale_acceptance", lambda frame: (tables.acceptance_table(frame),), drawings.scale_acceptance,
           "acceptance between models",
           "Share of a draft's tokens that the largest target accepts against the draft's weights over the target's, by "
           "domain, with 95 % intervals over prompts; marks of one draft are set a little apart."),
)
