"""What a head or a neuron is worth: scores by which units are removed, the lowest first.

Removing a unit is setting its outgoing weights to zero (the columns of the output or down projection that read it), so the
scores of a running model look at those:

- `taylor`: |weight × gradient of the loss|, summed over them: the first-order Taylor expansion of what their removal does to
  the loss, element by element (Molchanov et al. 2019, arXiv:1906.10771, take the square where this takes the absolute value).
- `gate`: the mean over sequences of |∂loss/∂gate|, with a gate of 1 on the unit's output (Michel et al. 2019,
  arXiv:1905.10650, equation 2): the expansion of the unit as a whole. Within a sequence signs cancel, between sequences not.
- `activation`: |weight| · ‖input‖₂, summed over them (Sun et al. 2023, arXiv:2306.11695): how much they write, no gradient.
- `magnitude`: the Euclidean norm of all weights of the unit, incoming too. `random`: the control.

Scores are of query heads; one of a whole group is the sum over its heads.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit import progress
from edgekit.catalog.models import Architecture
from edgekit.compress import checkpoint, importance

if TYPE_CHECKING:
    import torch

RUNNING = ("taylor", "gate", "activation")
METHODS = (*RUNNING, "magnitude", "random")
PROJECTION = re.compile(r"layers\.(\d+)\.(?:self_attn|mlp)\.(q|k|v|o|gate|up|down)_proj\.weight$")
BATCH_TOKENS = 2048


@dataclass(frozen=True, slots=True)
class Scores:
    """`heads`: (layers, query heads); `neurons`: (layers, MLP width); both at least zero, of no common unit."""

    heads: np.ndarray
    neurons: np.ndarray


def of_model(model: torch.nn.Module, sequences: Sequence[Sequence[int]], method: str) -> Scores:
    """Scores of a loaded causal model in float32 by one of `RUNNING`, in one pass over `sequences` (samples, length).

    The loss is the mean cross-entropy of the next token. The result does not depend on how sequences are batched.
    """
    if method == "activation":
        return _of_activations(model, sequences)
    return {"taylor": _of_weights, "gate": _of_gates}[method](model, sequences)


def _outgoing(model: torch.nn.Module) -> list[tuple[torch.nn.Module, torch.nn.Module]]:
    return [(layer.self_attn.o_proj, layer.mlp.down_proj) for layer in model.model.layers]


def _passes(model: torch.nn.Module, sequences: Sequence[Sequence[int]]):
    """Summed next-token losses, a batch at a time; each is to be run backwards before the next is asked for."""
    import torch

    ids = torch.tensor(sequences)
    for batch in ids.split(max(1, BATCH_TOKENS // ids.shape[1])):
        logits = model(input_ids=batch, use_cache=False).logits[:, :-1].float()
        yield torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten(), reduction="sum")
        progress.step()


def _predicted(sequences: Sequence[Sequence[int]]) -> int:
    return sum(len(sequence) - 1 for sequence in sequences)


def _of_weights(model: torch.nn.Module, sequences: Sequence[Sequence[int]]) -> Scores:
    outgoing = _outgoing(model)
    model.requires_grad_(False).zero_grad()
    for pair in outgoing:
        for matrix in pair:
            matrix.weight.requires_grad_(True)
    for loss in _passes(model, sequences):
        loss.backward()
    columns = [[(matrix.weight * matrix.weight.grad).detach().abs().sum(0).numpy() / _predicted(sequences) for matrix in pair]
               for pair in outgoing]
    model.requires_grad_(False).zero_grad()
    return _by_unit(model, columns)


def _of_gates(model: torch.nn.Module, sequences: Sequence[Sequence[int]]) -> Scores:
    import torch

    model.requires_grad_(False)
    size = model.config.head_dim
    sums = [[0.0, 0.0] for _ in model.model.layers]
    gates: dict[tuple[int, int], torch.Tensor] = {}

    def gated(at: tuple[int, int], width: int):
        def hook(module, inputs):
            flowing, = inputs
            # One gate a sequence and unit; a head's elements share theirs.
            gates[at] = torch.ones(len(flowing), 1, flowing.shape[-1] // width, 1, requires_grad=True)
            return ((flowing.unflatten(-1, (-1, width)) * gates[at]).flatten(-2),)

        return hook

    hooks = [matrix.register_forward_pre_hook(gated((i, j), (size, 1)[j]))
             for i, pair in enumerate(_outgoing(model)) for j, matrix in enumerate(pair)]
    try:
        for loss in _passes(model, sequences):
            loss.backward()
            for (i, j), gate in gates.items():
                sums[i][j] = sums[i][j] + gate.grad.abs().sum(0).flatten().numpy()
    finally:
        for hook in hooks:
            hook.remove()
    total = _predicted(sequences)
    return Scores(*(np.stack([layer[j] / total for layer in sums]) for j in (0, 1)))


def _of_activations(model: torch.nn.Module, sequences: Sequence[Sequence[int]]) -> Scores:
    driven = importance.mean_squares_of(model, sequences)
    columns = []
    for i, pair in enumerate(_outgoing(model)):
        names = (f"model.layers.{i}.self_attn.o_proj.weight", f"model.layers.{i}.mlp.down_proj.weight")
        columns.append([matrix.weight.detach().abs().sum(0).numpy() * np.sqrt(driven[name])
                        for matrix, name in zip(pair, names, strict=True)])
    return _by_unit(model, columns)


def _by_unit(model: torch.nn.Module, columns: list[list[np.ndarray]]) -> Scores:
    """Sums over the elements of each head; a neuron has one."""
    size = model.config.head_dim
    return Scores(np.stack([heads.reshape(-1, size).sum(1) for heads, _ in columns]),
                  np.stack([neurons for _, neurons in columns]))


def of_weights(folder: Path, a: Architecture) -> Scores:
    """`magnitude` of a Hugging Face folder, read tensor by tensor.

    A key or value head counts to each of its query heads by an equal part of its squares.
    """
    heads, neurons = np.zeros((a.layers, a.heads)), np.zeros((a.layers, a.mlp_width))
    with checkpoint.Weights(folder) as weights:
        for name in weights:
            if not (found := PROJECTION.search(name)):
                continue
            layer, part = int(found[1]), found[2]
            squares = weights[name].float().square().sum(0 if part in ("o", "down") else 1).double().numpy()
            if part in ("gate", "up", "down"):
                neurons[layer] += squares
            elif part in ("q", "o"):
                heads[layer] += squares.reshape(a.heads, -1).sum(1)
            else:
                shared = a.heads // a.kv_heads
                heads[layer] += np.repeat(squares.reshape(a.kv_heads, -1).sum(1) / shared, shared)
    return Scores(np.sqrt(heads), np.sqrt(neurons))


def drawn(a: Architecture, seed: int) -> Scores:
    """`random`: uniform numbers from `seed`."""
    rng = np.random.default_rng(seed)
    return Scores(rng.random((a.layers, a.heads)), rng.random((a.layers, a.mlp_width)))
