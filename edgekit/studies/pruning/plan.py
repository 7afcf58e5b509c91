"""Structured pruning: which heads and neurons can go, what that costs, and what it really saves.

Quality is that of the pruned model in the reference engine against the whole one, on the same texts and problems. What is saved
is counted from the sizes of the pruned model and measured with the clock on sliced models, whole and pruned in turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgekit.catalog.models import ModelSpec
from edgekit.compress import calibration, removal, saliency, shorten
from edgekit.compress import variant as variants
from edgekit.compress.pruning_spec import PruningSpec
from edgekit.params import require
from edgekit.schema import NONE, REFERENCE
from edgekit.studies.cells import FLOATS, Cell
from edgekit.studies.config import CALIBRATION_TEXTS, LossConfig, cell_with, known_model, parameter, trained_for
from edgekit.studies.needs import Held
from edgekit.studies.pruning.plan_grid import ablations, compared, sweep, whole_layers
from edgekit.studies.runner import Unit, task_hash
from edgekit.studies.units import LOSS, absent_unit, loss_unit, resolved, speed_unit, study_run, timed_unit

STUDY = "04_pruning"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Config(LossConfig):
    """Parameters of the study."""

    models: tuple[str, ...] = parameter("models with trained weights, which are pruned and compared", needed=1,
                                        each=trained_for("divergence"))
    heads: float = parameter("the point: share of every layer's attention heads that is to go, [0, 1)",
                             each=lambda share: removal.require_ratio("heads", share))
    mlp: float = parameter("the point: share of every layer's MLP neurons that is to go, [0, 1)",
                           each=lambda share: removal.require_ratio("mlp", share))
    multiple: int = parameter("kept widths are a multiple of it, so that later steps can group them", least=1)
    scores: tuple[str, ...] = parameter(f"what is compared at the point: any of {', '.join(saliency.METHODS)}", needed=1,
                                        known=saliency.METHODS)
    calibration: str = parameter(CALIBRATION_TEXTS)
    samples: int = parameter("calibration sequences")
    length: int = parameter("of each sequence, in tokens")
    calibration_seeds: tuple[int, ...] = parameter("draws of the calibration sequences; each is pruned anew", needed=1)
    random_seeds: tuple[int, ...] = parameter("draws of the random scores")
    ablated_models: tuple[str, ...] = parameter("models that are also pruned with all layers ranked together, and in rounds",
                                                some_of="models")
    ablated_scores: tuple[str, ...] = parameter("scores for that, of those that need calibration", known=saliency.RUNNING)
    ablated_rounds: tuple[int, ...] = parameter("how often to score and remove a part, more than 1 each", above=1)
    sweep_models: tuple[str, ...] = parameter("models that are pruned by every share of heads with every share of neurons",
                                              some_of="models")
    sweep_score: str = parameter("score for that, with the first calibration seed", known=saliency.RUNNING)
    sweep_heads: tuple[float, ...] = parameter("shares of heads of the sweep, [0, 1)",
                                               each=lambda share: removal.require_ratio("heads", share))
    sweep_mlp: tuple[float, ...] = parameter("shares of neurons of the sweep, [0, 1)",
                                             each=lambda share: removal.require_ratio("mlp", share))
    dropped_layers: tuple[float, ...] = parameter("shares of whole layers that go, alone, of every model, above 0 to 1",
                                                  above=0, below=1)
    layer_scores: tuple[str, ...] = parameter(f"what layers go by: any of {', '.join(shorten.SCORES)}", known=shorten.SCORES)
    ranking_models: tuple[str, ...] = parameter("models for which the ranking is made from fewer sequences", some_of="models")
    ranking_scores: tuple[str, ...] = parameter("scores for that, of those that need calibration", known=saliency.RUNNING)
    ranking_samples: tuple[int, ...] = parameter("numbers of sequences that are compared")
    ranking_most: int = parameter("number of other sequences that each is compared with", least=1)
    counted_models: tuple[str, ...] = parameter("further models whose work is counted and nothing measured", each=known_model)
    speed_models: tuple[str, ...] = parameter("models and shapes that are timed, whole and pruned at the point",
                                              each=known_model)
    speed_cells: tuple[str, ...] = parameter("engine/dtype for them", each=cell_with(FLOATS))
    prompt_tokens: tuple[int, ...] = parameter("prompt lengths, in tokens", least=1, needed=1)
    output_tokens: int = parameter("output length, in tokens, at least 2 (TPOT needs a second token)", least=2)
    batch_cells: tuple[str, ...] = parameter("those of speed_cells that are also timed with several prompts at once",
                                             some_of="speed_cells")
    batches: tuple[int, ...] = parameter("numbers of prompts at once for them, more than 1 each (1 is timed anyway)", above=1)
    repeats: int = parameter("processes per model and cell, in shuffled order", least=1)
    warmups: int = parameter("most warm-up streams before a measurement; fewer where the spread settles", least=1)

    def check(self) -> None:
        LossConfig.check(self)
        self.require_judged(self.models, self.calibration)
        require("random" not in self.scores or bool(self.random_seeds), "random_seeds: expected at least one for random scores")
        require(self.heads > 0 or self.mlp > 0, "heads, mlp: expected at least one above 0: the point where something goes")
        require(bool(self.dropped_layers) == bool(self.layer_scores), "dropped_layers, layer_scores: expected both or none")
        require(bool(self.ranking_samples) or not self.ranking_models, "ranking_samples: expected at least one")
        require(bool(self.batches) == bool(self.batch_cells), "batch_cells, batches: expected both or none of them")
        calibration.Calibration(self.calibration, self.samples, self.length, 0)


def plan(config: Config) -> Iterator[Unit]:
    """All units: losses by way to prune, rankings by calibration size, sizes, and speed of whole and pruned models in turn."""
    config = config.with_threads()
    specs, absent = resolved((*config.models, *config.counted_models, *config.speed_models))
    for name, reason in absent.items():
        yield absent_unit(config, "loss", name, reason)
    for spec in (specs[name] for name in config.models if name in specs):
        cuts = [PruningSpec(NONE, 0, 0), *compared(config), *whole_layers(config)]
        cuts += ablations(config) if spec.name in config.ablated_models else ()
        cuts += sweep(config) if spec.name in config.sweep_models else ()
        for cut in dict.fromkeys(cuts):
            yield _loss(config, spec, cut)
        for seed in config.calibration_seeds if spec.name in config.ranking_models else ():
            yield _ranking(config, spec, seed)
    # speed and sizes do not depend on which units go
    point = PruningSpec("random", config.heads, config.mlp, calibration_seed=0)
    for spec in specs.values():
        for cut in (PruningSpec(NONE, 0, 0), point):
            yield _sizes(config, spec, cut)
    timed = [specs[name] for name in config.speed_models if name in specs]
    for repeat in range(config.repeats):
        for spec in timed:
            for cut in (PruningSpec(NONE, 0, 0), point):
                for cell in config.speed_cells:
                    yield _speed(config, spec, cut, cell, repeat)
                for cell in config.batch_cells:
                    yield _batches(config, spec, cut, cell, repeat)


run = study_run(STUDY, VERSION, plan)


def _loss(config: Config, spec: ModelSpec, cut: PruningSpec) -> Unit:
    """A pruned model against the whole one in the reference engine."""
    chain = cut.chain(spec.name, config.length, config.multiple)
    return loss_unit(config, dict(model=spec.name, **cut.condition()), chain, base=spec.name,
                     refusal=cut.refusal(spec, config.multiple),
                     job=LOSS if cut.score == NONE or cut.layers is not None else "edgekit.studies.pruning.jobs:measure_pruned")


def _ranking(config: Config, spec: ModelSpec, seed: int) -> Unit:
    work = dict(scores=list(config.ranking_scores), samples=list(config.ranking_samples), most=config.ranking_most,
                calibration=config.calibration, length=config.length, seed=seed)
    drawn = calibration.Calibration(config.calibration, config.ranking_most, config.length, seed)
    where = config.where
    return Unit(dict(task="ranking", model=spec.name, calibration=config.calibration, calibration_seed=seed, **where), 0,
                "edgekit.studies.pruning.jobs:measure_ranking", dict(model=spec.name, **where, **work),
                variants.content_hash(spec.name), task_hash({**work, "drawn": drawn.hash}), shared=True, variants=(spec.name,),
                holds=((Held(spec.name, *REFERENCE, copies=2),),))  # weights and their gradients


def _sizes(config: Config, spec: ModelSpec, cut: PruningSpec) -> Unit:
    work = dict(heads=cut.heads, mlp=cut.mlp, multiple=config.multiple)
    condition = dict(task="shape", model=spec.name, heads=cut.heads, mlp=cut.mlp, **config.where)
    return Unit(condition, 0, "edgekit.studies.pruning.jobs:measure_shape", dict(model=spec.name, **work), spec.identity,
                task_hash(work), cut.refusal(spec, config.multiple), shared=True)


def _speed(config: Config, spec: ModelSpec, cut: PruningSpec, cell: str, repeat: int) -> Unit:
    condition, chain, of = _cell(config, spec, cut, cell)
    return speed_unit(config, condition, chain, {length: [config.output_tokens] for length in config.prompt_tokens}, repeat,
                      **of)


def _batches(config: Config, spec: ModelSpec, cut: PruningSpec, cell: str, repeat: int) -> Unit:
    condition, chain, of = _cell(config, spec, cut, cell)
    work = dict(batches=list(config.batches), prompt_tokens=list(config.prompt_tokens), output_tokens=config.output_tokens,
                seed=config.seed)
    most = max(config.batches)
    return timed_unit(config, dict(task="batches", **condition), chain, "edgekit.measure.batches:measure_batches", work, repeat,
                      tokens=most * (max(config.prompt_tokens) + config.output_tokens), texts=most, **of)


def _cell(config: Config, spec: ModelSpec, cut: PruningSpec, cell: str) -> tuple[dict, str, dict]:
    """(condition, variant, {engine, dtype, refusal, impossible}) of a whole or pruned model in a cell."""
    of = Cell.parse(cell, FLOATS)
    chain = of.chain(cut.chain(spec.name, config.length, config.multiple))
    return (dict(model=spec.name, heads=cut.heads, mlp=cut.mlp), chain,
            dict(engine=of.engine, dtype=of.weights, refusal=of.refusal(chain), impossible=cut.refusal(spec, config.multiple)))
