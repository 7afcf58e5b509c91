"""Hugging Face transformers, PyTorch weights: eager with a growing cache, and compiled with a static one.

The decode loop is this file's own (one forward pass a token, greedy), because `generate` adds bookkeeping of its own to
every token: about what a whole pass costs for the smallest models. AWQ and GPTQ checkpoints run in the kernels of gptqmodel.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
import torch
import transformers
from safetensors import SafetensorError
from transformers.cache_utils import Cache

from edgekit.catalog import prompting
from edgekit.compress.artifact import Artifact
from edgekit.engines.base import Engine, EngineError, EngineInfo, Session, Step, require_range, uniforms
from edgekit.engines.batch import GrowingLayer, continue_all, greedy
from edgekit.errors import unknown_name

# For a way to draft and for losses that nothing here uses, transformers imports scikit-learn, scipy and pandas where they are
# there: a fifth of the time in which a process gets ready, and memory that would be counted as an engine's.
transformers.utils.is_sklearn_available = transformers.utils.is_scipy_available = lambda: False

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
PACKED = ("awq", "gptq")
CACHE_BYTES = 2 * 10**9  # of keys and values that texts which are written together may take
# Kernels of gptqmodel for 4 bits on a CPU: they cast what comes to bfloat16 and back.
IN_BFLOAT16 = {"TorchAtenLinear", "TorchAtenAwqLinear"}


class Transformers(Engine):
    """Eager execution: what `AutoModelForCausalLM.from_pretrained` gives, nothing tuned."""

    name = "transformers"

    def __init__(self, artifact: Artifact, *, dtype: str, threads: int, device: str, context: int):
        if dtype not in DTYPES:
            raise EngineError(f"{self.name}: " + unknown_name("dtype", dtype, DTYPES))
        there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        if not there.get(device):
            raise EngineError(f"{self.name}: device {device!r} is not there; expected one of "
                              f"{', '.join(name for name in there if there[name])}")
        torch.set_num_threads(threads)
        require_range(self.name, artifact, dtype)
        transformers.utils.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        self.device = torch.device(device)
        options = dict(dtype=DTYPES[dtype], attn_implementation="sdpa", local_files_only=True)
        kernel = f"torch {torch.__version__} sdpa"
        if artifact.format in PACKED:
            self.model = _load_packed(artifact, device, options)
            kernel = f"{_require_kernel(self.model, artifact, dtype)}, {kernel}"
            torch.set_num_threads(threads)  # in case that a kernel's library set its own
        else:
            self.model = _load_plain(artifact, options).to(self.device)
        self.model.eval()
        self.model.generation_config = prompting.plain_generation(self.model.generation_config)
        self.config = self.model.config
        element = DTYPES[dtype].itemsize
        self.info = EngineInfo(
            name=self.name, version=transformers.__version__, kernel=kernel, device=device, dtype=dtype, threads=threads,
            vocabulary=self.config.vocab_size, context=context,
            kv_bytes_per_token=element * artifact.spec.architecture.kv_elements_per_token())

    @torch.inference_mode()
    def score(self, tokens: Sequence[int]):
        self.require_room(tokens, 0)
        return self.model(self._row(tokens), use_cache=False).logits[0].float().cpu().numpy()

    def stream(self, prompt: Sequence[int], max_new_tokens: int) -> Iterator[Step]:
        self.require_room(prompt, max_new_tokens)
        cache = self._cache()
        token = self._row(prompt)
        for _ in range(max_new_tokens):
            # Entered a step at a time: a generator must not hold inference mode open while its reader works.
            with torch.inference_mode():
                logits = self._forward(token, cache)
                token = logits[:, -1, :self.writable].argmax(-1, keepdim=True)
            yield Step(int(token))

    def generate(self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop: Collection[int], *,
                 keep_stop: bool = False, ended: Callable[[Sequence[int]], bool] | None = None) -> list[list[int]]:
        """As Engine.generate, in batches of similar length (left-padded), so that accuracy runs take minutes, not hours."""
        return self._in_batches(prompts, max_new_tokens, stop, greedy, keep_stop, ended)

    def sample(self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop: Collection[int],
               seed: int, *, keep_stop: bool = False) -> list[list[int]]:
        """As Engine.sample, in the batches of `generate`."""
        drawn = torch.from_numpy(uniforms(seed, len(prompts), max_new_tokens))

        def draw(logits: torch.Tensor, chosen: list[int], step: int) -> torch.Tensor:
            cumulative = torch.softmax(logits.cpu().double(), -1).cumsum(-1)
            token = torch.searchsorted(cumulative, drawn[chosen, step, None] * cumulative[:, -1:], right=True)
            return token.clamp(max=logits.shape[-1] - 1).to(logits.device)

        return self._in_batches(prompts, max_new_tokens, stop, draw, keep_stop)

    def _in_batches(self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop: Collection[int],
                    pick: Callable[[torch.Tensor, list[int], int], torch.Tensor], keep_stop: bool,
                    ended: Callable[[Sequence[int]], bool] | None = None) -> list[list[int]]:
        for prompt in prompts:
            self.require_room(prompt, max_new_tokens)
        return continue_all(self.model, prompts, max_new_tokens, stop,
                            lambda logits, rows, step: pick(logits[:, :self.writable], rows, step), keep_stop, ended,
                            CACHE_BYTES // self.info.kv_bytes_per_token)

    def session(self) -> Session:
        kinds = set(getattr(self.config, "layer_types", None) or ["full_attention"])
        if kinds != {"full_attention"}:
            raise EngineError(f"{self.name}: speculative decoding takes tokens back, which needs full attention in all layers; "
                              f"this model has {', '.join(sorted(kinds))}")
        return TransformersSession(self)

    def sync(self) -> None:
        if self.device.type != "cpu":
            (torch.cuda if self.device.type == "cuda" else torch.mps).synchronize()

    def device_memory_bytes(self) -> int | None:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_reserved()
        # Metal keeps no high-water mark; what the driver holds after the streams is no less than any one of them needed.
        return torch.mps.driver_allocated_memory() if self.device.type == "mps" else None

    def close(self) -> None:
        self.model = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _row(self, tokens: Sequence[int]) -> torch.Tensor:
        return torch.tensor([list(tokens)], device=self.device)

    def _cache(self):
        return transformers.DynamicCache(config=self.config)

    def _forward(self, token: torch.Tensor, cache) -> torch.Tensor:
        return self.model(token, past_key_values=cache, use_cache=True, logits_to_keep=1).logits


def _load_plain(artifact: Artifact, options: dict) -> transformers.PreTrainedModel:
    """A folder of plain weights. Raises EngineError with what transformers says of one that it cannot read."""
    try:
        return transformers.AutoModelForCausalLM.from_pretrained(artifact.path, **options)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        said = " ".join(str(error).split())[:300]
        raise EngineError(f"transformers: cannot load {artifact.path} ({artifact.variant}): {said}") from error


def _load_packed(artifact: Artifact, device: str, options: dict) -> transformers.PreTrainedModel:
    """An AWQ or GPTQ checkpoint on `device`. Raises EngineError without the packages that run it, or with their refusal."""
    # Its pool of threads refuses to start with fewer, and counts the cores; the arithmetic is done by torch's threads.
    os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")
    try:
        from gptqmodel.utils.logger import setup_logger

        setup_logger().setLevel("ERROR")
        # Placed while it is loaded: its kernels rearrange their weights then, and may not be moved afterwards.
        return transformers.AutoModelForCausalLM.from_pretrained(artifact.path, device_map={"": device}, **options)
    except ImportError as error:
        raise EngineError(f"transformers: {artifact.format} checkpoints need gptqmodel and optimum ({error}); install them: "
                          "python3 edgekit/environment/install.py --extra quantize") from error
    except (ValueError, NotImplementedError) as error:
        said = " ".join(str(error).split())[:300]
        raise EngineError(f"transformers: no kernel of gptqmodel loads {artifact.variant} on {device}: {said}") from error


def _require_kernel(model: torch.nn.Module, artifact: Artifact, dtype: str) -> str:
    """The classes of gptqmodel that hold the packed matrices, the commonest first.

    Raises EngineError if there is none, or if they or transformers compute in another type than `dtype`.
    """
    names = Counter(type(module).__name__ for module in model.modules() if type(module).__module__.startswith("gptqmodel."))
    if not names:
        raise EngineError(f"transformers: expected packed matrices in {artifact.path}, found none; its config.json says "
                          f"{artifact.format}, delete the folder to have it built again")
    if dtype != "bfloat16" and (casting := sorted(IN_BFLOAT16 & set(names))):
        raise EngineError(f"transformers: {casting[0]}, the kernel for {artifact.variant} on this device, multiplies in "
                          f"bfloat16 whatever it is given: open it with dtype bfloat16, not {dtype}")
    if model.dtype != DTYPES[dtype]:
        raise EngineError(f"transformers: {artifact.variant} asked in {dtype}, loaded in {model.dtype}: its kernels "
                          f"({', '.join(names)}) have no other type on this device")
    return ", ".join(name for name, _ in names.most_common())


class TransformersSession(Session):
    """Sessions of one engine do not disturb each other: each has a cache of its own."""

    def __init__(self, engine: Transformers):
        super().__init__(engine.info)
        self.model, self.device = engine.model, engine.device
        self.cache = Cache(layer_class_to_replicate=GrowingLayer)

    @torch.inference_mode()
    def _append(self, tokens: Sequence[int], last: int) -> np.ndarray:
        row = torch.tensor([tokens], device=self.device)
        logits = self.model(row, past_key_values=self.cache, use_cache=True, logits_to_keep=last).logits
        return logits[0].float().cpu().numpy()

    @torch.inference_mode()
    def _cut(self, length: int) -> None:
        self.cache.crop(length - self.length)


class TransformersStatic(Transformers):
    """Eager execution with a cache of fixed size: no keys and values are copied when one is added, and all are attended to."""

    name = "transformers-static"

    def __init__(self, artifact: Artifact, **options):
        super().__init__(artifact, **options)
        self.static = transformers.StaticCache(config=self.config, max_cache_len=self.info.context)

    def session(self) -> Session:
        """Refused: a session's cache grows and shrinks, and would not be this engine's."""
        return Engine.session(self)

    def generate(self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop: Collection[int], *,
                 keep_stop: bool = False, ended: Callable[[Sequence[int]], bool] | None = None) -> list[list[int]]:
        """One at a time, through the path that is timed: what is fast must also be what is right."""
        return Engine.generate(self, prompts, max_new_tokens, stop, keep_stop=keep_stop, ended=ended)

    def close(self) -> None:
        self.static = None
        super().close()

    @torch.inference_mode()
    def _cache(self):
        self.static.reset()
        return self.static


class TransformersCompiled(TransformersStatic):
    """The decode step through torch.compile, with a cache of fixed size: what the framework gives when asked for speed."""

    name = "transformers-compiled"

    def __init__(self, artifact: Artifact, **options):
        super().__init__(artifact, **options)
        # "reduce-overhead" records CUDA graphs; on a CPU it would only warn, so the plain compiler is asked for there.
        mode = "reduce-overhead" if self.device.type == "cuda" else "default"
        self.compiled = torch.compile(self.model, mode=mode, fullgraph=False)

    def close(self) -> None:
        self.compiled = None
        super().close()
        torch.compiler.reset()  # what was compiled is kept by the functions that it stands for, and holds the weights

    def _forward(self, token: torch.Tensor, cache) -> torch.Tensor:
        # Prompts of every length would each be compiled anew; prefill is one pass and stays eager.
        model = self.compiled if token.shape[1] == 1 else self.model
        logits = model(token, past_key_values=cache, use_cache=True, logits_to_keep=1).logits
        # A CUDA graph's output is overwritten by its next replay.
        return logits.clone() if self.device.type == "cuda" else logits
