"""llama.cpp through the low-level bindings of llama-cpp-python: one C call a token, logits read in place.

The high-level `Llama` class copies logits and runs a sampler chain in Python; on small models that costs more than the model.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator, Sequence

import llama_cpp
import numpy as np
from llama_cpp import llama_cpp as c

from edgekit.compress.artifact import Artifact
from edgekit.engines.base import Engine, EngineError, EngineInfo, Step

MICRO_BATCH = 512


@c.llama_log_callback
def _quiet(level, text, data):
    """llama.cpp prints a page on every load; errors come back as return codes."""


class LlamaCpp(Engine):
    """A GGUF file in llama.cpp. The weights' type is the file's own; keys and values are kept in float16."""

    def __init__(self, artifact: Artifact, *, dtype: str, threads: int, device: str, context: int):
        c.llama_log_set(_quiet, ctypes.c_void_p(0))
        c.llama_backend_init()
        model_options = c.llama_model_default_params()
        if device not in ("cpu", "cuda", "mps"):
            raise EngineError(f"llama_cpp: unknown device {device!r}; known: cpu, cuda, mps")
        if device != "cpu" and not c.llama_supports_gpu_offload():
            raise EngineError(f"llama_cpp: this build has no GPU support, so device {device!r} is not there; use cpu, or build "
                              "llama-cpp-python for the GPU")
        model_options.n_gpu_layers = 0 if device == "cpu" else -1
        self.model = c.llama_model_load_from_file(str(artifact.file).encode(), model_options)
        if not self.model:
            raise EngineError(f"llama_cpp: cannot load {artifact.file}; delete its folder to have it built again")
        options = c.llama_context_default_params()
        options.n_ctx = context
        options.n_batch = max(context, 1)
        options.n_ubatch = min(MICRO_BATCH, options.n_batch)
        options.n_threads = options.n_threads_batch = threads
        # A build for a GPU would otherwise send large prefill batches there although no layer lives on it.
        options.op_offload = options.offload_kqv = device != "cpu"
        self.context = c.llama_init_from_model(self.model, options)
        if not self.context:
            c.llama_model_free(self.model)
            raise EngineError(f"llama_cpp: no memory for a context of {context} tokens; ask for a shorter one")
        self.memory = c.llama_get_memory(self.context)
        self.vocabulary = c.llama_vocab_n_tokens(c.llama_model_get_vocab(self.model))
        kernel = " ".join(part.split(" = ")[0].strip() for part in c.llama_print_system_info().decode().split("|")
                          if part.strip().endswith("= 1"))
        self.info = EngineInfo(
            name="llama_cpp", version=llama_cpp.__version__, kernel=kernel, device=device, dtype=dtype, threads=threads,
            vocabulary=self.vocabulary, context=context,
            kv_bytes_per_token=2 * artifact.spec.architecture.kv_elements_per_token())

    def score(self, tokens: Sequence[int]) -> np.ndarray:
        self.require_room(tokens, 0)
        c.llama_memory_clear(self.memory, True)
        batch = c.llama_batch_init(len(tokens), 0, 1)
        try:
            for i, token in enumerate(tokens):
                batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, i, 1, 1
                batch.seq_id[i][0] = 0
            batch.n_tokens = len(tokens)
            self._decode(batch)
            logits = c.llama_get_logits(self.context)
            return np.ctypeslib.as_array(logits, shape=(len(tokens), self.vocabulary)).copy()
        finally:
            c.llama_batch_free(batch)

    def stream(self, prompt: Sequence[int], max_new_tokens: int) -> Iterator[Step]:
        self.require_room(prompt, max_new_tokens)
        c.llama_memory_clear(self.memory, True)
        tokens = (c.llama_token * len(prompt))(*prompt)
        batch = c.llama_batch_get_one(tokens, len(prompt))
        one = (c.llama_token * 1)()
        following = c.llama_batch_get_one(one, 1)
        for _ in range(max_new_tokens):
            self._decode(batch)
            logits = np.ctypeslib.as_array(c.llama_get_logits_ith(self.context, -1), shape=(self.vocabulary,))
            one[0] = int(logits.argmax())
            batch = following
            yield Step(one[0])

    def _decode(self, batch) -> None:
        code = c.llama_decode(self.context, batch)
        if code:
            raise EngineError(f"llama_cpp: llama_decode returned {code} "
                              f"({'the context is full' if code == 1 else 'see llama.h'})")

    def close(self) -> None:
        with contextlib.suppress(AttributeError):
            c.llama_free(self.context)
            c.llama_model_free(self.model)
            del self.context, self.model
