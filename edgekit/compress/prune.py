"""Structured pruning: the least important heads and neurons go, and what is left is a plain checkpoint of the same kind.

`sliced` removes the rows and columns of a unit, the same count in every layer. `masked` sets them to zero and keeps the
shapes: nothing is saved, and it can carry what a plain checkpoint cannot, a `global` allocation in which layers lose unlike
numbers (the ablation). Embeddings, norms and what is kept are copied bit by bit, file by file. `pruning.json` in the folder
says what was kept, layer by layer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.building import BuildError
from edgekit.catalog.models import Architecture
from edgekit.compress import checkpoint, removal, saliency
from edgekit.compress.artifact import Artifact, require_plain
from edgekit.compress.calibration import Calibration
from edgekit.compress.saliency import Scores
from edgekit.errors import unknown_name

if TYPE_CHECKING:
    import torch

ALLOCATIONS = ("uniform", "global")
FORMS = ("sliced", "masked")
RECORD = "pruning.json"


@dataclass(frozen=True, slots=True)
class Pruning:
    """Arguments of the step. `heads`, `mlp`: shares to remove, [0, 1); the nearest counts that can be carried are.

    score: one of saliency.METHODS; calibration, samples, length, seed: the sequences it looks at (`seed` also draws `random`).
    rounds: how often to score and remove a part. unit: query `heads` within groups, or whole `groups`. multiple: what kept
    widths are to be a multiple of.
    """

    heads: float
    mlp: float
    score: str = "taylor"
    calibration: str = "mixture"
    samples: int = 64
    length: int = 256
    seed: int = 0
    rounds: int = 1
    allocation: str = "uniform"
    form: str = "sliced"
    unit: str = "heads"
    multiple: int = 32

    def __post_init__(self) -> None:
        for name, known in (("score", saliency.METHODS), ("allocation", ALLOCATIONS), ("form", FORMS),
                            ("unit", removal.UNITS)):
            if getattr(self, name) not in known:
                raise BuildError("pruned: " + unknown_name(name, getattr(self, name), known))
        for name in ("rounds", "multiple"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise BuildError(f"pruned: expected {name} of at least 1, got {value!r}")
        if self.score in saliency.RUNNING and self.length < 2:
            raise BuildError(f"pruned: a sequence of {self.length} tokens predicts none; expected length of at least 2")
        if self.allocation == "global" and self.form == "sliced":
            raise BuildError("pruned: allocation=global leaves layers of unlike sizes, which no plain checkpoint carries; use "
                             "form=masked (weights set to zero, shapes kept), or allocation=uniform")
        if self.rounds > 1 and self.score not in saliency.RUNNING:
            raise BuildError(f"pruned: score={self.score} does not change as units go, so rounds={self.rounds} would be "
                             f"rounds=1; use that, or one of {', '.join(saliency.RUNNING)}")


@dataclass(frozen=True, slots=True)
class Mask:
    """Which units stay: `heads` (layers, query heads) and `neurons` (layers, MLP width), true where kept."""

    heads: np.ndarray
    neurons: np.ndarray


def pruned_bytes(source: Artifact, **arguments) -> int:
    """About what the artifact will take on disk, at most. Raises BuildError for arguments that cannot be."""
    _require(source, Pruning(**arguments))
    return source.size_bytes() + (1 << 20)


def _require(source: Artifact, asked: Pruning) -> removal.Kept:
    require_plain("pruned", source)
    if source.spec.kind == "shape" and asked.score in saliency.RUNNING:
        raise BuildError(f"pruned: score={asked.score} needs trained weights and {source.spec.name} has random ones; use "
                         "score=random or magnitude")
    return removal.kept(source.spec.architecture, heads=asked.heads, mlp=asked.mlp, unit=asked.unit, multiple=asked.multiple)


def prune(source: Artifact, folder: Path, *, heads: float, mlp: float, score: str = "taylor", calibration: str = "mixture",
          samples: int = 64, length: int = 256, seed: int = 0, rounds: int = 1, allocation: str = "uniform",
          form: str = "sliced", unit: str = "heads", multiple: int = 32) -> None:
    """Write the pruned `source` into `folder`; the arguments are those of `Pruning`.

    Raises BuildError: a format, ratio or name that cannot be, a shape with a score that needs training, no calibration.
    """
    asked = Pruning(heads, mlp, score, calibration, samples, length, seed, rounds, allocation, form, unit, multiple)
    kept = _require(source, asked)
    a = source.spec.architecture
    mask = choose(source, asked, kept)
    with checkpoint.Weights(source.path) as weights, checkpoint.ShardWriter(folder) as out:
        for name in weights:
            weight = weights[name]
            out.add(name, apply(name, weight, a, mask, form))
    config = checkpoint.read_config(source.path)
    if form == "sliced":
        config = removal.pruned_config(config, removal.pruned_architecture(a, kept))
    checkpoint.write_beside(folder, config, source.path, dtype=str(weight.dtype).removeprefix("torch."))
    record = dict(heads=[np.flatnonzero(row).tolist() for row in mask.heads],
                  neurons=[np.flatnonzero(row).tolist() for row in mask.neurons],
                  removed=dict(heads=1 - float(mask.heads.mean()), neurons=1 - float(mask.neurons.mean())))
    (folder / RECORD).write_text(json.dumps(record) + "\n", encoding="utf-8")


def choose(source: Artifact, asked: Pruning, kept: removal.Kept) -> Mask:
    """Which units stay: in each round the rest is scored anew, without those that went before."""
    a = source.spec.architecture
    mask = Mask(np.ones((a.layers, a.heads), bool), np.ones((a.layers, a.mlp_width), bool))
    if kept == removal.Kept(a.heads, a.kv_heads, a.mlp_width):
        return mask
    if asked.score == "random":
        return select(saliency.drawn(a, asked.seed), mask, a, kept, asked)
    if asked.score == "magnitude":
        return select(saliency.of_weights(source.path, a), mask, a, kept, asked)
    import torch
    import transformers

    sequences = Calibration(asked.calibration, asked.samples, asked.length, asked.seed).sequences(
        source.spec.folder or source.path, a.vocabulary)
    model = transformers.AutoModelForCausalLM.from_pretrained(source.path, dtype=torch.float32, local_files_only=True).eval()
    for done in range(1, asked.rounds + 1):
        part = _part_of(a, kept, done / asked.rounds)
        mask = select(saliency.of_model(model, sequences, asked.score), mask, a, part, asked)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                weight.copy_(apply(name, weight, a, mask, "masked"))
    return mask


def _part_of(a: Architecture, kept: removal.Kept, share: float) -> removal.Kept:
    """What stays when `share` of the way to `kept` is done, in whole units of a group or of one head in each group."""
    if kept.kv_heads < a.kv_heads:
        kv_heads = a.kv_heads - round(share * (a.kv_heads - kept.kv_heads))
        heads = kv_heads * (a.heads // a.kv_heads)
    else:
        kv_heads = a.kv_heads
        heads = a.heads - kv_heads * round(share * (a.heads - kept.heads) / kv_heads)
    return removal.Kept(heads, kv_heads, a.mlp_width - round(share * (a.mlp_width - kept.neurons)))


def select(scores: Scores, before: Mask, a: Architecture, kept: removal.Kept, asked: Pruning) -> Mask:
    """The best units among those of `before`, so many as `kept` says; of equals the earlier stay."""
    per_group = a.heads // a.kv_heads
    heads = np.where(before.heads, scores.heads, -1.0).reshape(a.layers, a.kv_heads, per_group)
    neurons = np.where(before.neurons, scores.neurons, -1.0)
    if whole := asked.unit == "groups" or per_group == 1:
        heads = heads.sum(-1)
    if asked.allocation == "global":
        units = heads.reshape(a.layers, -1)
        stay = _best_of_all(units, units.shape[1] * kept.heads // a.heads).reshape(heads.shape)
        best = _best_of_all(neurons, kept.neurons)
    else:
        stay, best = _best(heads, kept.kv_heads if whole else kept.heads // a.kv_heads), _best(neurons, kept.neurons)
    return Mask((stay.repeat(per_group, -1) if whole else stay).reshape(a.layers, a.heads), best)


def _best(scores: np.ndarray, count: int) -> np.ndarray:
    """True at the `count` largest along the last axis."""
    order = np.argsort(-scores, axis=-1, kind="stable")
    chosen = np.zeros(scores.shape, bool)
    np.put_along_axis(chosen, order[..., :count], True, axis=-1)
    return chosen


def _best_of_all(scores: np.ndarray, count: int) -> np.ndarray:
    """True at the `layers`·`count` largest of all (layers, units), and at one at least in every layer."""
    chosen = _best(scores, 1)
    raised = np.where(chosen, np.inf, scores)
    return _best(raised.reshape(-1), count * len(scores)).reshape(scores.shape)


def apply(name: str, weight: torch.Tensor, a: Architecture, mask: Mask, form: str) -> torch.Tensor:
    """A weight without the units that went: rows or columns sliced out, or set to zero (`masked`)."""
    import torch

    found = saliency.PROJECTION.search(name.removesuffix("bias") + "weight" if name.endswith("_proj.bias") else name)
    if not found:
        return weight
    layer, part = int(found[1]), found[2]
    if part in ("gate", "up", "down"):
        stays = mask.neurons[layer]
    else:
        stays = mask.heads[layer]
        if part in ("k", "v"):
            stays = stays.reshape(a.kv_heads, -1).any(-1)
        stays = stays.repeat(a.head_dim)
    if stays.all() or (weight.ndim == 1 and part in ("o", "down")):
        return weight
    chosen = torch.from_numpy(stays)
    if form == "masked":
        shape = (1, -1) if part in ("o", "down") else (-1, *[1] * (weight.ndim - 1))
        return torch.where(chosen.reshape(shape), weight, torch.zeros((), dtype=weight.dtype))
    return (weight[:, chosen] if part in ("o", "down") else weight[chosen]).contiguous()
