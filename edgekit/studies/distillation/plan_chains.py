"""Chains of compression: which of pruning, learning and quantizing, in which order, as a variant and as coordinates of rows."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass

from edgekit.building import BuildError
from edgekit.catalog.models import Architecture, ModelSpec
from edgekit.compress import gguf_quantize, removal
from edgekit.compress import variant as variants
from edgekit.compress.quantization_spec import BITS, QuantizationSpec
from edgekit.errors import unknown_name
from edgekit.params import ParamsError
from edgekit.schema import NONE, PRUNE_FIRST, QUANTIZE_FIRST

CALIBRATED = re.compile(r"(awq|gptq)\(bits=(\d+), group=(\d+)\)")  # a quantization that is no GGUF type
CALIBRATION = "mixture"  # what a step looks at that names no set
LEAST_SQUARES, REFIT = "least squares", "refit"  # in closed form, without an optimizer: see compress/refit.py
# way to learn -> (what comes from the teacher, whether the texts' own cross-entropy has a share); see compress/distil.py
LEARNINGS = {
    "fine-tuning": ("none", True), "logits": ("logits", False), "logits and texts": ("logits", True),
    "teacher's texts": ("text", True), "teacher's logits and texts": ("both", True), LEAST_SQUARES: (REFIT, False),
}


@dataclass(frozen=True, slots=True)
class Chain:
    """One way to make a model small. `student`: the model that it starts from; pruning: `heads/mlp`, the shares that go.

    A student other than the model itself starts from fresh weights. seed: draws calibration and training rows.
    """

    student: str
    pruning: str = NONE
    learning: str = NONE
    quantization: str = NONE
    order: str = PRUNE_FIRST
    seed: int = 0

    def condition(self) -> dict:
        return dict(student=self.student, pruning=self.pruning, learning=self.learning, quantization=self.quantization,
                    order=self.order, draw=self.seed)

    def text(self, config) -> str:
        """The variant, with the lengths and budgets of the study's `config`."""
        plain = self.quantization == NONE or self.learning != NONE  # training moves every weight
        steps = [self.student if plain else variants.to_round(self.student)]
        if self.order == QUANTIZE_FIRST:
            steps += [self._way(config).step(config.length), "dequantized()"]
        if self.pruning != NONE:
            heads, mlp = shares(self.pruning)
            drawn = f"samples={config.samples}, length={config.length}, seed={self.seed}"
            if config.calibration != CALIBRATION:
                drawn += f", calibration={config.calibration}"
            steps.append(f"pruned(heads={heads}, mlp={mlp}, {drawn})")
        if self.learning != NONE:
            steps.append(self._learning(config))
        if self.quantization != NONE:
            steps.append(self._way(config).step(config.length))
        return " > ".join(steps)

    def refusal(self, config, spec: ModelSpec) -> str | None:
        """Why the student, whose `spec` is given, cannot be quantized so, with the pruning that would do; None where it can."""
        if self.quantization == NONE:
            return None
        way, whole = self._way(config), spec.architecture
        if self.pruning == NONE:
            return way.refusal(spec)
        if self.order == QUANTIZE_FIRST and (said := way.refusal(spec)):
            return said
        left = dataclasses.replace(spec, name=f"{spec.name} pruned by {self.pruning}",
                                   architecture=_pruned(whole, self.pruning, 32))
        said = way.refusal(left)
        if said is None or way.bits not in BITS[way.method]:
            return said
        try:
            near = _pruned(whole, self.pruning, way.group)
        except BuildError as error:
            return f"{said}; {error}"
        if way.refusal(dataclasses.replace(spec, architecture=near)):
            return said
        return f"{said}; a pruning that would do: {1 - near.heads / whole.heads:.3g}/{1 - near.mlp_width / whole.mlp_width:.3g}"

    def _way(self, config) -> QuantizationSpec:
        return way_of(self.quantization, config.samples, self.seed, config.calibration)

    def _learning(self, config) -> str:
        data, has_texts = LEARNINGS[self.learning]
        if data == REFIT:
            return (f"refitted(whole={config.model}, calibration={config.calibration}, samples={config.samples}, "
                    f"length={config.length}, seed={self.seed})")
        told = [f"data={data}", f"steps={config.steps}", f"tokens={config.tokens}", f"length={config.length}",
                f"texts={config.training_texts}", f"seed={self.seed}", f"device={config.device}"]
        if data != "none":
            told.append(f"teacher={config.teacher}")
        if data in ("logits", "both"):
            told += [f"temperature={config.temperature}", f"mix={config.mix if has_texts else 1.0}"]
        if data in ("text", "both"):
            told.append(f"prompts={config.prompts}")
        fresh = self.student != config.model
        told.append(f"learning_rate={config.fresh_learning_rate if fresh else config.learning_rate}")
        return f"distilled({', '.join([*told, *(['init=scratch'] if fresh else [])])})"


