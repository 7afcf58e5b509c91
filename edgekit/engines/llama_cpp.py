"""llama.cpp through the low-level bindings of llama-cpp-python: one C call a token, logits read in place.

The high-level `Llama` class copies logits and runs a sampler chain in Python; on small models that costs more than the model.
"""

from __future__ import annotations

import contextlib
import ctypes
import weakref
from collections.abc import Iterator, Sequence

import llama_cpp
import numpy as np
from llama_cpp import llama_cpp as c

from edgekit.compress.artifact import Artifact
from edgekit.engines.base import Engine, EngineError, EngineInfo, Session, Step
from edgekit.errors import unknown_name

MICRO_BATCH = 512
DEVICES = ("cpu", "cuda", "mps")


@c.llama_log_callback
def _quiet(level, text, data):
    """llama.cpp prints a page on every load; errors come back as return codes."""


def kernel_words() -> str:
    """llama.cpp's own words of its backends and of the instructions that they were compiled for."""
    return " ".join(part.split(" = ")[0].strip() for part in llama_cpp.llama_print_system_info().decode().split("|")
                    if part.strip().endswith("= 1"))


class LlamaCpp(Engine):
    """A GGUF file in llama.cpp. The weights' type is the file's own; keys and values are kept in float16.

    sequences: how many texts of `context` tokens the cache has room for (see llama_cpp_texts.py).
    """

    forgets = False  # a session takes tokens back, and then windows reach further back again

    def __init__(self, artifact: Artifact, *, dtype: str, threads: int, device: str, context: int, sequences: int = 1):
        c.llama_log_set(_quiet, ctypes.c_void_p(0))
        c.llama_backend_init()
        model_options = c.llama_model_default_params()
        if device not in DEVICES:
            raise EngineError("llama_cpp: " + unknown_name("device", device, DEVICES))
        if device != "cpu" and not c.llama_supports_gpu_offload():
            raise EngineError(f"llama_cpp: this build has no GPU support, so device {device!r} is not there; use cpu, or build "
                              "llama-cpp-python for the GPU")
        model_options.n_gpu_layers = 0 if device == "cpu" else -1
        self.model = c.llama_model_load_from_file(str(artifact.file).encode(), model_options)
        if not self.model:
            raise EngineError(f"llama_cpp: cannot load {artifact.file}; delete its folder to have it built again")
        options = c.llama_context_default_params()
        options.n_ctx = context * sequences
        options.n_seq_max = self.sequences = sequences
        options.n_batch = max(options.n_ctx, 1)
        options.n_ubatch = min(MICRO_BATCH, options.n_batch)
        options.n_threads = options.n_threads_batch = threads
        options.swa_full = not self.forgets
        # A build for a GPU would otherwise send large prefill batches there although no layer lives on it.
        options.op_offload = options.offload_kqv = device != "cpu"
        self.context = c.llama_init_from_model(self.model, options)
        if not self.context:
            c.llama_model_free(self.model)
            raise EngineError(f"llama_cpp: no memory for {sequences} contexts of {context} tokens; ask for shorter ones")
        self.memory = c.llama_get_memory(self.context)
        self.texts = 0  # texts begun in the one cache: tells a session whose text is still there
        self.vocabulary = c.llama_vocab_n_tokens(c.llama_model_get_vocab(self.model))
        self.info = EngineInfo(
            name="llama_cpp", version=llama_cpp.__version__, kernel=kernel_words(), device=device, dtype=dtype, threads=threads,
            vocabulary=self.vocabulary, context=context,
            kv_bytes_per_token=2 * artifact.spec.architecture.kv_elements_per_token())

    def score(self, tokens: Sequence[int]) -> np.ndarray:
        self.require_room(tokens, 0)
        self.begin_text()
        batch = Batch(len(tokens))
        batch.fill(0, tokens, 0, len(tokens))
        self.decode(batch.of(len(tokens)))
        logits = c.llama_get_logits(self.context)
        return np.ctypeslib.as_array(logits, shape=(len(tokens), self.vocabulary)).copy()

    def stream(self, prompt: Sequence[int], max_new_tokens: int) -> Iterator[Step]:
        self.require_room(prompt, max_new_tokens)
        self.begin_text()
        tokens = (c.llama_token * len(prompt))(*prompt)
        batch = c.llama_batch_get_one(tokens, len(prompt))
        one = (c.llama_token * 1)()
        following = c.llama_batch_get_one(one, 1)
        for _ in range(max_new_tokens):
            self.decode(batch)
            logits = np.ctypeslib.as_array(c.llama_get_logits_ith(self.context, -1), shape=(self.vocabulary,))
            one[0] = int(logits[:self.writable].argmax())
            batch = following
            yield Step(one[0])

    def session(self) -> Session:
        if c.llama_model_is_recurrent(self.model) or c.llama_model_is_hybrid(self.model):
            raise EngineError("llama_cpp: speculative decoding takes tokens back, which a recurrent model's state cannot")
        return LlamaCppSession(self)

    def begin_text(self) -> int:
        """Empty the cache, which holds one text at a time; the number of the text that begins."""
        c.llama_memory_clear(self.memory, True)
        self.texts += 1
        return self.texts

    def decode(self, batch) -> None:
        """One pass over a batch. Raises EngineError."""
        code = c.llama_decode(self.context, batch)
        if code:
            raise EngineError(f"llama_cpp: llama_decode returned {code} "
                              f"({'the context is full' if code == 1 else 'see llama.h'})")

    def close(self) -> None:
        with contextlib.suppress(AttributeError):
            c.llama_free(self.context)
            c.llama_model_free(self.model)
            del self.context, self.model


