"""The figures of 07_pipeline."""

from __future__ import annotations

from edgekit.plots.figure import Figure
from edgekit.studies.pipeline import (
    drawings_projection,
    drawings_search,
    tables_matrix,
    tables_projection,
    tables_search,
)

FIGURES = (
    Figure("pipeline_search", lambda frame: (tables_search.search_table(frame),), drawings_search.pipeline_search,
           "search over chains",
           "Speed of whole requests over that of the unquantized model in the same runtime, against right answers lost, of "
           "every variant of the search on the highest rung that it came to. Stars: the fastest that is known to lose less "
           "than 1, 3 or 5 % (dotted; the upper 95 % paired bound is below it), by name. Bars: 95 % intervals, over prompts "
           "and over problems. What was dropped before the last rung was measured on fewer of both and has no bars."),
    Figure("pipeline_projection", lambda frame: (tables_projection.projection_table(frame),),
           drawings_projection.pipeline_projection, "platforms",
           "Decode speed that was published for a 7B on four platforms, beside two models of what memory allows (hatched; "
           f"nothing of this was measured there). Most generous: {tables_projection.GENEROSITY}. Expected from ours: the "
           "share of its bandwidth that llama.cpp reached on the largest model in committed rows, and after optimization the "
           "bytes left and the gain of drafting in these rows. Orange: above what the most generous model allows."),
    Figure("variant_matrix", lambda frame: (tables_matrix.committed_matrix(),), drawings_projection.variant_matrix,
           "committed rows",
           "What committed rows of all studies hold of the kit's variants, on each platform: latency, accuracy, memory and "
           "power, each by one protocol for all variants of a model. Where there is none, the letter says why."),
)
