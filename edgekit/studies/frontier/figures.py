"""The figures of 09_frontier."""

from __future__ import annotations

import pandas as pd

from edgekit.catalog import published
from edgekit.plots.figure import Figure
from edgekit.plots.intervals import AGAIN
from edgekit.studies.frontier import drawings, drawings_votes, tables, tables_answers, tables_choices, tables_votes


def _ratios() -> pd.DataFrame:
    """EdgeReasoning's tokens with a budget over those in full."""
    theirs = tables_votes.published("budgets")
    full = theirs[theirs["mode"] == "think"].set_index("label").tokens
    return theirs[theirs["mode"] != "think"].assign(token_ratio=lambda lines: lines.tokens / lines.label.map(full))


def _budgets(frame: pd.DataFrame) -> tuple:
    ratios = tables_answers.budgets_table(frame)
    return tables.frontier_table(frame), ratios[ratios["mode"] != tables.DIRECT], _ratios()


def _some_votes() -> pd.DataFrame:
    """Others' curves over several numbers of samples."""
    theirs = tables_votes.published("votes")
    return theirs[theirs.groupby("label").samples.transform("nunique") > 1]


FIGURES = (
    Figure("frontier", lambda frame: (tables.frontier_table(frame), published.numbers("S3.4", "time_budget_s")),
           drawings.frontier, "answers and times of the same models",
           "Accuracy against the time of an answer, a panel a family of questions and type of weights. In full colour: on the "
           "family's frontier, with 95 % intervals over questions (and, of times, over processes), and the share "
           "of resampled questions in which it is on the frontier; the others are faint. Line: the frontier over all "
           "types of weights. Times are those of the tokens written, by lines through timed streams; votes wait for their "
           "longest sample. Dotted: the published time limits, where they lie in the panel."),
    Figure("frontier_budgets", _budgets, drawings.frontier_budgets, "answers with budgets and in full",
           "Left: accuracy against the mean tokens of an answer, by model and way to reason, with Wilson's 95 % intervals. "
           "Right: tokens with a budget over those in full on the same questions, by kind of budget, with 95 % intervals over "
           "questions; crosses: EdgeReasoning's, of 1.5B, 8B, 14B and L1. Green: shorter, what S3.5 accepts of budgets in the "
           "prompt."),
    Figure("frontier_sizes", lambda frame: (tables_choices.sizes_table(frame),), drawings.frontier_sizes,
           "answers of the same model with and without reasoning",
           "Accuracy without reasoning less that in full against the size of the model, on the same questions, with 95 % "
           "intervals. Above the dotted line no reasoning is the better way. Green: what S3.5 accepts of the smallest model."),
    Figure("frontier_choices", lambda frame: (tables_choices.choices_table(frame),), drawings.frontier_choices,
           "answers and times of the same models",
           "The size of the most accurate configuration that keeps within a time limit, with its way to reason and accuracy. "
           "Marks are the larger, the more often resampled questions choose the same configuration."),
    Figure("frontier_votes", lambda frame: (tables_votes.votes_table(frame), _some_votes(), tables_votes.published("parallel")),
           drawings_votes.frontier_votes, "pools of drawn answers",
           "Left: accuracy of a majority vote against its number of samples: the expectation over all draws from one pool a "
           "question, ties shared, with 95 % intervals over questions; dotted: the chance that any sample is right, which no "
           "vote passes. Crosses: Qwen3-0.6B on MATH-500. Right: time of so many samples at once over one's, with 95 % "
           f"t-intervals over processes; crosses: EdgeReasoning's. Green: what S3.6 accepts of 8. {AGAIN}"),
    Figure("frontier_parallel", lambda frame: (tables_votes.parallel_table(frame), tables_votes.published("parallel")),
           drawings_votes.frontier_parallel, "times of several samples at a time",
           "Left: tokens/s of all samples together over those of one; dotted: as many times as samples, when a step takes no "
           "longer. Right: the share of the read bandwidth and of the matrix rate that a step reaches. With 95 % t-intervals "
           f"over processes; crosses: EdgeReasoning's, on the right the share of time that its GPU was busy. {AGAIN}"),
    Figure("frontier_tip", lambda frame: (_tip(frame),), drawings.frontier_tip,
           "answers and times of several models in several precisions",
           "The smallest model first, at its fewest bits, and larger only if needed, for each accuracy that can be wanted. "
           "Left: the time of what that ends with over the fastest that is as accurate. Right: the share of measurements that "
           "it did not make. Green: what S2.5 accepts."),
)


def _tip(frame: pd.DataFrame) -> pd.DataFrame:
    table = tables_choices.tip_table(frame)
    return table[table["mode"] == tables_choices.THINK]
