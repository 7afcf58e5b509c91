"""TensorRT-LLM through its LLM API, on an NVIDIA GPU: the PyTorch backend, which loads a model folder as it is.

Prompts are computed anew each time (no reuse of blocks). Its worker is kept in this process, so that the GPU's memory can be
told. Written against the documented API of its releases 1.x.
"""

from __future__ import annotations

import os

# Read when it is imported: else its worker is a process of its own.
os.environ.setdefault("TLLM_WORKER_USE_SINGLE_PROCESS", "1")
os.environ.setdefault("TLLM_LOG_LEVEL", "ERROR")

from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
import tensorrt_llm
import torch
from tensorrt_llm import LLM, SamplingParams
from tensorrt_llm.llmapi import KvCacheConfig

from edgekit import progress
from edgekit.compress.artifact import ELEMENT_BYTES, Artifact
from edgekit.engines.base import Engine, EngineError, EngineInfo, Step, require_range
from edgekit.errors import unknown_name

SEQUENCES = 32  # most prompts that `generate` works on at a time
NO_END = -1  # no token ends a text
# Raised by TensorRT-LLM for models that it cannot load, according to where it notices (pydantic's are ValueErrors).
REFUSALS = (ValueError, RuntimeError, AssertionError, KeyError, OSError, NotImplementedError)


class TensorRtLlm(Engine):
    """A folder of plain weights in TensorRT-LLM's PyTorch backend, keys and values in `dtype`."""

    def __init__(self, artifact: Artifact, *, dtype: str, threads: int, device: str, context: int):
        architecture = artifact.spec.architecture
        if dtype not in ELEMENT_BYTES:
            raise EngineError("tensorrt-llm: " + unknown_name("dtype", dtype, ELEMENT_BYTES))
        if device != "cuda" or not torch.cuda.is_available():
            raise EngineError(f"tensorrt-llm: device {device!r} asked; it runs on cuda alone, an NVIDIA GPU, and "
                              f"{'one is' if torch.cuda.is_available() else 'none is'} here")
        require_range("tensorrt-llm", artifact, dtype)
        try:
            self.llm = LLM(**arguments(artifact, dtype, context))
        except REFUSALS as error:
            said = " ".join(str(error).split())[:300] or type(error).__name__
            raise EngineError(f"tensorrt-llm: cannot load {artifact.variant} in {dtype}: {said}") from error
        self.info = EngineInfo(
            name="tensorrt-llm", version=tensorrt_llm.__version__, kernel=f"PyTorch backend, {torch.cuda.get_device_name()}",
            device=device, dtype=dtype, threads=threads, vocabulary=architecture.vocabulary, context=context,
            kv_bytes_per_token=ELEMENT_BYTES[dtype] * architecture.kv_elements_per_token())

    def score(self, tokens: Sequence[int]) -> np.ndarray:
        """As Engine.score: the logits of a prompt, which a request may ask for."""
        self.require_room(tokens, 0)
        logits = self.llm.generate_async(list(tokens), greedy(1, return_context_logits=True)).result().context_logits
        shape = None if logits is None else tuple(logits.shape)
        if shape != (len(tokens), self.info.vocabulary):
            raise EngineError(f"tensorrt-llm: expected logits of {len(tokens)} positions and {self.info.vocabulary} ids, got "
                              f"{shape}; this version gives them otherwise")
        return logits.float().cpu().numpy()

    def stream(self, prompt: Sequence[int], max_new_tokens: int) -> Iterator[Step]:
        self.require_room(prompt, max_new_tokens)
        self._require_any_id()
        if max_new_tokens < 1:
            return
        request = self.llm.generate_async(list(prompt), greedy(max_new_tokens), streaming=True)
        try:
            for output in request:
                yield from map(Step, output.outputs[0].token_ids_diff)
        finally:  # its reader may have had enough
            if not request.finished:
                request.abort()

    def generate(self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop: Collection[int], *,
                 keep_stop: bool = False, ended: Callable[[Sequence[int]], bool] | None = None) -> list[list[int]]:
        """As Engine.generate, SEQUENCES prompts at once, each written to its length."""
        for prompt in prompts:
            self.require_room(prompt, max_new_tokens)
        self._require_any_id()
        outputs = []
        for at in range(0, len(prompts), SEQUENCES):
            requests = [self.llm.generate_async(list(prompt), greedy(max_new_tokens)) for prompt in prompts[at:at + SEQUENCES]]
            for request in requests:
                tokens = list(request.result().outputs[0].token_ids)
                progress.step()
                end = next((i for i, token in enumerate(tokens) if token in stop), len(tokens))
                outputs.append(tokens[:end + keep_stop])
        return outputs

    def device_memory_bytes(self) -> int | None:
        return torch.cuda.max_memory_reserved()

    def close(self) -> None:
        if self.llm is not None:
            self.llm.shutdown()
            self.llm = None
            torch.cuda.empty_cache()

    def _require_any_id(self) -> None:
        if self.writable is not None:
            raise EngineError("tensorrt-llm: it writes any id of the vocabulary, those that pad it too; take vllm")


def arguments(artifact: Artifact, dtype: str, context: int) -> dict:
    """What the LLM API is given for one context at a time, or as many as its cache holds."""
    return dict(model=str(artifact.path), skip_tokenizer_init=True, dtype=dtype, max_seq_len=context + 1,
                max_num_tokens=context + 1, max_batch_size=SEQUENCES,
                kv_cache_config=KvCacheConfig(enable_block_reuse=False, max_tokens=SEQUENCES * (context + 1)))


def greedy(tokens: int, **more) -> SamplingParams:
    """So many of the likeliest tokens, whatever they are."""
    return SamplingParams(max_tokens=tokens, top_k=1, end_id=NO_END, pad_id=0, ignore_eos=True, detokenize=False, **more)
