"""The figures of 05_distillation."""

from __future__ import annotations

from edgekit.plots.figure import Figure
from edgekit.plots.intervals import AGAIN
from edgekit.studies.distillation import drawings, tables

FIGURES = (
    Figure("distillation_recovery", lambda frame: (tables.learning_table(frame),), drawings.distillation_recovery,
           "losses of students",
           "KL divergence from the whole model on held-out texts, by way of learning, a panel a student (heads/MLP "
           "neurons: the shares removed), on one budget of tokens and one scale, with 95 % intervals over seeds, or over "
           "texts where there is one seed; dashed: the pruned model that was not trained."),
    Figure("distillation_losses", lambda frame: (tables.outcome_table(frame),), drawings.distillation_losses,
           "trainings with losses of what they made",
           "KL divergence from the whole model on held-out texts against the cross-entropy on the texts that a student "
           "was trained on, at the end of training, by way of learning, a panel a student, with 95 % intervals over "
           "seeds or texts. Were the training loss a measure of recovery, marks would rise from left to right; the "
           "teacher's own texts are other texts."),
    Figure("distillation_order", lambda frame: (tables.order_table(frame),), drawings.distillation_order,
           "chains in both orders",
           "KL divergence from the whole model when pruning comes before quantizing, over that when it comes after, at "
           "the same bytes, paired by seed and text, with 95 % intervals. Left of one pruning first loses less; green: "
           f"what S1.8 accepts of the filled mark. {AGAIN}"),
    Figure("distillation_frontier", lambda frame: (tables.chain_table(frame),), drawings.distillation_frontier,
           "answers of chains",
           "Accuracy kept of the whole model's against how many times smaller a chain's files are, with 95 % intervals "
           "over problems; marks of one size are set a little apart. Filled: pruned, taught and quantized, "
           "which S2.3 is about; half filled: from fresh weights; open: fewer steps. Green: what S2.3 accepts of size "
           "and of accuracy; a filled mark in the corner where both bands lie would bear it out."),
)
