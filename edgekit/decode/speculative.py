"""Exact speculative decoding: a drafter proposes tokens, the target verifies them all in one pass.

The text is the one that the target alone would write: the same tokens at temperature 0, the same distribution above it
(Leviathan, Kalman and Matias 2023, arXiv:2211.17192, algorithm 1 and appendix A.1). Clocks stand outside: each block of the
iterator is one pass of the target, the first of them with the prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.decode.drafters import LookupDrafter, ModelDrafter
from edgekit.decode.sampling import Decoding, accepts, draw, residual
from edgekit.engines.base import EngineError, Session, require_room

Drafter = ModelDrafter | LookupDrafter


@dataclass(frozen=True, slots=True)
class Block:
    """What one pass of the target wrote: the accepted ones of its drafted tokens, then one of its own.

    Only a stop token among the accepted ends it before its own. `tokens` holds the stop token, where there is one.
    """

    tokens: list[int]
    drafted: int
    accepted: int


@dataclass(frozen=True, slots=True)
class Generation:
    """A text and how it came about. `tokens`: without the stop token; `stopped`: whether one ended it, and not the length."""

    tokens: list[int]
    stopped: bool
    blocks: list[Block]

    def by_position(self) -> list[tuple[int, int, int]]:
        """(blocks that drafted an i-th token, those that accepted all before it, those that accepted it too), i from 1.

        The last over the second is the acceptance at that place: what stands behind a refusal was never judged.
        """
        longest = max((block.drafted for block in self.blocks), default=0)
        return [(sum(block.drafted > i for block in self.blocks),
                 sum(block.drafted > i <= block.accepted for block in self.blocks),
                 sum(block.accepted > i for block in self.blocks)) for i in range(longest)]


def generate(target: Session, drafter: Drafter | None, prompt: Sequence[int], decoding: Decoding,
             rng: np.random.Generator | None = None) -> Generation:
    """The whole of `speculate`, cut before its stop token as `Engine.generate` does."""
    blocks = list(speculate(target, drafter, prompt, decoding, rng))
    tokens = [token for block in blocks for token in block.tokens]
    stopped = tokens[-1] in decoding.stop
    return Generation(tokens[:-1] if stopped else tokens, stopped, blocks)


def speculate(target: Session, drafter: Drafter | None, prompt: Sequence[int], decoding: Decoding,
              rng: np.random.Generator | None = None) -> Iterator[Block]:
    """Blocks of tokens after `prompt`; with no drafter, plain decoding, a token a block.

    The sessions are emptied first. No block passes the length, so a text ends where plain decoding ends it. Raises EngineError,
    before the first block, if prompt and length do not fit the target's context, if the vocabularies differ, or if tokens are
    to be drawn without a generator of random numbers.
    """
    require_room(target.info, prompt, decoding.max_new_tokens)
    decoding.require_known(target.info)
    if decoding.temperature and rng is None:
        raise EngineError(f"temperature {decoding.temperature}: expected a generator of random numbers (rng), got none")
    target.rollback(0)
    if drafter is not None:
        drafter.begin(target.info, decoding)
    return _blocks(target, drafter, list(prompt), decoding, rng)


def _blocks(target: Session, drafter: Drafter | None, text: list[int], decoding: Decoding,
            rng: np.random.Generator | None) -> Iterator[Block]:
    left = decoding.max_new_tokens
    while left:
        drafts: list[int] = []
        drawn_from: list[np.ndarray | None] = []
        if drafter is not None and left > 1:
            drafts, drawn_from = drafter.propose(text, min(drafter.length.tokens, left - 1), decoding, rng)
        logits = target.extend(text[target.length:] + drafts, last=len(drafts) + 1)
        if decoding.temperature:
            tokens, accepted = verify_drawn(logits, drafts, drawn_from, decoding, rng)
        else:
            tokens, accepted = verify_greedy(logits, drafts, decoding)
        text += tokens
        left -= len(tokens)
        yield Block(tokens, len(drafts), accepted)
        if tokens[-1] in decoding.stop:
            return
        target.rollback(len(text) - 1)
        if drafter is not None:
            drafter.length.learn(len(drafts), accepted)


def verify_greedy(logits: np.ndarray, drafts: Sequence[int], decoding: Decoding) -> tuple[list[int], int]:
    """(tokens of the block, how many of the drafted are among them), from logits (drafted + 1, vocabulary)."""
    tokens = []
    for draft, winner in zip(drafts, likeliest := logits[:, :decoding.vocabulary].argmax(-1).tolist(), strict=False):
        if draft != winner:
            break
        tokens.append(draft)
    accepted = len(tokens)
    if not accepted or tokens[-1] not in decoding.stop:
        tokens.append(likeliest[accepted])
    return tokens, accepted


def verify_drawn(logits: np.ndarray, drafts: Sequence[int], drawn_from: Sequence[np.ndarray | None], decoding: Decoding,
                 rng: np.random.Generator) -> tuple[list[int], int]:
    """As `verify_greedy`, by acceptance with probability min(1, p/q) and the residual distribution."""
    tokens: list[int] = []
    for i, (draft, q) in enumerate(zip(drafts, drawn_from, strict=True)):
        p = decoding.distribution(logits[i])
        if not accepts(p[draft], 1.0 if q is None else q[draft], rng.random()):
            return [*tokens, draw(residual(p, q, draft), rng.random())], i
        tokens.append(draft)
    if not tokens or tokens[-1] not in decoding.stop:
        tokens.append(draw(decoding.distribution(logits[len(drafts)]), rng.random()))
    return tokens, len(drafts)
