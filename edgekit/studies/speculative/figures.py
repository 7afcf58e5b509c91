"""The figures of 06_speculative."""

from __future__ import annotations

import pandas as pd

from edgekit.catalog import published
from edgekit.plots.figure import Figure
from edgekit.studies.speculative import drawings, tables, tables_speed


def _expected(frame: pd.DataFrame) -> pd.DataFrame:
    """Times with and without a draft, if what they should be is known for one of them."""
    table = tables_speed.speed_table(frame)
    return table if table.expected.notna().any() else table[:0]


FIGURES = (
    Figure("speculative_acceptance", lambda frame: (tables.acceptance_table(frame, by_position=True),),
           drawings.speculative_acceptance, "counts of accepted tokens",
           "Share of judged drafted tokens that the largest target accepts, by place in the block, draft, domain and "
           "temperature, with 95 % intervals over prompts; marks of the same place are set a little apart."),
    Figure("speculative_divergence", lambda frame: (tables.theory_table(frame),), drawings.speculative_divergence,
           "divergences of two models",
           "Counted acceptance of every pair. Left: against the overlap of the two distributions (sampled) or their "
           "agreement on the likeliest token (greedy); theory is the diagonal. Right: sampled, against KL "
           "divergence, with the least overlap that a divergence leaves possible. Bars are 95 % intervals over "
           "prompts."),
    Figure("speculative_speed", lambda frame: (_expected(frame),), drawings.speculative_speed,
           "times beside counted acceptance",
           "Measured decode speed-up, paired by process, with 95 % t-intervals, against the speed-up expected from "
           "measured costs and counted acceptance. Dashed: as expected; dotted: break-even."),
    Figure("speculative_lengths", lambda frame: (tables_speed.speed_table(frame),), drawings.speculative_lengths,
           "times with and without a draft",
           "Speed-up from end to end over plain decoding of the same runtime against the draft length, by runtime, "
           "draft and domain, for the largest target, with 95 % t-intervals over processes. Dashed lines: the "
           "runtimes' own loops."),
    Figure("speculative_batches", lambda frame: (tables_speed.batch_table(frame),), drawings.speculative_batches,
           "times of several texts at a time",
           "Speed-up from end to end against the number of texts at a time, each over plain decoding of as many "
           "texts at a time, by draft, with 95 % t-intervals over processes. Dotted: break-even."),
    Figure("speculative_replay", lambda frame: (tables_speed.replay_table(frame), published.numbers("S1.10")),
           drawings.speculative_replay, "replayed pairs",
           "Decode speed-up against the draft length of pairs that do all the work of drafting while acceptance is "
           "replayed from a trained pair (open marks, modelled), with 95 % t-intervals over processes, each of which "
           "drew anew; and what the costs of the passes lead to expect (dashed). Cross: the gain that was published "
           "for a 0.5B and a 7B."),
)
