"""The figures of 00_published_claims. Their frame holds a table for each of them, told apart by `task`."""

from __future__ import annotations

from edgekit.plots.figure import Figure
from edgekit.studies.published_claims import drawings
from edgekit.studies.published_claims.tables import part

FIGURES = (
    Figure("ceilings", lambda frame: (part(frame, "ceilings"),), drawings.ceilings, "printed decode speeds",
           "Share of each board's nominal memory bandwidth that the published decode speeds of a 7B need, before and "
           "after optimization; bars: what rounding and what counts as read allow. Right of one no program can be; "
           "green: what S1.12 to S1.15 accept, since good programs end below the nominal rate."),
    Figure("speedups", lambda frame: (part(frame, "speedups"),), drawings.speedups, "printed decode speeds",
           "How many times as fast the optimized 7B is by each row of the results table; bars: what rounding allows; line: "
           "their mean. Green: what S1.1 accepts for that mean."),
    Figure("pruning", lambda frame: (part(frame, "pruning"),), drawings.pruning, "printed shares",
           "What goes when 20 % of the heads and 15 % of the MLP width go: between 15 and 20 % of the multiplications in "
           "any architecture (open marks, modelled), where 30 % was published (cross); right: how much of the MLP width "
           "that would take. Green: what S1.6 accepts."),
    Figure("speculation", lambda frame: (part(frame, "speculation"),), drawings.speculation, "printed acceptance",
           "Expected gain of speculative decoding at the published acceptance of 78 % (modelled; bands: rounding of the "
           "printed numbers), for a draft in the target's precision and for one left in 16 bits, with what a draft step "
           "costs. Cross: published; green: what S1.10 accepts."),
    Figure("efficiency", lambda frame: (part(frame, "efficiency"),), drawings.efficiency, "printed power",
           "Published tokens/s over the published power of each board, before and after optimization; bars: what "
           "rounding allows. Green: what S1.18 accepts for the board that it calls the best, which is at least the best "
           "of the others."),
    Figure("memory_saved", lambda frame: (part(frame, "memory_saved"),), drawings.memory_saved, "architectures",
           "Memory that 4-bit weights save when scales, zero points and 16-bit embeddings are counted (modelled), and "
           "the published 75 % (cross). Green: what S2.2 accepts."),
)
