"""The jobs of the speculative study: what a target accepts of a draft, and how long the pair takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np

from edgekit import engines
from edgekit.catalog import chat_template
from edgekit.decode import speculative
from edgekit.decode.sampling import Decoding
from edgekit.engines.base import Engine, EngineError
from edgekit.measure.pairs import PLAIN, Pair, ids_of, pair_of
from edgekit.measure.scoring import MOST_CONTEXT
from edgekit.schema import LOOKUP
from edgekit.studies.speculative.jobs_pair import clock, count, take_apart


@dataclass
class Opened:
    """What `opened` gives: the target's engine, the pair, its prompts (id, tokens), warnings and numbers of weights."""

    engine: Engine
    pair: Pair
    prompts: list[tuple[str, list[int]]]
    warnings: list[str]
    sizes: list[int]

    def answer(self, seen: list[dict]) -> dict:
        """A job's answer: the observations with the numbers of weights, the engine, and the warnings."""
        return dict(observations=[*seen, *sizes_of(self.sizes)], engine=dataclasses.asdict(self.engine.info),
                    warnings=self.warnings)


@contextmanager
def opened(target: str, draft: str, engine: str, dtype: str, threads: int, device: str, domain: str, prompts: int,
           prompt_form: str, decoding: Decoding, seed: int) -> Iterator[Opened]:
    """A target and a draft (variants in the engine's format, or "lookup") in one engine, and the prompts of one domain in a
    prompt form.

    `decoding` gets the target's stop tokens and the ids that both have. Raises ModelError for different tokenizers, EngineError
    for an engine that cannot roll back.
    """
    artifacts, tokens = pair_of(target, draft)
    context = min(MOST_CONTEXT, *(artifact.spec.architecture.context for artifact in artifacts))
    with ExitStack() as stack:
        both = [stack.enter_context(engines.open_engine(engine, artifact, dtype=dtype, threads=threads, device=device,
                                                            context=context)) for artifact in artifacts]
        sessions = [one.session() for one in both]
        pair = Pair(sessions[0], sessions[1] if draft != LOOKUP else None,
                    dataclasses.replace(decoding, stop=tokens.stop, vocabulary=tokens.vocabulary), seed)
        sizes = [artifact.spec.architecture.parameters for artifact in artifacts]
        told = [*warnings_of(target, draft, sizes), *tokens.told(prompt_form)]
        yield Opened(both[0], pair, ids_of(tokens, domain, prompts, prompt_form), told, sizes)


def measure_counts(*, target: str, draft: str, engine: str, dtype: str, threads: int, device: str, domain: str, prompts: int,
                   lengths: list, max_new_tokens: int, temperature: float, top_p: float, seed: int,
                   prompt_form: str = chat_template.PLAIN) -> dict:
    """A worker's job: what a target accepts of a draft. Observations are those of `count`, greedy texts against plain decoding.

    A draft that is larger than the target is allowed, and named in the answer's `warnings`. Raises EngineError as `opened`
    does, and for a draft length below 1.
    """
    require_drafted(lengths)
    decoding = Decoding(max_new_tokens, temperature=temperature, top_p=top_p)
    with opened(target, draft, engine, dtype, threads, device, domain, prompts, prompt_form, decoding, seed) as at:
        asked = [ids for _, ids in at.prompts]
        expected = None
        if not temperature:
            expected = [speculative.generate(at.pair.target, None, ids, at.pair.decoding).tokens for ids in asked]
        return at.answer(count(at.pair, at.prompts, lengths, expected))


def measure_times(*, target: str, draft: str, engine: str, dtype: str, threads: int, device: str, domain: str, prompts: int,
                  rounds: int, lengths: list, max_new_tokens: int, temperature: float, top_p: float, seed: int,
                  prompt_form: str = chat_template.PLAIN) -> dict:
    """A worker's job: how long a pair takes. Observations are, for each round and in shuffled order, those of `clock` and
    `take_apart`, plain decoding among them with length 0, after a pass over the first prompt with each length.

    Raises EngineError as `measure_counts` does.
    """
    require_drafted(lengths)
    decoding = Decoding(max_new_tokens, temperature=temperature, top_p=top_p)
    with opened(target, draft, engine, dtype, threads, device, domain, prompts, prompt_form, decoding, seed) as at:
        every = [PLAIN, *lengths]
        for length in every:
            at.pair.generate(0, at.prompts[0][1], length)
        seen = []
        rng = np.random.default_rng(seed)
        for turn in range(rounds):
            for i in rng.permutation(len(every)):
                found = clock(at.pair, at.prompts, every[i])
                seconds = {name: found.pop(name) for name in ("pass_s", "rest_s")}
                seconds |= take_apart(at.pair, at.prompts, every[i])
                seen += [dict(metric=name, value=value, length=every[i], round=turn, **found)
                         for name, value in seconds.items()]
        return at.answer(seen)


def require_drafted(lengths: Sequence[int | str]) -> None:
    """Raise EngineError for the draft length 0, which stands for plain decoding."""
    if PLAIN in lengths:
        raise EngineError("draft length: expected at least 1 drafted token, got 0; plain decoding is measured in any case")


def warnings_of(target: str, draft: str, sizes: Sequence[int]) -> list[str]:
    """What is allowed and cannot gain: a draft that is larger than its target."""
    if len(sizes) == 2 and sizes[1] > sizes[0]:
        return [f"the draft {draft} ({sizes[1]:,} parameters) is larger than its target {target} ({sizes[0]:,})"]
    return []


def sizes_of(sizes: Sequence[int]) -> list[dict]:
    """Observations of the numbers of weights of a target and, unless it is the lookup, its draft."""
    return [dict(metric=f"{name}_parameters", value=size) for name, size in zip(("target", "draft"), sizes, strict=False)]
