"""The pipeline: what a faster runtime, fewer bits, pruning and drafting give together, stage by stage.

Every stage runs the same prompts for the same numbers of tokens, each in a process of its own in which plain decoding and
drafting take turns; its losses are measured apart, on the same texts and problems.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from edgekit.catalog import prompts as catalog
from edgekit.compress import calibration, training_texts
from edgekit.params import require
from edgekit.schema import BITS, LOOKUP, NONE, RUNTIME, techniques
from edgekit.studies.cells import FLOATS, UNPACKED, Cell
from edgekit.studies.config import (
    CALIBRATION_TEXTS,
    LossConfig,
    cell_with,
    known_model,
    parameter,
    require_language,
    trained_for,
)
from edgekit.studies.pipeline import plan_search
from edgekit.studies.pipeline.plan_search import ORDERS
from edgekit.studies.pipeline.plan_stages import HEALINGS, packed_kinds, shares, stages
from edgekit.studies.pipeline.plan_units import answer_units, stage_units
from edgekit.studies.runner import Unit
from edgekit.studies.units import absent_unit, growing_run, loss_unit, no_sensor, resolved, speed_unit

STUDY = "07_pipeline"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Config(LossConfig):
    """Parameters of the study."""

    model: str = parameter("the model that is made fast", each=trained_for("divergence"))
    baseline_cells: tuple[str, ...] = parameter("engine/float types of the baseline, one of them in 16 bits; gains are over "
                                                "the fastest", needed=1, each=cell_with(FLOATS))
    packed: str = parameter("format of the baseline's runtime with 4 bits: awq or gptq, or none, where runtime and bits are "
                            "told together", known=packed_kinds())
    group: int = parameter("weights that share a scale in that format", least=1)
    activations: Literal["bfloat16", "float16", "float32"] = parameter("float type beside its weights: bfloat16, float16, "
                                                                       "float32")
    fast_cell: str = parameter("engine/float type of the same weights in the fast runtime", each=cell_with(FLOATS))
    quantized_cell: str = parameter("engine/weights of the quantized stage there", each=cell_with())
    pruning: str = parameter("shares removed, heads/MLP neurons; 0.2/0.15 is the paper's point", each=lambda one: shares(one))
    healing: str = parameter(f"how the pruned model is retrained: {' or '.join(HEALINGS)}", known=HEALINGS)
    calibration: str = parameter(CALIBRATION_TEXTS)
    samples: int = parameter("calibration sequences")
    length: int = parameter("of each sequence, or of a row of training, in tokens", least=2)
    steps: int = parameter("optimizer steps of retraining from logits", least=1)
    tokens: int = parameter("of each step, in rows of `length`", least=1)
    learning_rate: float = parameter("peak", above=0)
    temperature: float = parameter("by which both distributions are softened for learning from logits", above=0)
    training_texts: str = parameter("training texts: mixture (pocket), python-docs, wikitext2, or a .jsonl or .txt file",
                                    each=training_texts.require_known)
    drafts: tuple[str, ...] = parameter(f"what drafts, smallest first: trained models, {LOOKUP}",
                                        each=lambda name: name == LOOKUP or trained_for("acceptance")(name))
    draft_weights: str = parameter("weights of drafts in the fast runtime: a float or GGUF type", known=UNPACKED)
    draft_lengths: tuple[int, ...] = parameter("drafted tokens in a block", least=1)
    domains: tuple[str, ...] = parameter("what the prompts are about: sets of prompts by name, or a .jsonl file", needed=1,
                                         each=catalog.require_known)
    prompts: int = parameter("prompts of each domain", least=1)
    output_tokens: int = parameter("tokens that are written after each prompt, whatever they are, at least 2", least=2)
    first_token_models: tuple[str, ...] = parameter("models whose first token is timed, in the quantized cell",
                                                    each=known_model)
    first_token_prompt: int = parameter("prompt length for it, in tokens", least=1)
    assumed_changed: float = parameter("share of answers that compression is assumed to change, for how many items it takes",
                                       above=0, below=1)
    repeats: int = parameter("processes for each stage, in shuffled order", least=1)
    warmups: int = parameter("most warm-up streams before a first token is timed; fewer where the spread settles", least=1)
    search_weights: tuple[str, ...] = parameter("weights that the search tries in the fast runtime: GGUF types, and its float "
                                                "type; none: no search", known=UNPACKED)
    search_prunings: tuple[str, ...] = parameter("shares removed that it tries beside none, heads/MLP neurons",
                                                 each=lambda one: shares(one))
    search_orders: tuple[str, ...] = parameter(f"order of pruning and rounding: {', '.join(ORDERS)}", known=ORDERS)
    search_drafts: tuple[str, ...] = parameter(f"what drafts in it beside nothing: trained models, {LOOKUP}",
                                               each=lambda name: name == LOOKUP or trained_for("acceptance")(name))
    search_lengths: tuple[int, ...] = parameter("drafted tokens in a block of these", least=1)
    search_items: tuple[int, ...] = parameter("problems of each depth, a number a rung: all variants on the first, the better "
                                              "half on each next", least=1)
    search_prompts: tuple[int, ...] = parameter("prompts of each domain, a number a rung", least=1)
    search_limits_s: tuple[float, ...] = parameter("longest time of one evaluation on each rung, with what is built for it, in "
                                                   "seconds", above=0)
    search_budget_s: float = parameter("time of all evaluations together, in seconds; none begins that might pass it", above=0)

    def check(self) -> None:
        LossConfig.check(self)
        self.require_judged((self.model,), self.calibration)
        drafting = [name for name in self.drafts if name != LOOKUP]
        require_language((self.model, *drafting), (*self.domains, self.training_texts))
        calibration.Calibration(self.calibration, self.samples, self.length, 0)
        cells = [Cell.parse(text) for text in self.baseline_cells]
        require(len({cell.engine for cell in cells}) == 1,
                f"baseline_cells: expected cells of one engine, got {self.baseline_cells}")
        require(any(cell.weights != "float32" for cell in cells),
                f"baseline_cells: expected one in 16 bits, as the paper's, got {self.baseline_cells}")
        fast, quantized = Cell.parse(self.fast_cell), Cell.parse(self.quantized_cell)
        require(fast.engine == quantized.engine != cells[0].engine,
                f"fast_cell, quantized_cell: expected one engine, another than {cells[0].engine}, got {fast.engine} and "
                f"{quantized.engine}")
        Cell.parse(f"{fast.engine}/{self.draft_weights}", UNPACKED)
        require(bool(self.drafts) == bool(self.draft_lengths), "drafts, draft_lengths: expected both or none of them")
        require_language((self.model, *(name for name in self.search_drafts if name != LOOKUP)), self.domains)
        plan_search.check(self)


def plan(config: Config) -> Iterator[Unit]:
    """All units: times and energy of every stage, first tokens of other models, answers and losses. A model that cannot be had
    is told once."""
    config = config.with_threads()
    names = (config.model, *config.drafts, *config.search_drafts, *config.first_token_models)
    _, absent = resolved(name for name in names if name != LOOKUP)
    for name, reason in absent.items():
        yield absent_unit(config, "stages", name, reason)
    found = [] if {config.model, *config.drafts} & set(absent) else list(stages(config))
    blind = no_sensor(config)
    if blind:
        yield blind
    for stage in found:
        yield from stage_units(config, stage, bool(blind))
        yield from answer_units(config, stage)
        yield loss_unit(config, stage.condition(config), stage.chain(config), base=config.model, asks=False,
                        **stage.where(config))
    quantized = Cell.parse(config.quantized_cell)
    for name in config.first_token_models:
        if name not in absent:
            chain = quantized.chain(name, config.group)
            condition = dict(model=name, techniques=techniques((RUNTIME, BITS)), weights=quantized.weights, draft=NONE)
            for repeat in range(config.repeats):
                yield speed_unit(config, condition, chain, {config.first_token_prompt: [2]}, repeat, engine=quantized.engine,
                                 dtype=quantized.dtype(config.activations), refusal=quantized.refusal(chain))
    if not {config.model, *config.search_drafts} & set(absent):
        yield from plan_search.search_units(config, STUDY, VERSION)


run = growing_run(STUDY, VERSION, plan)
