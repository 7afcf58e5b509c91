"""Whole layers as a unit of pruning: those that change the stream least go, and what is left is a plain checkpoint.

A layer counts by its block influence (Men et al. 2024, ShortGPT, arXiv:2403.03853, equation 1): one less the mean cosine of
what enters it and what leaves it. `last` takes the layers before the last one (Gromov et al. 2024, arXiv:2403.17887, keep
that); `random` is the control. The first and the last layer stay. `shortened.json` in the folder says which others did.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit import progress
from edgekit.building import BuildError
from edgekit.catalog.models import Architecture
from edgekit.compress import checkpoint
from edgekit.compress.artifact import Artifact, require_plain
from edgekit.compress.calibration import Calibration
from edgekit.errors import unknown_name

if TYPE_CHECKING:
    import torch

SCORES = ("influence", "last", "random")
RECORD = "shortened.json"
LAYER = re.compile(r"(model\.layers\.)(\d+)(\..+)")
BATCH_TOKENS = 4096


def kept(a: Architecture, layers: float) -> int:
    """How many layers stay where the share `layers` goes: the nearest count. Raises BuildError for a share outside of [0, 1),
    or one that leaves fewer than two layers or takes none."""
    if isinstance(layers, bool) or not isinstance(layers, (int, float)) or not 0 <= layers < 1:
        raise BuildError(f"shortened: expected layers to be a share in [0, 1), got {layers!r}")
    stay = a.layers - round(layers * a.layers)
    if not 2 <= stay < a.layers:
        raise BuildError(f"shortened: layers={layers} of {a.layers} would leave {stay}; expected 2 to {a.layers - 1}: shares "
                         f"from {1 / a.layers:.3g} to {(a.layers - 2) / a.layers:.3g}")
    return stay


def left(a: Architecture, layers: float) -> Architecture:
    """The architecture that stays. Raises BuildError as `kept`."""
    return dataclasses.replace(a, layers=kept(a, layers))


def shortened_bytes(source: Artifact, *, layers: float, score: str = "influence", **_) -> int:
    """About what the artifact will take on disk, at most. Raises BuildError for arguments that cannot be."""
    require_plain("shortened", source)
    if score not in SCORES:
        raise BuildError("shortened: " + unknown_name("score", score, SCORES))
    if score == "influence" and source.spec.kind == "shape":
        raise BuildError(f"shortened: score=influence needs trained weights and {source.spec.name} has random ones; use "
                         "score=last or random")
    kept(source.spec.architecture, layers)
    return source.size_bytes() + (1 << 20)


def shorten(source: Artifact, folder: Path, *, layers: float, score: str = "influence", calibration: str = "mixture",
            samples: int = 32, length: int = 256, seed: int = 0) -> None:
    """Write `source` without the share `layers` of its layers into `folder`.

    calibration: a set whose `samples` sequences of `length` tokens give the influence by `seed`, which also draws `random`.
    Raises BuildError as `shortened_bytes`.
    """
    shortened_bytes(source, layers=layers, score=score)
    a = source.spec.architecture
    count = kept(a, layers)
    scores = _scores(source, score, calibration, samples, length, seed)
    stay = choose(scores, count)
    place = {old: new for new, old in enumerate(stay)}
    with checkpoint.Weights(source.path) as weights, checkpoint.ShardWriter(folder) as out:
        for name in weights:
            match = LAYER.fullmatch(name)
            if match and int(match[2]) not in place:
                continue
            weight = weights[name]
            out.add(f"{match[1]}{place[int(match[2])]}{match[3]}" if match else name, weight)
    config = checkpoint.read_config(source.path) | dict(num_hidden_layers=count)
    if kinds := config.get("layer_types"):
        config["layer_types"] = [kinds[old] for old in stay]
    checkpoint.write_beside(folder, config, source.path, dtype=str(weight.dtype).removeprefix("torch."))
    (folder / RECORD).write_text(json.dumps(dict(kept=stay, score=score, scores=np.asarray(scores).tolist())) + "\n",
                                 encoding="utf-8")


def choose(scores: Sequence[float], count: int) -> list[int]:
    """The `count` layers that stay, in their order: the first, the last, and of the rest those with the highest scores; of
    equals the earlier."""
    inner = sorted(range(1, len(scores) - 1), key=lambda i: (-scores[i], i))[:count - 2]
    return sorted([0, *inner, len(scores) - 1])


def _scores(source: Artifact, score: str, calibration: str, samples: int, length: int, seed: int) -> np.ndarray:
    a = source.spec.architecture
    if score == "last":
        return -np.arange(a.layers, dtype=float)
    if score == "random":
        return np.random.default_rng(seed).random(a.layers)
    import torch
    import transformers

    sequences = Calibration(calibration, samples, length, seed).sequences(source.spec.folder or source.path, a.vocabulary)
    model = transformers.AutoModelForCausalLM.from_pretrained(source.path, dtype=torch.float32, local_files_only=True).eval()
    return influence(model, sequences)


def influence(model: torch.nn.Module, sequences: Sequence[Sequence[int]]) -> np.ndarray:
    """Block influence of each layer: (layers,), 0 for a layer that turns nothing."""
    import torch

    layers = model.model.layers
    sums = np.zeros(len(layers))

    def listen(i: int):
        def hook(module, inputs, outputs):
            after = outputs[0] if isinstance(outputs, tuple) else outputs
            sums[i] += float(1 - torch.nn.functional.cosine_similarity(inputs[0], after, dim=-1).double().mean()) * len(after)

        return hook

    hooks = [layer.register_forward_hook(listen(i)) for i, layer in enumerate(layers)]
    ids = torch.tensor(sequences)
    try:
        with torch.inference_mode():
            for batch in ids.split(max(1, BATCH_TOKENS // ids.shape[1])):
                model(input_ids=batch, use_cache=False, logits_to_keep=1)
                progress.step()
    finally:
        for hook in hooks:
            hook.remove()
    return sums / len(ids)