class Batch:
    """Room for tokens of one pass, each of text 0 unless said otherwise, with views of llama.cpp's memory.

    To be made once: a step of a small model takes no longer than making it.
    """

    def __init__(self, size: int):
        self.batch = c.llama_batch_init(size, 0, 1)
        weakref.finalize(self, c.llama_batch_free, self.batch)
        self.token, self.position, self.wanted, texts = (
            np.ctypeslib.as_array(of, shape=(size,))
            for of in (self.batch.token, self.batch.pos, self.batch.logits, self.batch.n_seq_id))
        texts[:] = 1
        for i in range(size):
            self.batch.seq_id[i][0] = 0
        self.positions = np.arange(size, dtype=np.int32)

    def fill(self, start: int, tokens: Sequence[int], held: int, last: int) -> int:
        """From place `start`, tokens that follow `held` ones of a text, logits wanted after the `last` of them; the end."""
        end = start + len(tokens)
        self.token[start:end] = tokens
        self.position[start:end] = self.positions[held:held + len(tokens)]
        self.wanted[start:end - last] = 0
        self.wanted[end - last:end] = 1
        return end

    def of(self, size: int):
        """llama.cpp's structure, with the first `size` places in use."""
        self.batch.n_tokens = size
        return self.batch


class LlamaCppSession(Session):
    """The one text in an engine's cache: a stream, a score or another session of the same engine ends it."""

    def __init__(self, engine: LlamaCpp):
        super().__init__(engine.info)
        self.engine, self.text = engine, engine.begin_text()
        self.batch = Batch(engine.info.context)
        self.address, self.logits = None, None

    def _append(self, tokens: Sequence[int], last: int) -> np.ndarray:
        self._require_text()
        self.engine.decode(self.batch.of(self.batch.fill(0, tokens, self.length, last)))
        pointer = c.llama_get_logits(self.engine.context)
        address = ctypes.addressof(pointer.contents)
        if address != self.address:  # llama.cpp moves its output when more rows are asked than ever before
            self.address = address
            self.logits = np.ctypeslib.as_array(pointer, shape=(self.info.context, self.info.vocabulary))
        return self.logits[:last]

    def _cut(self, length: int) -> None:
        self._require_text()
        if not c.llama_memory_seq_rm(self.engine.memory, 0, length, -1):
            raise EngineError(f"llama_cpp: this model's cache cannot go back to {length} tokens")

    def _require_text(self) -> None:
        if self.engine.texts != self.text:
            raise EngineError("llama_cpp: this session's text is gone, for an engine holds one text at a time: open the model "
                              "twice to draft for itself, and begin a new session after other calls")
