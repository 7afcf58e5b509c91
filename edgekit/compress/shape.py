"""A shape: a published architecture with random weights, as a Hugging Face folder in bfloat16.

Speed, memory and energy of a dense decoder do not depend on the values of its weights, as long as they are ordinary
numbers. One block of normal numbers (deviation 0.02, as in a fresh model) is repeated, because drawing 7·10⁹ of them would
take minutes and change nothing that is measured.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

from edgekit.catalog.models import ModelSpec
from edgekit.compress import checkpoint

BLOCK = 1 << 20


def write(spec: ModelSpec, folder: Path, *, seed: int) -> None:
    """Write `spec`'s architecture with random weights into `folder`: sharded safetensors, an index, config.json."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    block = (torch.randn(BLOCK, generator=generator) * 0.02).to(torch.bfloat16)
    with checkpoint.ShardWriter(folder) as out:
        for name, shape in spec.architecture.tensors():
            if "norm" in name:
                out.add(name, torch.full(shape, 0 if spec.architecture.adds_one else 1, dtype=torch.bfloat16))
            else:
                count = math.prod(shape)
                out.add(name, block.repeat(-(-count // BLOCK))[:count].reshape(shape).clone())
    (folder / "config.json").write_text(json.dumps(spec.architecture.to_hf(), indent=1), encoding="utf-8")
