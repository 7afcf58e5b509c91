"""The figures of 02_baseline."""

from __future__ import annotations

import pandas as pd

from edgekit.analyze import roofline
from edgekit.catalog import platforms, published
from edgekit.plots import latency
from edgekit.plots.accuracy import accuracy_by_depth
from edgekit.plots.figure import Figure
from edgekit.plots.intervals import AGAIN
from edgekit.studies.baseline import drawings_ceilings, drawings_resources, drawings_shares, tables


def _boards() -> pd.DataFrame:
    """Published bandwidths of the boards, a line each."""
    return pd.DataFrame([{"platform": board.id, "name": board.name,
                          "memory_bandwidth_byte_per_s": board.memory_bandwidth_byte_per_s}
                         for board in platforms.load().values()])


FIGURES = (
    Figure("ttft_vs_prompt", lambda frame: (roofline.speed_table(frame),), latency.ttft_vs_prompt,
           "times to first token",
           "Time to first token against prompt length; engines are set a little apart. Points are geometric means over "
           f"processes, bars 95 % t-intervals on the log scale; dotted: what grows in proportion to the prompt. {AGAIN}"),
    Figure("tpot_vs_context", lambda frame: (roofline.speed_table(frame),), latency.tpot_vs_context, "decode times",
           "Time per output token against the mean context of its steps; engines are set a little apart. Points are "
           f"geometric means over processes, bars 95 % t-intervals on the log scale. {AGAIN}"),
    Figure("shares", lambda frame: (tables.share_table(frame), published.numbers("S3.1")), drawings_shares.shares,
           "decode and first-token times of the same run",
           "Time of decoding over time of prefill, means over processes with 95 % t-intervals. Left: the largest model against "
           "its output length, with the published ratios of EdgeReasoning (crosses) and what the claim accepts (green). Right: "
           f"all models at the longest output that each of them wrote. {AGAIN}"),
    Figure("utilisation", lambda frame: (roofline.utilisation_table(frame), published.numbers("S3.9")),
           drawings_ceilings.utilisation, "decode times beside the device's bandwidth",
           "Decode speed under the ceiling of the measured read bandwidth, and the share of it that is reached. Crosses: "
           "shares computed from EdgeReasoning's released coefficients. Bars: 95 % t-intervals; grey: spread of the "
           f"bandwidth; green: what S3.9 accepts. {AGAIN}"),
    Figure("memory", lambda frame: (tables.memory_table(frame),), drawings_resources.memory, "memory of the measuring process",
           "Peak resident memory, with its 95 % t-interval, beside the process before loading, the weights, and keys and "
           "values; dotted: what these do not account for."),
    Figure("accuracy_by_depth", lambda frame: (tables.answers_table(frame),), accuracy_by_depth,
           "answers to problems that have depths",
           "Share of right answers against the number of steps of a problem in the reference cell, 32-bit weights where there "
           "are any, with Wilson's 95 % intervals; and what the other cells differ from it over all problems and modes, with "
           f"95 % intervals of the paired differences. {AGAIN}"),
    Figure("baseline_7b", lambda frame: (roofline.speed_table(frame), _boards(), published.numbers("S1.3")),
           drawings_ceilings.baseline_7b, "decode times",
           "Decode speed of 16-bit transformers. Left: ours against model size, with 95 % t-intervals. Right: what the "
           "paper printed for a 7B model on four boards (crosses), and their bandwidth ceilings (modelled). Green: what "
           "S1.3 accepts of a 7B."),
    Figure("energy", lambda frame: (roofline.energy_table(frame),), drawings_resources.energy,
           "energy, since no sensor was read",
           "Energy per token by phase, idle power included and subtracted."),
)
