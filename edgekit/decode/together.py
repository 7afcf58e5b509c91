"""Speculative decoding of several texts in step: one pass of the draft drafts a token for each, one pass of the target verifies
all of their blocks. Greedy: each text is the one that the target alone would write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from edgekit.decode.sampling import Decoding
from edgekit.decode.speculative import Block, Generation, verify_greedy
from edgekit.engines.base import EngineError, EngineInfo, require_room


class Texts(Protocol):
    """Several texts in one engine's cache; `lengths` holds how many tokens there are of each."""

    info: EngineInfo
    lengths: list[int]

    def extend(self, parts: Mapping[int, Sequence[int]], last: Mapping[int, int]) -> dict[int, np.ndarray]:
        """Append tokens to some texts (by number) in one pass; logits after each of the `last` ones, as `Session.extend`."""

    def rollback(self, text: int, length: int) -> None:
        """Forget all but the first `length` tokens of one text."""


def generate_together(target: Texts, draft: Texts | None, prompts: Sequence[Sequence[int]], decoding: Decoding,
                      length: int) -> list[Generation]:
    """The whole of `speculate_together`, each text cut before its stop token."""
    blocks: list[list[Block]] = [[] for _ in prompts]
    for turn in speculate_together(target, draft, prompts, decoding, length):
        for i, block in turn.items():
            blocks[i].append(block)
    made = []
    for own in blocks:
        tokens = [token for block in own for token in block.tokens]
        stopped = tokens[-1] in decoding.stop
        made.append(Generation(tokens[:-1] if stopped else tokens, stopped, own))
    return made


def speculate_together(target: Texts, draft: Texts | None, prompts: Sequence[Sequence[int]], decoding: Decoding,
                       length: int) -> Iterator[dict[int, Block]]:
    """For each pass of the target, the block of every text that goes on, by number; the first pass holds the prompts.

    No draft: plain decoding, a token a pass. Raises EngineError, before the first pass, for a temperature above 0, for more
    prompts than there are texts, for a draft length below 1 or another vocabulary, and as `require_room` does.
    """
    if decoding.temperature:
        raise EngineError(f"several texts: expected temperature 0 (greedy), got {decoding.temperature}")
    for texts in (target,) if draft is None else (target, draft):
        if not 1 <= len(prompts) <= len(texts.lengths):
            raise EngineError(f"several texts: expected 1 to {len(texts.lengths)} prompts, as the engine was opened for, got "
                              f"{len(prompts)}")
        for prompt in prompts:
            require_room(texts.info, prompt, decoding.max_new_tokens)
        decoding.require_known(texts.info)
        if decoding.vocabulary is None and texts.info.vocabulary != target.info.vocabulary:
            raise EngineError(f"a draft must speak its target's tokens: the draft has a vocabulary of {texts.info.vocabulary}, "
                              f"the target of {target.info.vocabulary}, and how many ids they share was not said")
    if draft is not None and length < 1:
        raise EngineError(f"draft length: expected at least 1 drafted token, got {length}; plain decoding has no draft")
    return _turns(target, draft, [list(prompt) for prompt in prompts], decoding, length)


def _turns(target: Texts, draft: Texts | None, texts: list[list[int]], decoding: Decoding,
           length: int) -> Iterator[dict[int, Block]]:
    for i in range(len(target.lengths)):
        target.rollback(i, 0)
        if draft is not None:
            draft.rollback(i, 0)
    left = dict.fromkeys(range(len(texts)), decoding.max_new_tokens)
    while left:
        drafts = _propose(draft, texts, {i: min(length, most - 1) for i, most in left.items()}, decoding)
        logits = target.extend({i: texts[i][target.lengths[i]:] + drafts[i] for i in left},
                               {i: len(drafts[i]) + 1 for i in left})
        turn = {}
        for i in list(left):
            tokens, accepted = verify_greedy(logits[i], drafts[i], decoding)
            texts[i] += tokens
            turn[i] = Block(tokens, len(drafts[i]), accepted)
            left[i] -= len(tokens)
            if tokens[-1] in decoding.stop or not left[i]:
                del left[i]
            else:
                target.rollback(i, len(texts[i]) - 1)
        yield turn


def _propose(draft: Texts | None, texts: list[list[int]], most: Mapping[int, int], decoding: Decoding) -> dict[int, list[int]]:
    """At most `most` tokens after each text, fewer at a stop token, as `ModelDrafter.propose`."""
    drafts: dict[int, list[int]] = {i: [] for i in most}
    if draft is None:
        return drafts
    following: dict[int, Sequence[int]] = {}
    for i in (i for i in most if most[i]):
        draft.rollback(i, min(draft.lengths[i], len(texts[i]) - 1))
        following[i] = texts[i][draft.lengths[i]:]
    while following:
        logits = draft.extend(following, dict.fromkeys(following, 1))
        drafted = {i: int(logits[i][0][:decoding.vocabulary].argmax()) for i in following}
        for i, token in drafted.items():
            drafts[i].append(token)
        following = {i: (token,) for i, token in drafted.items() if token not in decoding.stop and len(drafts[i]) < most[i]}
    return drafts
