"""The stages of a pipeline: which techniques are used together, in which engine and on which weights, as variants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgekit import engines
from edgekit.catalog import models
from edgekit.compress import variant as variants
from edgekit.params import ParamsError
from edgekit.schema import BITS, LOOKUP, NONE, PRUNING, RUNTIME, techniques
from edgekit.studies.cells import PACKED, Cell

# How a pruned model is retrained: see compress/refit.py and distil.py
LEAST_SQUARES, LOGITS = HEALINGS = ("least squares", "logits")


@dataclass(frozen=True, slots=True)
class Stage:
    """One way to run the model. used: which of RUNTIME, BITS and PRUNING it has; drafting comes on top of each.

    cell: its engine and weights.
    """

    used: tuple[str, ...]
    cell: Cell

    def condition(self, config) -> dict:
        """Its coordinates."""
        pruned = dict(pruning=config.pruning, learning=config.healing) if PRUNING in self.used else dict(pruning=NONE)
        return dict(model=config.model, techniques=techniques(self.used), weights=self.cell.weights, **pruned)

    def chain(self, config) -> str:
        """The variant that its engine loads."""
        pruning = config.pruning if PRUNING in self.used else NONE
        return self.cell.chain(shaped(config, pruning, BITS in self.used), config.group)

    def where(self, config) -> dict:
        """Engine and float type (or GGUF type), and why this machine cannot run it; None where it can."""
        return dict(engine=self.cell.engine, dtype=self.cell.dtype(config.activations),
                    refusal=self.cell.refusal(self.chain(config)))


def drafting(config, stage: Stage) -> list[tuple[str, str]]:
    """(name, variant or "lookup") of what drafts for a stage: in the baseline's runtime in the stage's own float type, in the
    fast one in `draft_weights`. None where the engine cannot take tokens back."""
    if engines.no_rollback(stage.cell.engine):
        return []
    own = Cell(stage.cell.engine, config.draft_weights) if RUNTIME in stage.used else None
    return [(name, LOOKUP if name == LOOKUP else own.chain(name) if own else name) for name in config.drafts]


def stages(config) -> Iterator[Stage]:
    """Every stage without drafting: the baseline's cells and the fast runtime's, plain and in few bits, whole and pruned."""
    cells = [((), Cell.parse(text)) for text in config.baseline_cells]
    if config.packed != NONE:
        cells.append(((BITS,), Cell(cells[0][1].engine, config.packed)))
    cells += [((RUNTIME,), Cell.parse(config.fast_cell)), ((RUNTIME, BITS), Cell.parse(config.quantized_cell))]
    for used, cell in cells:
        yield Stage(used, cell)
        yield Stage((*used, PRUNING), cell)


def shaped(config, pruning: str, rounded: bool) -> str:
    """The model, pruned (`heads/mlp`, or NONE) and then retrained. One whose weights came rounded is taken off their grid
    before it is made small, so that neither rounding nor what retraining leaves alone finds the grid that it came from."""
    made = pruning != NONE or rounded
    start = variants.to_round(config.model) if made and not models.is_hub_id(config.model) else config.model
    if pruning == NONE:
        return start
    heads, mlp = shares(pruning)
    drawn = f"calibration={config.calibration}, samples={config.samples}, length={config.length}, seed={config.seed}"
    return f"{start} > pruned(heads={heads}, mlp={mlp}, {drawn}) > {_healing(config, drawn)}"


def _healing(config, drawn: str) -> str:
    if config.healing == LEAST_SQUARES:
        return f"refitted(whole={config.model}, {drawn})"
    return (f"distilled(data=logits, steps={config.steps}, tokens={config.tokens}, length={config.length}, "
            f"texts={config.training_texts}, seed={config.seed}, device={config.device}, teacher={config.model}, "
            f"temperature={config.temperature}, mix=1.0, learning_rate={config.learning_rate})")


def shares(pruning: str) -> tuple[float, float]:
    """The shares of heads and of MLP neurons that `heads/mlp` removes. Raises ParamsError for another form."""
    heads, _, mlp = pruning.partition("/")
    try:
        return float(heads), float(mlp)
    except ValueError as error:
        raise ParamsError(f"expected heads/mlp, two shares to remove, as 0.2/0.15; got {pruning!r}") from error


def packed_kinds() -> tuple[str, ...]:
    """What `packed` may be."""
    return (*PACKED, NONE)