def way_of(quantization: str, samples: int, seed: int, calibration: str) -> QuantizationSpec:
    """How a name of `quantizations` stores weights: a GGUF type, or `awq(bits=4, group=32)` or `gptq(…)`, calibrated on
    `samples` sequences of a set drawn by `seed`. Raises ParamsError for another."""
    if quantization in gguf_quantize.TYPES:
        return QuantizationSpec("gguf", type=quantization)
    found = CALIBRATED.fullmatch(quantization)
    if not found:
        raise ParamsError("quantizations: " + unknown_name("", quantization, gguf_quantize.TYPES,
                         ", and awq(bits=4, group=32) or gptq(bits=4, group=32), with other numbers too"))
    return QuantizationSpec(found[1], int(found[2]), int(found[3]), calibration=calibration, samples=samples,
                            calibration_seed=seed, search="all")


def _pruned(a: Architecture, pruning: str, multiple: int) -> Architecture:
    """What `heads/mlp` leaves of `a`, in widths that are multiples of `multiple`. Raises BuildError as removal.kept."""
    heads, mlp = shares(pruning)
    return removal.pruned_architecture(a, removal.kept(a, heads=heads, mlp=mlp, unit="heads", multiple=multiple))


def shares(pruning: str) -> tuple[float, float]:
    """The shares of heads and of MLP neurons that `heads/mlp` removes. Raises ParamsError for another form."""
    heads, _, mlp = pruning.partition("/")
    try:
        return float(heads), float(mlp)
    except ValueError as error:
        raise ParamsError(f"expected heads/mlp, two shares to remove, as 0.2/0.15; got {pruning!r}") from error


def learners(config) -> Iterator[Chain]:
    """Every student in every way of learning, on one budget, for every seed: the pruned model, and small ones from fresh
    weights, which learn from texts and from logits."""
    for seed in config.seeds:
        for learning in config.learnings:
            yield from (Chain(config.model, pruning, learning, seed=seed) for pruning in config.prunings)
        for small in config.small_models:
            yield from (Chain(small, learning=learning, seed=seed) for learning in config.small_learnings)


def all_chains(config) -> Iterator[Chain]:
    """The whole model, what is pruned alone, the learners, both orders of pruning and quantizing, and the search: each student
    before and after `chain_learning`, in each quantization."""
    yield Chain(config.model)
    yield from (Chain(config.model, pruning, seed=seed) for seed in config.seeds for pruning in config.prunings)
    yield from learners(config)
    first = config.seeds[0]
    for quantization in config.quantizations:
        yield Chain(config.model, quantization=quantization)
        for pruning in config.prunings:
            for seed in config.seeds:
                yield from (Chain(config.model, pruning, quantization=quantization, order=order, seed=seed)
                            for order in (PRUNE_FIRST, QUANTIZE_FIRST))
            if config.chain_learning in config.learnings:
                yield Chain(config.model, pruning, config.chain_learning, quantization, seed=first)
        if config.chain_learning in config.small_learnings:
            yield from (Chain(small, learning=config.chain_learning, quantization=quantization, seed=first)
                        for small in config.small_models)
