"""Tiny packed checkpoints for tests of engines, and jobs that open engines in a worker: vLLM changes its whole process."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import tiny

from edgekit import engines
from edgekit.compress import variant

# Inputs and outputs that every kernel takes: multiples of 32.
SIZES = dict(hidden_size=128, intermediate_size=256)
AWQ = "packed_awq(bits=4, group=32)"
GPTQ = "packed_gptq(bits=4, group=32, symmetric=True)"
ASYMMETRIC = "packed_gptq(bits=4, group=32, symmetric=False)"
TELLS = 5.0  # errors: two logits that are moved at random come nearer by so many in one of 5,000 positions
LEAST = 5  # positions


def source(folder: Path, **changed) -> str:
    """The variant of a random model in `folder` that AWQ's and GPTQ's layouts can hold."""
    return tiny.write(folder, **(SIZES | changed)).variant


def opened(engine: str, of: str, dtype: str, context: int = 64, threads: int = 1, device: str = "cpu"):
    return engines.open_engine(engine, variant.build(of), dtype=dtype, threads=threads, device=device, context=context)


def scored(*, engine: str, variant: str, dtype: str, texts: list[list[int]]) -> dict:
    """A worker's job: the logits of texts, and on what they were computed."""
    with opened(engine, variant, dtype) as it:
        return dict(logits=[it.score(tokens).tolist() for tokens in texts], info=dataclasses.asdict(it.info))


def streamed(*, engine: str, variant: str, dtype: str, prompt: list[int], count: int, stop: int) -> dict:
    """A worker's job: two streams of one prompt with one broken off between them, batched answers, and the winner of a full
    pass over each prefix of the stream."""
    with opened(engine, variant, dtype) as it:
        stream = [step.token for step in it.stream(prompt, count)]
        broken = it.stream(prompt, count)
        next(broken)
        broken.close()
        again = [step.token for step in it.stream(prompt, count)]
        winners = [int(it.score([*prompt, *stream[:i]])[-1].argmax()) for i in range(count)]
        some = it.generate([prompt[:n] for n in (len(prompt), 3, 1)], count, {stop})
        alone = [[step.token for step in it.stream(prompt[:n], count)] for n in (len(prompt), 3, 1)]
    return dict(stream=stream, again=again, winners=winners, generated=some, alone=alone)


def refusals(*, engine: str, asked: list[dict]) -> list[str]:
    """A worker's job: what an engine says to each thing that it cannot do; "" where it can."""
    said = []
    for options in asked:
        try:
            opened(engine, **options).close()
            said.append("")
        except engines.EngineError as error:
            said.append(str(error))
    return said


def distance(ours, theirs) -> float:
    """Relative distance of the logits of two `scored`'s first texts."""
    ours, theirs = (np.asarray(logits[0]) for logits in (ours, theirs))
    return np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)


def agreement(ours, theirs) -> float:
    """Share of the positions that tell, of their first texts, where both have one winner. A position tells where the two best
    logits of `theirs` lie more than TELLS of its errors apart, each the root mean square over the vocabulary: of nearer ones
    rounding alone may choose either. Fewer than LEAST such positions say nothing."""
    ours, theirs = (np.asarray(logits[0]) for logits in (ours, theirs))
    second, first = np.sort(theirs, axis=-1)[:, -2:].T
    tell = first - second > TELLS * np.sqrt(np.mean((ours - theirs) ** 2, axis=-1))
    assert tell.sum() >= LEAST, f"only {tell.sum()} of {len(tell)} positions tell rounding from another model"
    return (ours.argmax(-1) == theirs.argmax(-1))[tell].mean()
