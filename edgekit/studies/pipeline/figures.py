"""The figures of 07_pipeline."""

from __future__ import annotations

import pandas as pd

from edgekit.catalog import published
from edgekit.plots.figure import Figure
from edgekit.plots.intervals import AGAIN
from edgekit.studies.pipeline import (
    drawings,
    drawings_projection,
    drawings_search,
    drawings_shares,
    tables,
    tables_first,
    tables_matrix,
    tables_projection,
    tables_search,
    tables_shares,
)

BOARDS = ("S1.12", "S1.13", "S1.14", "S1.15")  # whose published numbers are the rows of the document's table


def _published() -> pd.DataFrame:
    table = pd.concat([published.numbers(claim) for claim in BOARDS], ignore_index=True)
    return table[table.quantity.isin(["baseline_tok_per_s", "optimized_tok_per_s"])]


FIGURES = (
    Figure("pipeline_stages", lambda frame: (tables.stage_table(frame), _published()), drawings.pipeline_stages,
           "timed stages",
           "Tokens/s of whole requests, prompt included, over the same prompts and numbers of tokens, stage by stage, with 95 "
           "% intervals over repeats; the baseline is transformers, first as the document has it, in 16 bits, then in the "
           "float type that was fastest. Crosses: what was published of a 7B on four platforms, before and after all stages; "
           "the document's stages have none for the runtime."),
    Figure("pipeline_shares", lambda frame: (tables_shares.share_table(frame),), drawings_shares.pipeline_shares,
           "stages with single techniques",
           "What each technique has of the whole: Shapley's shares, the mean over orders in which techniques join of what its "
           "joining adds. Left of the speed over the fastest baseline, where bars stand one behind the other on a log axis and "
           "their lengths sum to the whole; right of the right answers that are lost. Whiskers: 95 % intervals of single "
           f"shares, over repeats and over problems. {AGAIN}"),
    Figure("pipeline_tradeoff", lambda frame: (tables.stage_table(frame).dropna(subset=["loss", "speed_up"]),),
           drawings.pipeline_tradeoff, "stages with times and answers",
           "Right answers lost against speed over the fastest baseline, stage after stage, with 95 % intervals over problems "
           "(paired) and repeats. Green: what S1.1 and S1.2 accept; both are about the last stage, which would bear them out "
           f"in the corner where the bands cross. {AGAIN}"),
    Figure("pipeline_steps", lambda frame: (tables_shares.step_table(frame), tables_shares.product_table(frame)),
           drawings_shares.pipeline_steps, "stages with single techniques",
           "Left: the gain of each stage over the one before it, with what S1.19 accepts of the least of the document's three "
           "(filled; the runtime, open, is none of them). Right: the gain of quantization, pruning and drafting together over "
           "the product of what each gains alone; at one gains multiply, as S1.11 says of the fast runtime (filled). 95 % "
           f"intervals over repeats. {AGAIN}"),
    Figure("pipeline_costs", lambda frame: (tables.stage_table(frame),), drawings.pipeline_costs, "timed stages",
           "What a request of the largest model takes at each stage: time to the first token and of each later one, the mean "
           "over prompts with 95 % intervals over repeats; the most memory that its process held, drafts included; and energy, "
           "idle power included, where there was a sensor."),
    Figure("pipeline_first_token", lambda frame: (tables_first.first_token_table(frame),), drawings.pipeline_first_token,
           "first tokens behind the stated prompt",
           "Time to the first token behind a prompt of the stated length, of every model in few bits in the fast runtime, and "
           "of the one that was taken through all stages, whose first block waits for the draft too. 95 % intervals over "
           "repeats. Green: what S1.16 accepts of the slowest."),
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
