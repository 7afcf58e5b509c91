"""Chains of compression: which of pruning, learning and quantizing, in which order, as a variant and as coordinates of rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

NOTHING = "none"
PRUNE_FIRST, QUANTIZE_FIRST = "prune first", "quantize first"
# way to learn -> (what comes from the teacher, whether the texts' own cross-entropy has a share); see compress/distil.py
LEARNINGS = {
    "fine-tuning": ("none", True), "logits": ("logits", False), "logits and texts": ("logits", True),
    "teacher's texts": ("text", True), "teacher's logits and texts": ("both", True),
}


@dataclass(frozen=True, slots=True)
class Chain:
    """One way to make a model small. `student`: the model that it starts from; pruning: `heads/mlp`, the shares that go.

    A student other than the model itself starts from fresh weights. seed: draws calibration and training rows.
    """

    student: str
    pruning: str = NOTHING
    learning: str = NOTHING
    quantization: str = NOTHING
    order: str = PRUNE_FIRST
    seed: int = 0

    def condition(self) -> dict:
        return dict(student=self.student, pruning=self.pruning, learning=self.learning, quantization=self.quantization,
                    order=self.order, draw=self.seed)

    def text(self, config) -> str:
        """The variant, with the lengths and budgets of the study's `config`."""
        steps = [self.student]
        if self.order == QUANTIZE_FIRST:
            steps += [f"gguf_quantized(type={self.quantization})", "dequantized()"]
        if self.pruning != NOTHING:
            heads, mlp = shares(self.pruning)
            drawn = f"samples={config.samples}, length={config.length}, seed={self.seed}"
            steps.append(f"pruned(heads={heads}, mlp={mlp}, {drawn})")
        if self.learning != NOTHING:
            steps.append(self._learning(config))
        if self.quantization != NOTHING:
            steps.append(f"gguf_quantized(type={self.quantization})")
        return " > ".join(steps)

    def _learning(self, config) -> str:
        data, has_texts = LEARNINGS[self.learning]
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


def shares(pruning: str) -> tuple[float, float]:
    """The shares of heads and of MLP neurons that `heads/mlp` removes. Raises ValueError for another form."""
    heads, slash, mlp = pruning.partition("/")
    if not slash:
        raise ValueError(f"expected heads/mlp, two shares to remove, as 0.2/0.15; got {pruning!r}")
    return float(heads), float(mlp)


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
