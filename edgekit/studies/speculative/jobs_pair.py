"""One pair of target and draft at work: counts by position, texts against plain decoding, times, and what a block costs.

Counting, timing and taking apart are passes of their own, so that no count and no inner clock stands in a timed region. A
text's first block holds its prompt, so times are also taken without it.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

import numpy as np

from edgekit.engines.base import EngineError, Session
from edgekit.measure.pairs import PLAIN, Pair
from edgekit.schema import ADAPTIVE


class Clocked:
    """A session with a clock around its passes; `seconds` is their sum."""

    def __init__(self, session: Session):
        self.session, self.info, self.seconds = session, session.info, 0.0

    @property
    def length(self) -> int:
        return self.session.length

    def extend(self, tokens: Sequence[int], last: int | None = None) -> np.ndarray:
        start = time.perf_counter()
        logits = self.session.extend(tokens, last)
        self.seconds += time.perf_counter() - start
        return logits

    def rollback(self, length: int) -> None:
        self.session.rollback(length)


def count(pair: Pair, prompts: Sequence[tuple[str, Sequence[int]]], lengths: Sequence[int | str],
          expected: Sequence[Sequence[int]] | None) -> list[dict]:
    """Counts of each prompt (id, tokens) and length: `blocks` with the tokens `written`, and for each position `accepted` with
    the `drafted` and the `judged` ones. With the `expected` texts of greedy decoding also `differs`, 0 or 1, and for a
    difference `tie_gap`: how far apart the target's logits of the two tokens are, relative to the spread (standard deviation)
    of all; and `gap_noise`, by how much that moves with the number of tokens in a pass alone."""
    seen = []
    for i, (item, prompt) in enumerate(prompts):
        plain = [] if expected is None else two_likeliest(pair.target, prompt, expected[i], 1)
        for length in lengths:
            made, at = pair.generate(i, prompt, length), dict(length=length, item=item)
            seen.append(dict(metric="blocks", value=len(made.blocks), written=len(made.tokens) + made.stopped, **at))
            seen += [dict(metric="accepted", value=accepted, position=position, drafted=drafted, judged=judged, **at)
                     for position, (drafted, judged, accepted) in enumerate(made.by_position(), 1)]
            if expected is not None and length != ADAPTIVE:
                noise = gap_noise(pair.target, prompt, expected[i], length + 1, plain)
                seen.append(dict(metric="gap_noise", value=noise, **at))
            if expected is not None:
                seen.append(dict(metric="differs", value=int(made.tokens != expected[i]), **at))
                if made.tokens != expected[i]:
                    seen.append(dict(metric="tie_gap", value=tie_gap(pair, prompt, made.tokens, expected[i]), **at))
    return seen


def two_likeliest(target: Session, prompt: Sequence[int], text: Sequence[int], block: int,
                  tokens: Sequence[tuple[int, int]] = ()) -> list[tuple[int, int, float]]:
    """Before each token of a text, written in passes of `block` tokens behind the prompt: the two likeliest tokens (or those in
    `tokens`) and the distance of their logits, over the standard deviation of all."""
    target.rollback(0)
    rows = [target.extend(prompt, last=1)[0].copy()]
    for at in range(0, len(text) - 1, block):
        rows += list(target.extend(text[at:min(at + block, len(text) - 1)]).copy())
    found = []
    for place, logits in enumerate(rows[:len(text)]):
        a, b = tokens[place] if tokens else np.argsort(logits)[:-3:-1].tolist()
        found.append((a, b, apart(logits, a, b)))
    return found


def apart(logits: np.ndarray, a: int, b: int) -> float:
    """By how much the logit of a is above that of b, over the standard deviation of all."""
    return float((logits[a] - logits[b]) / logits.std())


def gap_noise(target: Session, prompt: Sequence[int], text: Sequence[int], block: int,
              plain: Sequence[tuple[int, int, float]]) -> float:
    """The most by which the distance of the two likeliest tokens of plain decoding (`plain`, as `two_likeliest` gives it) is
    another when the same text is passed in blocks: arithmetic in another order, and nothing else."""
    others = two_likeliest(target, prompt, text, block, [(a, b) for a, b, _ in plain])
    return max((abs(one[2] - other[2]) for one, other in zip(plain, others, strict=True)), default=0.0)


def tie_gap(pair: Pair, prompt: Sequence[int], ours: Sequence[int], theirs: Sequence[int]) -> float:
    """At the first difference of two texts, the distance of the two tokens' logits over the standard deviation of all.

    Where one text is the beginning of the other, the stop token stands at its end.
    """
    end = min(pair.decoding.stop)
    a, b = [*ours, end], [*theirs, end]
    first = next(i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)
    pair.target.rollback(0)
    logits = pair.target.extend([*prompt, *theirs[:first]], last=1)[0]
    return abs(apart(logits, a[first], b[first]))


def clock(pair: Pair, prompts: Sequence[tuple[str, Sequence[int]]], length: int | str) -> dict:
    """One pass over all prompts: seconds and tokens, whole (`pass_s`) and after each text's first block (`rest_s`)."""
    whole = rest = 0.0
    tokens = first_tokens = blocks = drafted = 0
    for i, (_, prompt) in enumerate(prompts):
        written = pair.blocks(i, prompt, length)
        start = time.perf_counter()
        block = next(written)
        first = time.perf_counter()
        first_tokens += len(block.tokens)
        tokens += len(block.tokens)
        for block in written:
            tokens += len(block.tokens)
            drafted += block.drafted
            blocks += 1
        end = time.perf_counter()
        whole += end - start
        rest += end - first
    return dict(pass_s=whole, rest_s=rest, tokens=tokens, rest_tokens=tokens - first_tokens, rest_blocks=blocks,
                rest_drafted=drafted)


def take_apart(pair: Pair, prompts: Sequence[tuple[str, Sequence[int]]], length: int | str) -> dict[str, float]:
    """Mean seconds after the first blocks: `verify_s` a pass of the target, `draft_s` a drafted token, `overhead_s` a block.

    draft_s is None for a drafter without a model, whose time is overhead. Raises EngineError if no text has a second block.
    """
    target = Clocked(pair.target)
    draft = None if pair.draft is None or length == PLAIN else Clocked(pair.draft)
    clocked = dataclasses.replace(pair, target=target, draft=draft)
    passes = drafts = rest = 0.0
    blocks = drafted = 0
    for i, (_, prompt) in enumerate(prompts):
        written = clocked.blocks(i, prompt, length)
        next(written)
        target.seconds, start = 0.0, time.perf_counter()
        if draft:
            draft.seconds = 0.0
        for block in written:
            blocks += 1
            drafted += block.drafted
        rest += time.perf_counter() - start
        passes += target.seconds
        drafts += draft.seconds if draft else 0.0
    if not blocks:
        raise EngineError("speculation: no text is longer than its first block; ask for longer ones or shorter drafts")
    return dict(verify_s=passes / blocks, overhead_s=(rest - passes - drafts) / blocks,
                **({"draft_s": drafts / drafted} if draft else {}))
