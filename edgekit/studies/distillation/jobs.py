"""What 05_distillation measures beside losses: how a training went."""

from __future__ import annotations

import json

from edgekit.compress import distil
from edgekit.compress import variant as variants
from edgekit.measure.losses import marked, size_of


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
    return dict(observations=[*marked("training", seen), *size_of(artifact)])
