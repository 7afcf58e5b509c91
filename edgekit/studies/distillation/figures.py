"""The figures of 05_distillation."""

from __future__ import annotations

from edgekit.plots.figure import Figure
from edgekit.studies.distillation import drawings, tables

FIGURES = (
    Figure("distillation_recovery", lambda frame: (tables.learning_table(frame),), drawings.distillation_recovery,
           "losses of students",
           "KL divergence from the whole model by way of learning, a panel a student, on one budget of tokens, with "
           "95 % intervals over seeds, or over texts where there is one; dashed: the pruned model that learnt "
           "nothing."),
    Figure("distillation_curves", lambda frame: (tables.training_table(frame),), drawings.distillation_curves, "trainings",
           "Cross-entropy on the texts that a student is trained on, against tokens, a line a seed. Those of the "
           "teacher's own texts are other texts: their level is not comparable, only their course."),
    Figure("distillation_order", lambda frame: (tables.order_table(frame),), drawings.distillation_order,
           "chains in both orders",
           "Left: KL divergence from the whole model when pruning comes before quantizing and when it comes after, "
           "at the same bytes. Right: the one over the other, paired by seed and text, with 95 % intervals; right of "
           "the dashed line, quantizing first loses less."),
    Figure("distillation_frontier", lambda frame: (tables.chain_table(frame),), drawings.distillation_frontier,
           "losses of chains",
           "KL divergence from the whole model against how many times smaller a chain's files are, with 95 % "
           "intervals over seeds or texts. Colour: how it learnt; shape: what it started from; filling: whether and "
           "when it was quantized."),
)
