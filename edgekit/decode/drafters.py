"""What proposes tokens for a target to verify: a smaller model, or the text's own repetitions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.decode.sampling import Decoding, draw
from edgekit.engines.base import EngineError, EngineInfo, Session


@dataclass
class FixedLength:
    """The same number of drafted tokens in every block."""

    tokens: int

    def __post_init__(self):
        _require_length(self.tokens)

    def begin(self) -> None:
        """A new text begins."""

    def learn(self, drafted: int, accepted: int) -> None:
        """How a block went."""


class AdaptiveLength:
    """Two more after a block that was accepted whole, one fewer after a refusal, from 1 to `most`; each text begins anew.

    The rule is that of transformers' assisted generation, `num_assistant_tokens_schedule="heuristic_transient"` there, with a
    ceiling. A block that something else cut short and that was accepted says nothing about a longer one, and changes nothing.
    """

    def __init__(self, first: int, most: int):
        _require_length(first)
        if most < first:
            raise EngineError(f"draft length: expected a ceiling of at least the first length {first}, got {most}")
        self.first = self.tokens = first
        self.most = most

    def begin(self) -> None:
        self.tokens = self.first

    def learn(self, drafted: int, accepted: int) -> None:
        if accepted < drafted:
            self.tokens = max(1, self.tokens - 1)
        elif drafted == self.tokens:
            self.tokens = min(self.most, self.tokens + 2)


class ModelDrafter:
    """A model that drafts one token after another, by the same temperature and cut as the target."""

    def __init__(self, session: Session, length: FixedLength | AdaptiveLength):
        self.session, self.length = session, length

    def begin(self, target: EngineInfo, decoding: Decoding) -> None:
        """A new text begins. Raises EngineError for a draft without the ids that may be chosen, all of the target's unless
        `decoding` says how many the two share."""
        decoding.require_known(self.session.info)
        if decoding.vocabulary is None and self.session.info.vocabulary != target.vocabulary:
            raise EngineError(f"a draft must speak its target's tokens: the draft has a vocabulary of "
                              f"{self.session.info.vocabulary}, the target of {target.vocabulary}, and how many ids they share "
                              "was not said")
        self.session.rollback(0)
        self.length.begin()

    def propose(self, text: Sequence[int], most: int, decoding: Decoding, rng: np.random.Generator | None,
                ) -> tuple[list[int], list[np.ndarray | None]]:
        """At most `most` tokens after `text`, and what each was drawn from (none for greedy ones).

        Fewer at a stop token, which ends the text if it is accepted, and where the draft's own context is full: the target then
        goes on alone. All of `text` but its last token must be what the last proposal began with and what was accepted of it.
        """
        session = self.session
        session.rollback(min(session.length, len(text) - 1))
        most = min(most, session.info.context - len(text) + 1)
        drafts: list[int] = []
        drawn_from: list[np.ndarray | None] = []
        following = text[session.length:]
        while len(drafts) < most:
            logits = session.extend(following, last=1)[0]
            if decoding.temperature:
                q = decoding.distribution(logits)
                drawn_from.append(q)
                token = draw(q, rng.random())
            else:
                token = int(logits[:decoding.vocabulary].argmax())
            drafts.append(token)
            if token in decoding.stop:
                break
            following = (token,)
        return drafts, drawn_from


class LookupDrafter:
    """No model: what followed the last tokens when they last stood in the prompt or the output.

    Prompt lookup (Saxena 2023, github.com/apoorvumang/prompt-lookup-decoding; "inference with reference", Yang et al. 2023,
    arXiv:2304.04487). The longest of the n-grams of `longest` down to 1 tokens that stood there before decides; of several
    places the latest.
    """

    def __init__(self, length: FixedLength | AdaptiveLength, longest: int = 3):
        if longest < 1:
            raise EngineError(f"lookup: expected n-grams of at least 1 token, got {longest}")
        self.length, self.longest = length, longest
        self.after: dict[tuple[int, ...], int] = {}
        self.read = 1

    def begin(self, target: EngineInfo, decoding: Decoding) -> None:
        """A new text begins."""
        self.after.clear()
        self.read = 1
        self.length.begin()

    def propose(self, text: Sequence[int], most: int, decoding: Decoding, rng: np.random.Generator | None,
                ) -> tuple[list[int], list[np.ndarray | None]]:
        """As ModelDrafter.propose; it is certain of each token (None), and proposes nothing where nothing stood before."""
        for end in range(self.read, len(text)):
            for n in range(1, min(self.longest, end) + 1):
                self.after[tuple(text[end - n:end])] = end
        self.read = len(text)
        for n in range(min(self.longest, len(text)), 0, -1):
            if (start := self.after.get(tuple(text[-n:]))) is not None:
                drafts = list(text[start:start + most])
                if decoding.vocabulary is not None:  # a prompt may hold ids that are never chosen
                    drafts = list(itertools.takewhile(lambda token: token < decoding.vocabulary, drafts))
                stops = [i for i, token in enumerate(drafts) if token in decoding.stop]
                drafts = drafts[:stops[0] + 1] if stops else drafts
                return drafts, [None] * len(drafts)
        return [], []


def _require_length(tokens: int) -> None:
    if tokens < 1:
        raise EngineError(f"draft length: expected at least 1 drafted token, got {tokens}; plain decoding has no drafter")
