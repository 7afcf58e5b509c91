"""The figures of 08_latency_law."""

from __future__ import annotations

from edgekit.analyze import trace_audit
from edgekit.plots.figure import Figure
from edgekit.plots.intervals import AGAIN
from edgekit.studies.latency_law import drawings, drawings_published, tables, tables_published, tables_transfer

INTERVALS = "bars 95 % t-intervals over processes"

FIGURES = (
    Figure("law_errors", lambda frame: (tables.error_table(frame),), drawings.law_errors,
           "times over enough lengths for a law",
           "Mean absolute error of each law at lengths that it was not fitted to, by model and cell. Points are geometric "
           f"means over processes, {INTERVALS} on the log scale; green: what ER.1 and ER.2 accept. {AGAIN}"),
    Figure("residuals", lambda frame: (tables.residual_table(frame),), drawings.residuals,
           "times over enough lengths for a law",
           "By how much each law is above what was seen, at lengths that it was not fitted to, for the cells of the largest "
           f"model. Points are means over processes, {INTERVALS}. {AGAIN}"),
    Figure("transfer", lambda frame: (tables_transfer.transfer_table(frame),), drawings.transfer,
           "two models or formats in one engine",
           "Median error of the physical laws (decode: bytes over bandwidth; prefill: operations over a rate) on a model and "
           "cell that they were not fitted to, at lengths that they did not see. Right: what they were fitted to. Points are "
           f"geometric means over processes, {INTERVALS}. {AGAIN}"),
    Figure("published_prefill", lambda frame: (trace_audit.prefill_curve_table(),), drawings_published.prefill, "traces",
           "Released times to first token on a Jetson AGX Orin (crosses), the published law where it was fitted (black) and "
           "beyond (dotted), and the same law fitted to all of them but the outlier (green); numbers: law over time at 4,097 "
           "tokens."),
    Figure("published_decode", lambda frame: (trace_audit.decode_error_table(),), drawings_published.decode, "traces",
           "Error of the published decode law on the released decode times after 512 tokens, counting as many steps as tokens "
           "and one less, and of the same law fitted to them. Dashed: what the paper states."),
    Figure("published_power", lambda frame: (trace_audit.power_table(), trace_audit.decode_power_table()),
           drawings_published.power, "traces",
           "Released mean powers. Left: prefill, against the time of the run; lines: the mean of two idle samples and one "
           "sample a second at the power that was seen while the GPU was busy, with nothing fitted. Right: decode after 512 "
           "tokens; dotted: the published logarithm, which the repository uses in the grey part."),
    Figure("published_scaling", lambda frame: (trace_audit.scaling_table(),), drawings_published.scaling, "traces",
           "Parallel samples of 128 tokens on the Jetson, from one question. Left: time over that of one sample; dotted: what "
           "the bytes of a step alone would cost. Right: energy of a sample over that of one alone. Green: what ER.4 accepts."),
    Figure("published_speeds", lambda frame: (tables_published.speeds_table(frame),), drawings_published.speeds, "speeds",
           "Share of the memory bandwidth that decode speeds need: published ones of the nominal bandwidth (crosses; bars as "
           "they were given), ours of the bandwidth measured beside them (dots, 95 % t-intervals). Right of one no program can "
           "be."),
    Figure("energy", lambda frame: (tables_published.energy_lengths_table(frame),), drawings_published.energy, "energy",
           "Energy a token and mean power against the tokens of each phase, idle power included: here where a sensor was read, "
           "and as EdgeReasoning released them (grey; its log begins with idle samples). Bars: 95 % t-intervals."),
)
