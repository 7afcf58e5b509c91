"""The jobs of the pruning study: what a pruned model lost, what is left of it, and how many sequences its ranking needs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np

from edgekit.building import BuildError
from edgekit.catalog import models
from edgekit.catalog.models import Architecture
from edgekit.compress import prune, removal, saliency
from edgekit.compress import variant as variants
from edgekit.compress.calibration import Calibration
from edgekit.measure.losses import measure_loss

COUNTS = ("layers", "width", "heads", "kv_heads", "head_dim", "mlp_width", "vocabulary", "context")
SOME = ("attention_bias", "mlp_bias", "window", "window_period")  # that few have


def measure_pruned(*, chain: str, **arguments) -> dict:
    """A worker's job: `measure_loss` of a pruned variant against the whole model, and what it kept.

    Observations of `task` kept: `kept_share` (0 to 1) by layer and unit (heads or neurons), from its pruning.json.
    """
    answer = measure_loss(chain=chain, **arguments)
    artifact = variants.build(chain)
    record = json.loads((artifact.path / prune.RECORD).read_text(encoding="utf-8"))
    whole = models.resolve(variants.parse(chain).model).architecture
    for unit, count in (("heads", whole.heads), ("neurons", whole.mlp_width)):
        answer["observations"] += [dict(task="kept", metric="kept_share", value=len(kept) / count, unit=unit, layer=layer)
                                   for layer, kept in enumerate(record[unit])]
    return answer


def measure_shape(*, model: str, heads: float, mlp: float, multiple: int) -> dict:
    """A worker's job: the `sizes` of a model without the shares `heads` and `mlp` (whole at 0), counted and not built.

    Raises BuildError for shares that no checkpoint can carry.
    """
    a = models.resolve(model).architecture
    kept = removal.kept(a, heads=heads, mlp=mlp, unit="heads", multiple=multiple)
    return dict(observations=list(sizes(removal.pruned_architecture(a, kept))))


def sizes(a: Architecture) -> Iterator[dict]:
    """An architecture as observations `size`, a `part` each (`tied` and biases are 0 or 1; what it has none of, of biases and
    windows, is left out); its `family` stands beside each."""
    for part in (*COUNTS, "tied", *(part for part in SOME if getattr(a, part))):
        yield dict(metric="size", part=part, value=int(getattr(a, part)), family=a.family)


def measure_ranking(*, model: str, scores: list[str], samples: list[int], most: int, calibration: str, length: int, seed: int,
                    threads: int, device: str) -> dict:
    """A worker's job: how like the ranking by n sequences is to that by `most` others of the same draw, for each of `samples`.

    Observations `rank_correlation` (Spearman's, -1 to 1) by score, samples, unit (heads or neurons) and layer: a layer is what
    units are ranked within. The two sets share no sequence, so that none is compared with itself. Raises BuildError where the
    calibration set has too few sequences.
    """
    import torch
    import transformers

    torch.set_num_threads(threads)
    artifact = variants.build(model)
    a = artifact.spec.architecture
    drawn = Calibration(calibration, most + max(samples), length, seed).sequences(artifact.spec.folder, a.vocabulary)
    loaded = transformers.AutoModelForCausalLM.from_pretrained(artifact.path, dtype=torch.float32, local_files_only=True).eval()
    seen = []
    for score in scores:
        settled = saliency.of_model(loaded, drawn[:most], score)
        for n in samples:
            found = saliency.of_model(loaded, drawn[most:most + n], score)
            for unit in ("heads", "neurons"):
                seen += [dict(metric="rank_correlation", value=value, score=score, samples=n, unit=unit, layer=layer)
                         for layer, value in enumerate(rank_correlations(getattr(found, unit), getattr(settled, unit)))]
    return dict(observations=seen)


def rank_correlations(a: Sequence[Sequence[float]], b: Sequence[Sequence[float]]) -> list[float]:
    """Spearman's correlation of each row of `a` with that of `b`. Raises BuildError where all of a row are equal."""
    from scipy.stats import spearmanr

    found = []
    for layer, (one, other) in enumerate(zip(np.asarray(a), np.asarray(b), strict=True)):
        if np.ptp(one) == 0 or np.ptp(other) == 0:
            raise BuildError(f"layer {layer}: all {len(one)} units have the same score, which gives no ranking to compare; "
                             "leave this model or score out")
        found.append(float(spearmanr(one, other).statistic))
    return found
