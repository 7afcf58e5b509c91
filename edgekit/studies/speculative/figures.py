"""The figures of 06_speculative."""

from __future__ import annotations

import pandas as pd

from edgekit.catalog import published
from edgekit.plots.figure import Figure
from edgekit.plots.intervals import AGAIN
from edgekit.schema import ADAPTIVE
from edgekit.studies.speculative import drawings_acceptance, drawings_gain, tables, tables_speed


def _expected(frame: pd.DataFrame) -> pd.DataFrame:
    """Times with and without a draft, if what they should be is known for one of them."""
    table = tables_speed.speed_table(frame)
    return table if table.expected.notna().any() else table[:0]


def _fixed(frame: pd.DataFrame) -> pd.DataFrame:
    """Times with and without a draft of fixed lengths, of which one can be chosen for all drafts."""
    table = tables_speed.speed_table(frame)
    return table[table.length != ADAPTIVE]


def _judged(frame: pd.DataFrame) -> pd.DataFrame:
    """What S1.10 is judged by: mean speed-ups of the smaller models that draft for the largest target."""
    return tables_speed.mean_gains(frame, tables.smaller(tables_speed.speed_table(frame)))


FIGURES = (
    Figure("speculative_acceptance",
           lambda frame: (tables.main_draft_table(frame), published.numbers("S1.9", "acceptance")),
           drawings_acceptance.speculative_acceptance, "greedy counts of accepted tokens of a smaller model",
           "Share of the judged drafted tokens that the largest target accepts of the smaller model that it accepts most, over "
           "all prompts (first row, greedy: what the claim is judged by) and by domain, with 95 % intervals over prompts. "
           f"Green: what the claim accepts of the average; cross: the published average. {AGAIN}"),
    Figure("speculative_places", lambda frame: (tables.judged_places(frame),),
           drawings_acceptance.speculative_places, "greedy counts of accepted tokens of a smaller model",
           "Share of the judged drafted tokens that are accepted at each place of a block, for the same draft and target, "
           "greedy, with 95 % intervals over prompts; marks of one place are set a little apart. A place is judged only where "
           f"all before it were accepted; those of fewer than {tables.FEWEST} judged tokens are left out."),
    Figure("speculative_divergence", lambda frame: (tables.theory_table(frame),), drawings_acceptance.speculative_divergence,
           "divergences of two models",
           "Counted acceptance of every pair and domain, in the reference engine where it was counted there. Left: against the "
           "overlap of the two distributions (sampled) or their agreement on the likeliest token (greedy); theory is the "
           "diagonal. Right: sampled, against KL divergence, with the least overlap that a divergence leaves possible. Bars "
           f"are 95 % intervals over prompts. {AGAIN}"),
    Figure("speculative_speed", lambda frame: (_expected(frame),), drawings_gain.speculative_speed,
           "times beside counted acceptance",
           "Measured decode speed-up, paired by process, with 95 % t-intervals, against the speed-up expected from "
           "measured costs and counted acceptance, for drafts by a model and by the lookup. Dashed: as expected; grey: within "
           f"a tenth of it; dotted: break-even. {AGAIN}"),
    Figure("speculative_lengths", lambda frame: (_judged(frame), published.numbers("S1.10")),
           drawings_gain.speculative_lengths, "times with and without a smaller model as draft, over the same domains",
           "Speed-up from end to end over plain decoding of the same runtime, the geometric mean over the timed domains, "
           "against the draft length, by runtime, for the largest target: a column a smaller model that drafts, a row a number "
           "of threads, with 95 % t-intervals over processes. Dashed: the runtimes' own loops. Ringed: the best, by which the "
           "claim is judged; green: what the claim accepts; cross in the margin: the published gain, at no stated length; "
           f"dotted: break-even. {AGAIN}"),
    Figure("speculative_drafts", lambda frame: (_fixed(frame),), drawings_gain.speculative_drafts,
           "times with and without a draft of a fixed length",
           "Speed-up from end to end over plain decoding of the same runtime by kind of draft, at the draft length at which "
           "most runtimes were timed, for the largest target and the most threads, ours and the runtimes' own loops, with "
           f"95 % t-intervals over processes. Dotted: break-even. {AGAIN}"),
    Figure("speculative_batches", lambda frame: (tables_speed.batch_table(frame),), drawings_gain.speculative_batches,
           "times of several texts at a time",
           "Speed-up from end to end against the number of texts at a time, each over plain decoding of as many "
           "texts at a time, by draft, with 95 % t-intervals over processes; marks of one number are set a little apart. "
           f"Dotted: break-even. {AGAIN}"),
    Figure("speculative_replay", lambda frame: (tables_speed.replayed_and_timed(frame), published.numbers("S1.10")),
           drawings_gain.speculative_replay, "replayed pairs",
           "Decode speed-up against the draft length of pairs that do all the work of drafting while acceptance is "
           "replayed from a trained pair (open marks, modelled), with 95 % t-intervals over processes, each of which "
           "drew anew; what the costs of the passes lead to expect (dashed); and, of a trained pair, the measured speed-up "
           "(filled), which a replay should meet. Line and cross: the gain from end to end that was published for a 0.5B "
           f"and a 7B, at no stated length. {AGAIN}"),
)
