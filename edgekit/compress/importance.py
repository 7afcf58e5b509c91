"""How strongly each input of a matrix is driven: the mean of its squares over calibration tokens.

llama.cpp calls it the importance matrix and weighs rounding errors by it; Wanda (Sun et al. 2023, arXiv:2306.11695) uses its
square root.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit import progress

if TYPE_CHECKING:
    import torch


def mean_squares(model: Path, sequences: Sequence[Sequence[int]]) -> dict[str, np.ndarray]:
    """Mean squared input of every linear layer of a Hugging Face folder, by weight name: float32, (inputs,).

    `sequences`: token ids, (samples, length), run in float32 without a cache.
    """
    import torch
    import transformers

    loaded = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32, local_files_only=True).eval()
    return mean_squares_of(loaded, sequences)


def mean_squares_of(loaded: torch.nn.Module, sequences: Sequence[Sequence[int]]) -> dict[str, np.ndarray]:
    """`mean_squares` of a loaded model, which is left as it was."""
    import torch

    hooks = []
    sums: dict[str, torch.Tensor] = {}
    seen: dict[str, int] = {}

    def listen(name: str):
        def hook(module, inputs, output):
            flat = inputs[0].detach().flatten(0, -2).double()
            sums[name] = sums.get(name, 0) + flat.square().sum(0)
            seen[name] = seen.get(name, 0) + len(flat)

        return hook

    for name, module in loaded.named_modules():
        if isinstance(module, torch.nn.Linear):
            hooks.append(module.register_forward_hook(listen(f"{name}.weight")))
    with torch.inference_mode():
        for sequence in sequences:
            loaded(input_ids=torch.tensor([list(sequence)]), use_cache=False)
            progress.step()
    for hook in hooks:
        hook.remove()
    return {name: (total / seen[name]).float().numpy() for name, total in sums.items()}
