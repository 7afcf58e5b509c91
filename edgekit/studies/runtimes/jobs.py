"""What a worker measures of a runtime: times with the size of its model, times without acceleration, and what it says."""

from __future__ import annotations

import dataclasses

import numpy as np

from edgekit import engines
from edgekit.compress import variant as variants
from edgekit.engines import instructions
from edgekit.measure import divergence
from edgekit.measure.latency import measure_speed
from edgekit.schema import EVERYTHING, HOST_ONLY, REFERENCE


def measure_runtime(*, variant: str, **named) -> dict:
    """A worker's job: `measure_speed`, with the layers of the model, each of which a runtime starts anew."""
    found = measure_speed(variant=variant, **named)
    layers = variants.build(variant).spec.architecture.layers
    return found | dict(observations=[*found["observations"], dict(metric="size", value=layers, part="layers")])


def measure_accelerated(*, acceleration: str, engine: str, device: str, **named) -> dict:
    """A worker's job: `measure_speed` with part of the acceleration left out. Each observation has the `kernel` that ran.

    Raises EngineError where kernels turn out to use more than was allowed.
    """
    left_out = acceleration not in (EVERYTHING, HOST_ONLY)
    if left_out:
        instructions.restrict(engine, acceleration)
    found = measure_speed(engine=engine, device="cpu" if acceleration == HOST_ONLY else device, **named)
    if left_out:
        instructions.require(engine, acceleration)
    kernel = ", ".join(filter(None, (found["engine"]["kernel"], instructions.told(engine))))
    # What the manifest says of an engine is of the engine as it is.
    return dict(observations=[dict(one, kernel=kernel) for one in found["observations"]])


def measure_agreement(*, variant: str, base: str, engine: str, dtype: str, threads: int, device: str, stream: str, texts: int,
                      output_tokens: int) -> dict:
    """A worker's job: what an engine finds likeliest on texts, and what it writes after the first half of each.

    By text (`item`): the sums of `divergence.compare` against the float32 reference of `base`; by position the likeliest token
    of the text's own continuation, and the token written. The reference also tells by how much its token was the likelier one:
    where that is less than rounding, two engines may part and both be right.
    """
    whole = divergence.reference(base, stream, texts, threads, device)
    artifact, seen = variants.build(variant), []
    with engines.open_engine(engine, artifact, dtype=dtype, threads=threads, device=device, context=whole.context) as opened:
        for item, ids in enumerate(whole.ids):
            scored = divergence.log_probabilities(opened, ids)
            sums = divergence.compare(whole[item], scored, ids)
            seen += [dict(metric=name, value=value, item=item, tokens=len(ids) - 1) for name, value in sums.items()]
            seen += _by_position("likeliest_token", scored.argmax(-1), item)
            prompt = ids[:(len(ids) + 1) // 2]
            most = min(output_tokens, whole.context - len(prompt))
            written = [step.token for step in opened.stream(prompt, most)]
            seen += _by_position("written_token", written, item)
            if (engine, dtype) == REFERENCE:
                best = np.sort(divergence.log_probabilities(opened, [*prompt, *written])[len(prompt) - 1:], axis=-1)
                seen += _by_position("margin_nats", best[:, -1] - best[:, -2], item)
        return dict(observations=seen, engine=dataclasses.asdict(opened.info))


def _by_position(metric: str, values, item: int) -> list[dict]:
    return [dict(metric=metric, value=float(value), item=item, position=place) for place, value in enumerate(values, 1)]
