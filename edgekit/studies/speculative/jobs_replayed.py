"""A pair without trained weights at work: its real passes, with as many drafted tokens kept as a recorded pair's target keeps.

Time does not depend on what weights and tokens are, acceptance does not depend on how large a model is drawn. So two shapes do
all the work of speculative decoding, and how many tokens a block keeps is drawn, place by place, from the acceptance that was
counted on a trained pair. What comes out is modelled: the gain of a pair of this size, if it agreed as the recorded one does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from edgekit import engines
from edgekit.catalog import chat_template
from edgekit.compress import variant as variants
from edgekit.decode import speculative
from edgekit.decode.sampling import Decoding
from edgekit.decode.speculative import Block
from edgekit.engines.base import EngineError
from edgekit.measure.pairs import PLAIN, Pair
from edgekit.studies.speculative.jobs import opened, require_drafted, sizes_of
from edgekit.studies.speculative.jobs_pair import clock, count, take_apart


@dataclass
class ReplayedPair(Pair):
    """A pair whose i-th drafted token is kept with the chance `acceptances[i - 1]`, if those before it were.

    The two need not speak the same tokens. Nothing ends a text but its length.
    """

    acceptances: Sequence[float]

    def blocks(self, i: int, prompt: Sequence[int], length: int) -> Iterator[Block]:
        """As `Pair.blocks`: the same passes, the same search for the likeliest token, the same way back."""
        rng = np.random.default_rng([self.seed, i])
        drafter = self.drafter(length)
        self.target.rollback(0)
        if drafter is not None:
            self.draft.rollback(0)
        text, left = list(prompt), self.decoding.max_new_tokens
        while left:
            drafts: list[int] = []
            if drafter is not None and left > 1:
                proposed, _ = drafter.propose(text, min(length, left - 1), self.decoding, rng)
                drafts = [token % self.target.info.vocabulary for token in proposed]
            logits = self.target.extend(text[self.target.length:] + drafts, last=len(drafts) + 1)
            speculative.verify_greedy(logits, drafts, self.decoding)  # its time belongs to a block; its answer is noise
            accepted = kept(self.acceptances, len(drafts), rng)
            tokens = [*drafts[:accepted], int(rng.integers(self._common()))]
            text += tokens
            left -= len(tokens)
            yield Block(tokens, len(drafts), accepted)
            self.target.rollback(len(text) - 1)

    def _common(self) -> int:
        """Ids below this are tokens of both."""
        return min(session.info.vocabulary for session in (self.target, self.draft) if session is not None)


def kept(acceptances: Sequence[float], drafted: int, rng: np.random.Generator) -> int:
    """How many of `drafted` tokens a block keeps: drawn place by place until the first refusal."""
    for place in range(drafted):
        if rng.random() >= acceptances[place]:
            return place
    return drafted


def recorded_acceptances(seen: Sequence[dict], places: int) -> list[float]:
    """Acceptance at the places 1 to `places` of a block, from the observations of `count`.

    0 where no block came so far, since one before it is 0 then. Raises EngineError where a place can be reached and was never
    judged.
    """
    found: list[float] = []
    for place in range(1, places + 1):
        here = [one for one in seen if one["metric"] == "accepted" and one["position"] == place]
        judged = sum(one["judged"] for one in here)
        if not judged and all(found):
            raise EngineError(f"replay: no drafted token of the recorded pair was judged at place {place} of a block; record "
                              "more prompts or longer texts, or replay shorter drafts")
        found.append(sum(one["value"] for one in here) / judged if judged else 0.0)
    return found


def measure_replay(*, target: str, draft: str, recorded_target: str, recorded_draft: str, engine: str, dtype: str, threads: int,
                   device: str, domain: str, prompts: int, max_new_tokens: int, prompt_tokens: int, tokens: int, lengths: list,
                   rounds: int, seed: int, prompt_form: str = chat_template.PLAIN) -> dict:
    """A worker's job: count the recorded pair greedily (`prompts` of a domain, `max_new_tokens` each), then time target and
    draft on a random prompt with its acceptance replayed.

    Observations: `accepted` as by `count`, of the longest of `lengths`; and for each round and length, in shuffled order with
    plain decoding (length 0) among them, those of `clock` and `take_apart` for one text of `tokens`. Raises EngineError.
    """
    require_drafted(lengths)
    longest = max(lengths)
    with opened(recorded_target, recorded_draft, engine, dtype, threads, device, domain, prompts, prompt_form,
                Decoding(max_new_tokens), seed) as at:
        seen, told = [one for one in count(at.pair, at.prompts, [longest], None) if one["metric"] == "accepted"], at.warnings
    acceptances = recorded_acceptances(seen, longest)
    artifacts = [variants.build(name) for name in (target, draft)]
    with ExitStack() as stack:
        both = [stack.enter_context(engines.open_engine(engine, artifact, dtype=dtype, threads=threads, device=device,
                                                        context=prompt_tokens + tokens)) for artifact in artifacts]
        pair = ReplayedPair(*(one.session() for one in both), Decoding(tokens), seed, acceptances)
        every = [PLAIN, *lengths]
        rng = np.random.default_rng(seed)
        asked = [("random", rng.integers(pair._common(), size=prompt_tokens).tolist())]
        for length in every:  # two blocks at least, so that no buffer grows and no page is read later
            warm = dataclasses.replace(pair, decoding=Decoding(min(tokens, length + 3)))
            clock(warm, asked, length)
        for turn in range(rounds):
            for i in rng.permutation(len(every)):
                found = clock(pair, asked, every[i])
                seconds = {name: found.pop(name) for name in ("pass_s", "rest_s")} | take_apart(pair, asked, every[i])
                seen += [dict(metric=name, value=value, length=every[i], round=turn, **found)
                         for name, value in seconds.items()]
        info = dataclasses.asdict(both[0].info)
    sizes = [artifact.spec.architecture.parameters for artifact in artifacts]
    return dict(observations=[*seen, *sizes_of(sizes)], engine=info, warnings=told)
