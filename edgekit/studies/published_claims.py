"""The documents' own numbers, audited: nothing is measured, so there is a Config and tables, and no rows.

The names in the Config are what the documents leave open. The verdicts of the report and the README are those of the
defaults; the notebook shows what another choice would change.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from edgekit.analyze import printed_tables
from edgekit.analyze.printed import Assumptions
from edgekit.catalog import models
from edgekit.params import require, require_profile_name

STUDY = "00_published_claims"


@dataclass(frozen=True, slots=True)
class Config:
    """Parameters of the audit; the notebook's parameters cell says what each is, with its unit."""

    profile: str
    model: str
    baseline_bits: int
    quantized_bits: int
    group_size: int
    usable_share: float
    longest_draft: int

    def __post_init__(self):
        require_profile_name(self.profile)
        known = models.architectures()
        require(self.model in known, f"model: unknown architecture {self.model!r}; known: {', '.join(known)}")
        require(1 <= self.quantized_bits < self.baseline_bits <= 32,
                f"quantized_bits, baseline_bits: expected 1 to 32, the first below the second, got {self.quantized_bits} and "
                f"{self.baseline_bits}")
        require(self.group_size >= 1, f"group_size: expected at least 1 weight, got {self.group_size}")
        require(0 < self.usable_share <= 1, f"usable_share: expected above 0 and at most 1, got {self.usable_share}")
        require(1 <= self.longest_draft <= 100, f"longest_draft: expected 1 to 100 tokens, got {self.longest_draft}")

    @property
    def assumed(self) -> Assumptions:
        return Assumptions(self.model, self.baseline_bits, self.quantized_bits, self.group_size, self.usable_share,
                           self.longest_draft)


def tables(config: Config | None = None) -> pd.DataFrame:
    """All tables of the audit in one frame, told apart by `task`; by the defaults unless a Config is given."""
    return printed_tables.frame(config.assumed if config else None)
