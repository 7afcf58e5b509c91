"""A draft on the host's cores beside a target on the GPU: what the reasoning study's outlook names, where both are."""

from __future__ import annotations

import time
from contextlib import ExitStack

from edgekit import engines
from edgekit.compress import variant as variants
from edgekit.decode import speculative
from edgekit.decode.drafters import FixedLength, ModelDrafter
from edgekit.decode.sampling import Decoding
from edgekit.measure.latency import prompt_ids

HOST, BESIDE, NONE_DRAFTS = "host", "as the target", "none"
LENGTHS = (2, 4)  # drafted tokens in a block


def measure_split(*, target: str, draft: str, engine: str, dtype: str, threads: int, device: str, prompt_tokens: int,
                  output_tokens: int, seed: int) -> dict:
    """A worker's job: seconds of a greedy text of the target alone, with its draft on the host, and with it on the device.

    `pass_s` is of `output_tokens` (`written`); `accepted` of `drafted` tokens says what the draft was worth. The prompt is
    random tokens, so acceptance is that of this text alone, the same wherever the draft runs. Raises EngineError.
    """
    whole, small = variants.build(target), variants.build(draft)
    context = prompt_tokens + output_tokens + max(LENGTHS) + 1
    opening = dict(dtype=dtype, threads=threads, context=context)
    seen = []
    with ExitStack() as stack:
        main = stack.enter_context(engines.open_engine(engine, whole, device=device, **opening)).session()
        drafts = {HOST: "cpu", BESIDE: device}
        opened = {name: stack.enter_context(engines.open_engine(engine, small, device=on, **opening)).session()
                  for name, on in drafts.items()}
        vocabulary = min(main.info.vocabulary, opened[HOST].info.vocabulary)
        prompt = prompt_ids(vocabulary, prompt_tokens, seed)
        decoding = Decoding(output_tokens, vocabulary=vocabulary)
        ways = [(NONE_DRAFTS, 0), *((name, length) for name in drafts for length in LENGTHS)]
        for turn in range(2):  # the first pass allocates and picks kernels
            for name, length in ways:
                drafter = ModelDrafter(opened[name], FixedLength(length)) if length else None
                start = time.perf_counter()
                made = speculative.generate(main, drafter, prompt, decoding)
                took = time.perf_counter() - start
                at = dict(draft_on=name, length=length, written=len(made.tokens))
                if turn:
                    seen.append(dict(metric="pass_s", value=took, **at))
                    seen.append(dict(metric="accepted", value=sum(block.accepted for block in made.blocks),
                                     drafted=sum(block.drafted for block in made.blocks), **at))
        return dict(observations=seen)
