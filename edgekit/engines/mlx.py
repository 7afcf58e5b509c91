"""MLX through mlx-lm: Metal on Apple's processors, and a build for a CPU elsewhere, which computes on one thread.

Streams are mlx-lm's own generator, which asks for the next token while the last is being read.
"""

from __future__ import annotations

import importlib.metadata
from collections import Counter
from collections.abc import Iterator, Sequence

import mlx.core as mx
import numpy as np
from mlx import nn
from mlx.utils import tree_map
from mlx_lm import utils
from mlx_lm.generate import generate_step
from mlx_lm.models import cache as caches

from edgekit.building import BuildError
from edgekit.compress.artifact import ELEMENT_BYTES, Artifact
from edgekit.compress.mlx import config_of
from edgekit.engines.base import Engine, EngineError, EngineInfo, Session, Step, require_range, require_stored
from edgekit.errors import unknown_name

DTYPES = {"float32": mx.float32, "bfloat16": mx.bfloat16, "float16": mx.float16}
DEVICES = {"cpu": mx.cpu, "mps": mx.gpu}
# Raised by mlx-lm for models that it does not know, weights that do not fit and files that are not there.
REFUSALS = (ValueError, KeyError, OSError, RuntimeError, TypeError)


class Mlx(Engine):
    """A folder of plain weights, or of MLX's own rounding, whose dtype is int4 or int8; keys and values as its activations."""

    def __init__(self, artifact: Artifact, *, dtype: str, threads: int, device: str, context: int):
        architecture = artifact.spec.architecture
        if device not in DEVICES:
            raise EngineError("mlx: " + unknown_name("device", device, DEVICES))
        if device == "mps" and not mx.metal.is_available():
            raise EngineError("mlx: device 'mps' is not there: this build of MLX has no Metal; take cpu, or a Mac")
        if artifact.format == "safetensors" and dtype not in DTYPES:
            raise EngineError("mlx: " + unknown_name("dtype", dtype, DTYPES))
        try:
            told = config_of(artifact, "mlx")
        except BuildError as error:
            raise EngineError(str(error)) from error
        require_range("mlx", artifact, dtype)
        mx.set_default_device(DEVICES[device])
        try:
            self.model, config = utils.load_model(artifact.path, lazy=True, model_config=told)
        except REFUSALS as error:
            said = " ".join(str(error).split())[:300]
            raise EngineError(f"mlx: cannot load {artifact.variant} ({artifact.format}): {said}") from error
        if artifact.format == "safetensors":
            self.model.update(tree_map(lambda one: one.astype(DTYPES[dtype]), self.model.parameters()))
        else:
            require_stored("mlx", artifact, f"int{config['quantization']['bits']}", dtype)
        mx.eval(self.model.parameters())
        self.model.eval()
        element = ELEMENT_BYTES[dtype] if artifact.format == "safetensors" else 4
        self.info = EngineInfo(
            name="mlx", version=f"{mx.__version__} (mlx-lm {importlib.metadata.version('mlx-lm')})", kernel=_kernel(self.model),
            device=device, dtype=dtype, threads=1 if device == "cpu" else threads, vocabulary=architecture.vocabulary,
            context=context, kv_bytes_per_token=element * architecture.kv_elements_per_token())

    def score(self, tokens: Sequence[int]) -> np.ndarray:
        self.require_room(tokens, 0)
        return _floats(self.model(mx.array([list(tokens)])), len(tokens))

    def stream(self, prompt: Sequence[int], max_new_tokens: int) -> Iterator[Step]:
        self.require_room(prompt, max_new_tokens)
        kept = [] if self.writable is None else [self._withheld]
        for token, _ in generate_step(mx.array(list(prompt)), self.model, max_tokens=max_new_tokens, logits_processors=kept):
            yield Step(int(token))

    def session(self) -> Session:
        cache = caches.make_prompt_cache(self.model)
        if not caches.can_trim_prompt_cache(cache):
            raise EngineError("mlx: speculative decoding takes tokens back, which the caches of this model's layers cannot: "
                              f"{', '.join(sorted({type(one).__name__ for one in cache}))}")
        return MlxSession(self, cache)

    def sync(self) -> None:
        mx.synchronize()

    def device_memory_bytes(self) -> int | None:
        return mx.get_peak_memory() if self.info.device == "mps" else None

    def close(self) -> None:
        self.model = None
        mx.clear_cache()

    def _withheld(self, _, logits: mx.array) -> mx.array:
        return mx.where(mx.arange(logits.shape[-1]) < self.writable, logits, -mx.inf)


class MlxSession(Session):
    """Sessions of one engine do not disturb each other: each has a cache of its own."""

    def __init__(self, engine: Mlx, cache: list):
        super().__init__(engine.info)
        self.model, self.cache = engine.model, cache

    def _append(self, tokens: Sequence[int], last: int) -> np.ndarray:
        return _floats(self.model(mx.array([list(tokens)]), cache=self.cache), last)

    def _cut(self, length: int) -> None:
        caches.trim_prompt_cache(self.cache, self.length - length)


def _floats(logits: mx.array, last: int) -> np.ndarray:
    """Logits after the `last` tokens of one text: float32, (last, vocabulary)."""
    return np.array(logits[0, -last:].astype(mx.float32))


def _kernel(model: nn.Module) -> str:
    """Classes of the model's matrices, the commonest first, and the device."""
    names = Counter(f"{type(module).__name__}" + (f" of {module.bits} bits by {module.group_size}" if hasattr(module, "bits")
                                                  else "")
                    for module in model.modules() if isinstance(module, (nn.Linear, nn.QuantizedLinear)))
    return ", ".join([*(f"{name} x{count}" for name, count in names.most_common()), str(mx.default_device())])
