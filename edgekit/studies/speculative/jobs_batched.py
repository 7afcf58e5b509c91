"""The job that times speculative decoding of several texts at a time, beside plain decoding of as many."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np

from edgekit.catalog import chat_template
from edgekit.decode import speculative
from edgekit.decode.sampling import Decoding
from edgekit.decode.together import Texts, generate_together, speculate_together
from edgekit.engines.base import EngineError
from edgekit.engines.llama_cpp import LlamaCpp
from edgekit.engines.llama_cpp_texts import LlamaCppTexts
from edgekit.measure.pairs import PLAIN, Pair, ids_of, pair_of
from edgekit.measure.scoring import MOST_CONTEXT
from edgekit.studies.speculative.jobs import require_drafted, sizes_of, warnings_of
from edgekit.studies.speculative.jobs_pair import tie_gap


def clock(target: Texts, draft: Texts | None, groups: Sequence[Sequence[Sequence[int]]], decoding: Decoding,
          length: int) -> dict:
    """All groups of prompts once: seconds and tokens, whole (`pass_s`) and after each group's first turn (`rest_s`)."""
    whole = rest = 0.0
    tokens = first_tokens = 0
    for prompts in groups:
        turns = speculate_together(target, draft, prompts, decoding, length)
        start = time.perf_counter()
        written = sum(len(block.tokens) for block in next(turns).values())
        first = time.perf_counter()
        first_tokens += written
        tokens += written
        for turn in turns:
            tokens += sum(len(block.tokens) for block in turn.values())
        end = time.perf_counter()
        whole += end - start
        rest += end - first
    return dict(pass_s=whole, rest_s=rest, tokens=tokens, rest_tokens=tokens - first_tokens)


def measure_batch(*, target: str, draft: str, dtype: str, threads: int, device: str, domain: str, prompts: int, batch: int,
                  lengths: list, max_new_tokens: int, rounds: int, seed: int, prompt_form: str = chat_template.PLAIN) -> dict:
    """A worker's job: greedy texts of a domain's prompts, `batch` at a time, with each draft length and plainly (length 0).

    Observations: `differs` of each text and length from the same text decoded alone, with `tie_gap` as `speculation.count` has
    it; then for each round, in shuffled order, those of `clock`. Raises EngineError.
    """
    require_drafted(lengths)
    if prompts % batch:
        raise EngineError(f"batch: expected a number of prompts that {batch} texts at a time divide, got {prompts}")
    artifacts, shared = pair_of(target, draft)
    context = min(MOST_CONTEXT, *(artifact.spec.architecture.context for artifact in artifacts))
    decoding = Decoding(max_new_tokens, shared.stop, vocabulary=shared.vocabulary)
    asked = ids_of(shared, domain, prompts, prompt_form)
    groups = [[ids for _, ids in asked[i:i + batch]] for i in range(0, prompts, batch)]
    where = dict(dtype=dtype, threads=threads, device=device, context=context)
    seen = []
    with ExitStack() as stack:
        single = stack.enter_context(LlamaCpp(artifacts[0], **where))
        session = single.session()
        alone = [speculative.generate(session, None, ids, decoding).tokens for _, ids in asked]
        both = [LlamaCppTexts(stack.enter_context(LlamaCpp(artifact, **where, sequences=batch))) for artifact in artifacts]
        every = [PLAIN, *lengths]
        for length in every:
            made = [text for group in groups for text in generate_together(both[0], both[1] if length else None, group,
                                                                             decoding, length)]
            for (item, ids), text, expected in zip(asked, made, alone, strict=True):
                seen.append(dict(metric="differs", value=int(text.tokens != expected), length=length, item=item))
                if text.tokens != expected:
                    gap = tie_gap(Pair(session, None, decoding, seed), ids, text.tokens, expected)
                    seen.append(dict(metric="tie_gap", value=gap, length=length, item=item))
        rng = np.random.default_rng(seed)
        for turn in range(rounds):
            for length in (every[i] for i in rng.permutation(len(every))):
                found = clock(both[0], both[1] if length else None, groups, decoding, length)
                seconds = {name: found.pop(name) for name in ("pass_s", "rest_s")}
                seen += [dict(metric=name, value=value, length=length, round=turn, **found) for name, value in seconds.items()]
        info = dataclasses.asdict(both[0].info)
    sizes = [artifact.spec.architecture.parameters for artifact in artifacts]
    return dict(observations=[*seen, *sizes_of(sizes)], engine=info,
                warnings=[*warnings_of(target, draft, sizes), *shared.told(prompt_form)])
