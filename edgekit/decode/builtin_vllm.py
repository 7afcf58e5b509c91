"""vLLM's speculative configuration: a draft model or its n-gram lookup, one request at a time."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from vllm import SamplingParams
from vllm.sampling_params import RequestOutputKind

from edgekit.compress.artifact import Artifact
from edgekit.decode.builtin import Native
from edgekit.engines.vllm import GREEDY, Vllm

LONGEST = 3  # tokens of the n-grams that are looked up, as in ours


class VllmSpeculative(Native):
    """A vLLM engine whose steps verify drafted tokens; a step is a pass of the target."""

    def __init__(self, target: Artifact, draft: Artifact | None, *, length: int, dtype: str, threads: int, device: str,
                 context: int, vocabulary: int):
        drafts = None
        if length and draft is None:
            drafts = dict(method="ngram", num_speculative_tokens=length, prompt_lookup_max=LONGEST, prompt_lookup_min=1)
        elif length:
            drafts = dict(method="draft_model", model=str(draft.path), num_speculative_tokens=length)
        self.vllm = Vllm(target, dtype=dtype, threads=threads, device=device, context=context, speculative_config=drafts,
                         spare=draft)
        self.info = self.vllm.info
        self.vllm.writable = vocabulary

    def generate(self, prompt: Sequence[int], most: int, stop: Collection[int]) -> tuple[list[int], int]:
        self.vllm.require_room(prompt, most)
        engine, passes, tokens = self.vllm.engine, 0, []
        self.vllm.add(prompt, SamplingParams(max_tokens=most, stop_token_ids=sorted(stop),
                                             output_kind=RequestOutputKind.FINAL_ONLY, **GREEDY,
                                             **self.vllm.allowed()))
        while engine.has_unfinished_requests():
            for output in engine.step():
                tokens = list(output.outputs[0].token_ids)
            passes += 1
        return tokens, passes

    def close(self) -> None:
        self.vllm.close()
