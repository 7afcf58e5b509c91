"""Distillation and order: what brings back the quality of a pruned model, and which chain of steps keeps most at a tenth of the
bytes.

Every student learns on the same number of steps and tokens. Quality is measured against the whole model on dequantized weights
in the reference engine; sizes are those of the files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgekit.catalog import models
from edgekit.catalog.models import ModelError, ModelSpec
from edgekit.compress import calibration, distil, removal, training_texts
from edgekit.compress import variant as variants
from edgekit.params import require
from edgekit.schema import NONE, REFERENCE
from edgekit.studies.config import CALIBRATION_TEXTS, LossConfig, parameter, require_form, require_language, trained_for
from edgekit.studies.distillation.plan_chains import (
    CALIBRATION,
    LEARNINGS,
    LEAST_SQUARES,
    Chain,
    all_chains,
    learners,
    shares,
    way_of,
)
from edgekit.studies.needs import Held
from edgekit.studies.runner import Unit
from edgekit.studies.units import absent_unit, loss_unit, study_run

STUDY = "05_distillation"
VERSION = 1
TRAINED = 3  # copies of the weights while they learn: themselves, their gradients and Muon's momentum


@dataclass(frozen=True, slots=True)
class Config(LossConfig):
    """Parameters of the study. `threads` and `device` are those of training too."""

    model: str = parameter("the whole model, which is made small", each=trained_for("divergence"))
    teacher: str = parameter("the model that students learn from; by default the whole model", each=trained_for("divergence"))
    small_models: tuple[str, ...] = parameter("smaller architectures that start from fresh weights",
                                              each=trained_for("divergence"))
    prunings: tuple[str, ...] = parameter("shares removed, heads/MLP neurons; 0.2/0.15 is the paper's point", needed=1,
                                          each=lambda pruning: shares(pruning))
    learnings: tuple[str, ...] = parameter(f"how students learn: {', '.join(LEARNINGS)}", known=LEARNINGS)
    small_learnings: tuple[str, ...] = parameter("how students from fresh weights learn", known=LEARNINGS)
    seeds: tuple[int, ...] = parameter("draws of calibration and training rows; every chain is made anew for each", needed=1)
    calibration: str = parameter(CALIBRATION_TEXTS)
    samples: int = parameter("calibration sequences that pruning looks at")
    steps: int = parameter("optimizer steps of every training")
    tokens: int = parameter("of each step, in rows of `length`")
    length: int = parameter("of a row or a calibration sequence, in tokens")
    learning_rate: float = parameter("peak, for pruned students")
    fresh_learning_rate: float = parameter("peak, for fresh weights")
    temperature: float = parameter("by which both distributions are softened for learning from logits")
    mix: float = parameter("share of the loss on logits where texts have a share too, above 0 and below 1 (one loss alone has "
                           "its own name)", above=0, below=1)
    training_texts: str = parameter("training texts: mixture (pocket), python-docs, wikitext2, or a .jsonl or .txt file",
                                    each=training_texts.require_known)
    prompts: int = parameter("of these texts that the teacher continues, for learning from its own texts")
    quantizations: tuple[str, ...] = parameter("what chains end in: GGUF types, or the steps awq and gptq with bits and group "
                                               "in brackets", each=lambda quantization: way_of(quantization, 1, 0, CALIBRATION))
    chain_learning: str = parameter("how students learn in the search over chains; one of `learnings`", some_of="learnings")

    def check(self) -> None:
        LossConfig.check(self)
        require(LEAST_SQUARES not in self.small_learnings,
                f"small_learnings: {LEAST_SQUARES} fits what pruning left, and a small model starts from fresh weights")
        require_form(self.prompt_form, (self.model,))
        require_language((self.model, self.teacher, *self.small_models),
                         (self.stream, *self.tasks, self.calibration, self.training_texts))
        require(self.model not in self.small_models,
                f"small_models: {self.model} is the model itself; name smaller ones, which start from fresh weights")
        calibration.Calibration(self.calibration, self.samples, self.length, 0)
        for rate in (self.learning_rate, self.fresh_learning_rate):
            distil.Distillation("logits", self.steps, self.teacher, self.temperature, self.mix, rate, "source", self.tokens,
                                self.length, self.training_texts, self.prompts, 0, self.device)
        for heads, mlp in map(shares, self.prunings):
            if not models.is_hub_id(self.model):
                removal.kept(models.resolve(self.model).architecture, heads=heads, mlp=mlp, unit="heads", multiple=32)


def plan(config: Config) -> Iterator[Unit]:
    """All units, none of which is timed: every training first, so that the others find their students trained, then the losses
    of all chains."""
    config = config.with_threads()
    try:
        specs = {name: models.resolve(name) for name in (config.model, config.teacher, *config.small_models)}
    except ModelError as error:
        yield absent_unit(config, "loss", config.model, str(error))
        return
    for chain in (one for one in learners(config) if one.learning != LEAST_SQUARES):  # which has no curve
        text = chain.text(config)
        yield Unit(dict(task="training", model=config.model, **chain.condition(), **config.where), 0,
                   "edgekit.studies.distillation.jobs:measure_training", dict(chain=text, **config.where),
                   variants.content_hash(text), "", shared=True, first=True, variants=(text,), makes=True,
                   holds=((Held(chain.student, *REFERENCE, copies=TRAINED), Held(config.teacher, *REFERENCE)),))
    for chain in dict.fromkeys(all_chains(config)):
        yield _loss(config, chain, specs[chain.student])


run = study_run(STUDY, VERSION, plan)


def _loss(config: Config, chain: Chain, spec: ModelSpec) -> Unit:
    """A chain against the whole model, in the reference engine."""
    text = chain.text(config) + (variants.DEQUANTIZED if chain.quantization != NONE else "")
    return loss_unit(config, dict(model=config.model, **chain.condition()), text, base=config.model,
                     refusal=chain.refusal(config, spec))
