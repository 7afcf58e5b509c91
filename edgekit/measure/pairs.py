"""A target and what drafts for it, in one engine: which artifacts, which prompts, and the texts that they write together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.catalog import prompting
from edgekit.catalog import prompts as catalog
from edgekit.catalog.prompting import Prompting
from edgekit.compress import variant as variants
from edgekit.compress.artifact import Artifact
from edgekit.decode import speculative
from edgekit.decode.drafters import AdaptiveLength, FixedLength, LookupDrafter, ModelDrafter
from edgekit.decode.sampling import Decoding
from edgekit.engines.base import Session
from edgekit.schema import ADAPTIVE, LOOKUP

ADAPTIVE_FIRST, ADAPTIVE_MOST = 4, 8
PLAIN = 0  # the draft length of rows without a draft


@dataclass
class Pair:
    """An open target session, and a draft's or none for the lookup."""

    target: Session
    draft: Session | None
    decoding: Decoding
    seed: int

    def drafter(self, length: int | str) -> speculative.Drafter | None:
        """The drafter of a length: tokens, "adaptive", or 0 for plain decoding."""
        if length == PLAIN:
            return None
        rule = AdaptiveLength(ADAPTIVE_FIRST, ADAPTIVE_MOST) if length == ADAPTIVE else FixedLength(length)
        return LookupDrafter(rule) if self.draft is None else ModelDrafter(self.draft, rule)

    def blocks(self, i: int, prompt: Sequence[int], length: int | str):
        """The blocks of the i-th prompt; its random numbers do not depend on the other prompts."""
        rng = np.random.default_rng([self.seed, i])
        return speculative.speculate(self.target, self.drafter(length), prompt, self.decoding, rng)

    def generate(self, i: int, prompt: Sequence[int], length: int | str) -> speculative.Generation:
        """The whole text of the i-th prompt."""
        rng = np.random.default_rng([self.seed, i])
        return speculative.generate(self.target, self.drafter(length), prompt, self.decoding, rng)


def pair_of(target: str, draft: str) -> tuple[list[Artifact], Prompting]:
    """The artifacts of a pair (one for the lookup), and the target's prompting with what both share. Raises ModelError as
    `opened` does."""
    artifacts = [variants.build(name) for name in (target, draft) if name != LOOKUP]
    for artifact in artifacts:
        artifact.spec.require_weights("acceptance")
    return artifacts, prompting.shared([artifact.spec for artifact in artifacts])


def ids_of(tokens: Prompting, domain: str, prompts: int, prompt_form: str) -> list[tuple[str, list[int]]]:
    """(id, tokens) of the prompts of a domain in a prompt form."""
    return [(one.id, tokens.encode_asked(one.text, prompt_form)) for one in catalog.load(domain, prompts)]
