"""A reading of printed numbers: a value with the ends over rounding and over the ways to read what was printed."""

from __future__ import annotations

from edgekit.analyze.stats import Estimate, number


class Reading(Estimate):
    """A value with the ends over rounding and readings; `n` counts the printed numbers in it."""

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        ends = number(self.low), number(self.high)
        return f"{number(self.value)}{unit}" + (f" ({ends[0]} to {ends[1]})" if ends[0] != ends[1] else "")
