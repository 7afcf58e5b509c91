"""Speculative decoding of llama-cpp-python: `Llama(draft_model=…)`, the loop that this package brings.

llama.cpp's own programs draft with a model too, in code that is not part of the library and not in the bindings. What the
bindings have is a place for anything that drafts, with a prompt lookup to put there; here a second llama.cpp model stands in
it too, so that the loop and the verification are the package's own.
"""

from __future__ import annotations

import ctypes
from collections.abc import Collection, Sequence

import numpy as np
from llama_cpp import Llama, LogitsProcessorList
from llama_cpp import llama_cpp as c
from llama_cpp.llama_speculative import LlamaDraftModel, LlamaPromptLookupDecoding

from edgekit.compress.artifact import Artifact
from edgekit.decode.builtin import Native
from edgekit.decode.drafters import FixedLength, ModelDrafter
from edgekit.decode.sampling import Decoding
from edgekit.engines.base import EngineError, require_room
from edgekit.engines.llama_cpp import MICRO_BATCH, LlamaCpp, _quiet

LONGEST = 3  # tokens of the n-grams that are looked up, as in ours


class Draft(LlamaDraftModel):
    """A second model in the place for drafts."""

    def __init__(self, engine: LlamaCpp, length: int, vocabulary: int):
        self.engine, self.length = engine, length
        self.drafter = ModelDrafter(engine.session(), FixedLength(length))
        self.decoding = Decoding(length, vocabulary=vocabulary)

    def __call__(self, input_ids: np.ndarray, /, **_) -> np.ndarray:
        drafts, _ = self.drafter.propose(input_ids.tolist(), self.length, self.decoding, None)
        return np.asarray(drafts, dtype=np.intc)


class LlamaWithDraft(Native):
    """The high-level class, opened with one draft length; it keeps the logits of every token, as it must to verify."""

    def __init__(self, target: Artifact, draft: Artifact | None, *, length: int, dtype: str, threads: int, device: str,
                 context: int, vocabulary: int):
        if device != "cpu" and not c.llama_supports_gpu_offload():
            raise EngineError(f"llama-cpp-python: this build has no GPU support, so device {device!r} is not there")
        where = dict(dtype=dtype, threads=threads, device=device, context=context)
        drafts = None
        if length and draft is None:
            drafts = LlamaPromptLookupDecoding(max_ngram_size=LONGEST, num_pred_tokens=length)
        elif length:
            drafts = Draft(LlamaCpp(draft, **where), length, vocabulary)
        self.drafts, self.vocabulary = drafts, vocabulary
        with LlamaCpp(target, **where) as plain:
            self.info = plain.info
        c.llama_log_set(_quiet, ctypes.c_void_p(0))
        self.model = Llama(str(target.file), n_ctx=context, n_batch=max(context, 1), n_ubatch=min(MICRO_BATCH, context),
                           n_threads=threads, n_threads_batch=threads, n_gpu_layers=0 if device == "cpu" else -1,
                           draft_model=drafts, verbose=False)
        self.passes = 0
        evaluate = self.model.eval

        def counted(tokens):
            self.passes += 1
            evaluate(tokens)

        self.model.eval = counted

    def generate(self, prompt: Sequence[int], most: int, stop: Collection[int]) -> tuple[list[int], int]:
        require_room(self.info, prompt, most)
        self.model.reset()  # else the prefix that two prompts share would be kept
        if isinstance(self.drafts, Draft):
            self.drafts.drafter.begin(self.info, self.drafts.decoding)
        self.passes, tokens = 0, []
        only = None if self.vocabulary >= self.info.vocabulary else LogitsProcessorList([self._without_padding])
        for token in self.model.generate(list(prompt), top_k=1, temp=0.0, repeat_penalty=1.0, logits_processor=only):
            tokens.append(token)
            if token in stop or len(tokens) == most:
                break
        return tokens, self.passes

    def _without_padding(self, ids: np.ndarray, logits: np.ndarray) -> np.ndarray:
        logits[self.vocabulary:] = -np.inf
        return logits

    def close(self) -> None:
        self.model.close()
