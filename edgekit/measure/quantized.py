"""The jobs of the studies of compressed models: what a variant lost, what making it took, and how its training went."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterable

from edgekit import engines
from edgekit.compress import distil
from edgekit.compress import variant as variants
from edgekit.compress.artifact import Artifact
from edgekit.measure import divergence, memory
from edgekit.measure.engine_lm import EngineLM
from edgekit.measure.quality import answer_tasks
from edgekit.schema import DEQUANTIZED, UNQUANTIZED


def measure_loss(*, base: str, chain: str, engine: str, dtype: str, threads: int, device: str, stream: str, texts: int,
                 blocks: int, tasks: dict[str, list[int] | None], items_per_depth: int) -> dict:
    """A worker's job: one variant in the reference engine or in a runtime, against the unquantized `base`.

    Observations have a `task`: divergence (sums by domain and block, `against` the unquantized model), accuracy (by item) and
    size (with the `kernel` that ran). A quantized format in its own runtime is also compared `against` its weights dequantized
    in the reference engine: what the runtime's kernel alone adds.
    """
    artifact = variants.build(chain)
    whole = divergence.reference(base, stream, texts, threads, device)
    references = {UNQUANTIZED: whole}
    if artifact.format != "safetensors":
        plain = f"{artifact.variant}{variants.DEQUANTIZED}"
        references[DEQUANTIZED] = divergence.Reference(plain, stream, texts, threads, device)
    with engines.open_engine(engine, artifact, dtype=dtype, threads=threads, device=device, context=whole.context) as opened:
        seen = _marked("divergence", divergence.divergence(references, opened, blocks))
        model = EngineLM(opened, whole.prompting)
        if tasks:
            seen += _marked("accuracy", answer_tasks(model, tasks, items_per_depth))
        stored = variants.build(chain.removesuffix(variants.DEQUANTIZED))
        sizes = [one | dict(kernel=opened.info.kernel) for one in size_of(stored)]
        return dict(observations=[*seen, *sizes], engine=dataclasses.asdict(opened.info), warnings=model.warnings)


def size_of(artifact: Artifact) -> list[dict]:
    """Observations of how large a stored variant is, scales, zero points and unquantized tensors counted."""
    return _marked("size", [dict(metric="artifact_bytes", value=artifact.size_bytes()),
                            dict(metric="stored_bits_per_weight", value=artifact.bits_per_weight()),
                            dict(metric="parameters", value=artifact.spec.architecture.parameters)])


def measure_build(*, chain: str, threads: int, device: str) -> dict:
    """A worker's job: time and peak memory of the last step of a chain, built anew where it stood already.

    Raises BuildError as building does.
    """
    import torch

    torch.set_num_threads(threads)
    whole = variants.parse(chain)
    variants.build(variants.Variant(whole.model, whole.steps[:-1]))
    variants.forget(chain)
    base = memory.resident_bytes()
    start = time.perf_counter()
    artifact = variants.build(chain)
    seen = [dict(metric="quantize_s", value=time.perf_counter() - start), dict(metric="base_memory_bytes", value=base),
            dict(metric="peak_memory_bytes", value=memory.peak_bytes())]
    return dict(observations=[*_marked("build", seen), *size_of(artifact)])


def measure_training(*, chain: str, threads: int, device: str) -> dict:
    """A worker's job: the loss curve of a chain whose last step is `distilled`, trained if it is not there.

    Observations, by step and tokens: train_loss (nats a token, mean since the point before) and wall_s (of the training alone,
    on the machine that did it). Raises BuildError as building does.
    """
    import torch

    torch.set_num_threads(threads)
    artifact = variants.build(chain)
    curve = json.loads((artifact.path / distil.RECORD).read_text(encoding="utf-8"))["curve"]
    seen = [dict(metric=name, value=point[name], step=point["step"], tokens=point["tokens"]) for point in curve
            for name in ("train_loss", "wall_s")]
    return dict(observations=[*_marked("training", seen), *size_of(artifact)])


def _marked(task: str, observations: Iterable[dict]) -> list[dict]:
    return [one | {"task": task} for one in observations]
