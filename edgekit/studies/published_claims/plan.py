"""The documents' own numbers, audited: nothing is measured, so there is a Config and tables, and no rows.

The names in the Config are what the documents leave open. The verdicts of the report and the README are those of the
defaults; the notebook shows what another choice would change.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from edgekit.catalog import models
from edgekit.errors import unknown_name
from edgekit.params import require
from edgekit.studies.config import StudyConfig, parameter
from edgekit.studies.published_claims import tables as audit_tables
from edgekit.studies.published_claims.printed import Assumptions

STUDY = "00_published_claims"


@dataclass(frozen=True, slots=True)
class Config(StudyConfig):
    """Parameters of the audit."""

    model: str = parameter('what "a 7B" is: an architecture of data/published/architectures.yaml (S1 quantizes this one)')
    baseline_bits: int = parameter("bits of a weight before optimization, 2 to 32", most=32, least=2)
    quantized_bits: int = parameter("bits of a quantized weight, without its part of the group's scale and zero point", least=1)
    group_size: int = parameter("weights that share a scale and a zero point (S1's listing says 128)", least=1)
    usable_share: float = parameter("share of a nominal memory bandwidth that a good program reaches, above 0 to 1", above=0,
                                    most=1)
    longest_draft: int = parameter("most drafted tokens before a verification that are looked at, 1 to 100", least=1, most=100)

    def check(self) -> None:
        known = models.architectures()
        require(self.model in known, "model: " + unknown_name("architecture", self.model, known))
        require(self.quantized_bits < self.baseline_bits, "quantized_bits, baseline_bits: expected the first below the second, "
                f"got {self.quantized_bits} and {self.baseline_bits}")

    @property
    def assumed(self) -> Assumptions:
        return Assumptions(self.model, self.baseline_bits, self.quantized_bits, self.group_size, self.usable_share,
                           self.longest_draft)


def tables(config: Config | None = None) -> pd.DataFrame:
    """All tables of the audit in one frame, told apart by `task`; by the defaults unless a Config is given."""
    return audit_tables.frame(config.assumed if config else None)
