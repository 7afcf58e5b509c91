"""The figures of 10_runtimes."""

from __future__ import annotations

from edgekit.analyze import roofline
from edgekit.plots import latency
from edgekit.plots.figure import Figure
from edgekit.plots.intervals import AGAIN
from edgekit.studies.runtimes import drawings, drawings_agreement, tables, tables_agreement, tables_overhead

PAIRED = "Points are geometric means over processes, bars 95 % t-intervals on the log scale"

FIGURES = (
    Figure("decode_by_bytes", lambda frame: (roofline.utilisation_table(frame),), drawings.decode_by_bytes,
           "decode times with the device's memory bandwidth",
           "Decode speed against the bytes that a step reads, a line a runtime and precision, and the ceiling: the bandwidth "
           f"that was measured beside them, with its spread. {PAIRED}. Dotted: a cache holds these models, which may "
           f"then be faster than the memory. {AGAIN}"),
    Figure("gains", lambda frame: (tables.gain_table(frame),), drawings.gains, "two runtimes on the same weights",
           "Speed of each runtime over that of transformers on the same weights, at the longest lengths, paired by round. "
           f"Bars: 95 % t-intervals on the log scale. {AGAIN}"),
    Figure("overhead", lambda frame: (tables_overhead.share_table(frame), tables_overhead.overhead_table(frame)),
           drawings.overhead, "three models of different sizes in one runtime",
           "The part of a decode step that is the runtime's own, a panel a runtime. Marks: what the bytes at the runtime's "
           "fitted rate do not explain, means over processes with 95 % t-intervals; lines: the law; upright bars on the dotted "
           f"line: the bytes at which both take as long, with their interval. {AGAIN}"),
    Figure("ttft_vs_prompt", lambda frame: (roofline.speed_table(frame),), latency.ttft_vs_prompt, "times to first token",
           f"Time to first token against prompt length; runtimes are set a little apart. {PAIRED}; dotted: what grows in "
           f"proportion to the prompt. {AGAIN}"),
    Figure("agreement", lambda frame: (tables_agreement.pair_table(frame),), drawings_agreement.agreement,
           "likeliest tokens of two runtimes",
           "Agreement of runtimes with each other, in per cent. Above the diagonal: positions with the same likeliest token, "
           "all given the same text. Below: texts that both write alike to their end; one token that differs changes all that "
           "follow."),
    Figure("acceleration", lambda frame: (tables.acceleration_table(frame),), drawings.acceleration,
           "times with acceleration and without",
           "Speed of prefill and of decoding over that with the least acceleration, on the same weights, paired by round; "
           f"green: what S2.4 accepts. Points are geometric means, bars 95 % t-intervals on the log scale. {AGAIN}"),
)
