"""What a worker measures for the laws: times over lengths, and what a law needs to know of the work, counted beside them."""

from __future__ import annotations

from collections import Counter

from edgekit.catalog import gguf_file
from edgekit.catalog.architecture import Architecture
from edgekit.compress import variant as variants
from edgekit.compress.artifact import Artifact
from edgekit.measure.latency import measure_speed


def prefill_flop(a: Architecture, tokens: int) -> int:
    """Operations from a prompt of `tokens` to the logits of its last one, two a multiplication: a weight of the layers and
    token, the output head once, and attention, in which every query meets each key of its group of heads."""
    layers = a.parameters - a.embeddings * (1 if a.tied else 2)
    met = sum(a.kv_elements(before) + a.kv_elements_per_token() for before in range(tokens))
    return 2 * (tokens * layers + met * a.heads // a.kv_heads + a.embeddings)


def bytes_by_type(artifact: Artifact) -> dict[str, int]:
    """Bytes that a decode step reads of a GGUF file, by the format of the tensors; none of another artifact. Their sum is
    `GgufFile.bytes_per_step`."""
    if artifact.format != "gguf":
        return {}
    tensors = gguf_file.read(artifact.file).tensors
    read = Counter()
    for name, tensor in tensors.items():
        if not (name == "token_embd.weight" and "output.weight" in tensors):
            read[tensor.kind] += tensor.nbytes
    return dict(read)


def measure_lengths(*, variant: str, engine: str, dtype: str, threads: int, device: str, grid: list, seed: int,
                    warmups: int) -> dict:
    """A worker's job: `measure_speed` over a grid of lengths, with the operations of each prefill and, of a GGUF file, the
    bytes of a step by format."""
    found = measure_speed(variant=variant, engine=engine, dtype=dtype, threads=threads, device=device, grid=grid, seed=seed,
                          warmups=warmups)
    artifact = variants.build(variant)
    a = artifact.spec.architecture
    more = [dict(metric="prefill_flop", value=prefill_flop(a, length), prompt_tokens=length, output_tokens=1)
            for length, _ in grid]
    more += [dict(metric="type_bytes", value=nbytes, type=kind) for kind, nbytes in bytes_by_type(artifact).items()]
    return found | dict(observations=[*found["observations"], *more])
