"""What 03_quantization measures beside losses and times: what quantizing itself took."""

from __future__ import annotations

import time

from edgekit.compress import variant as variants
from edgekit.measure import memory
from edgekit.measure.losses import marked, size_of


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
    return dict(observations=[*marked("build", seen), *size_of(artifact)])
