"""Which prunings 04_pruning compares: every score at one point, variations of scoring, and a sweep of the shares."""

from __future__ import annotations

from collections.abc import Iterator

from edgekit.compress.pruning_spec import INFLUENCE, PruningSpec
from edgekit.compress.saliency import RUNNING


def point(config, score: str, seed: int, **changed) -> PruningSpec:
    """The point (`config.heads`, `config.mlp`) by a score, from sequences drawn by `seed`."""
    drawn = dict(calibration_seed=seed) if score in RUNNING or score == "random" else {}
    if score in RUNNING:
        drawn |= dict(calibration=config.calibration, samples=config.samples, rounds=1, allocation="uniform")
    return PruningSpec(**dict(score=score, heads=config.heads, mlp=config.mlp) | drawn | changed)


def compared(config) -> Iterator[PruningSpec]:
    """Every score at the point, once for each of its seeds."""
    for score in config.scores:
        seeds = config.calibration_seeds if score in RUNNING else config.random_seeds if score == "random" else (0,)
        yield from (point(config, score, seed) for seed in seeds)


def whole_layers(config) -> Iterator[PruningSpec]:
    """Shares of whole layers, by each score of layers; no heads or neurons go."""
    for share in config.dropped_layers:
        for score in config.layer_scores:
            drawn = dict(calibration_seed=config.calibration_seeds[0]) if score != "last" else {}
            if score == INFLUENCE:
                drawn |= dict(calibration=config.calibration, samples=config.samples)
            yield PruningSpec(score, 0.0, 0.0, layers=share, **drawn)


def ablations(config) -> Iterator[PruningSpec]:
    """The point, with units of all layers ranked together, and scored anew in several rounds; for every calibration seed."""
    for score in config.ablated_scores:
        for seed in config.calibration_seeds:
            yield point(config, score, seed, allocation="global")
            yield from (point(config, score, seed, rounds=rounds) for rounds in config.ablated_rounds)


def sweep(config) -> Iterator[PruningSpec]:
    """Every share of heads with every share of neurons by one score and the first seed, but not nothing of both."""
    for heads in config.sweep_heads:
        for mlp in config.sweep_mlp:
            if heads or mlp:
                yield point(config, config.sweep_score, config.calibration_seeds[0], heads=heads, mlp=mlp)
