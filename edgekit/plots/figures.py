"""Every figure of every notebook, by name: how it is drawn from a study's rows, and its caption.

Notebooks show figures by name and the committed ones are drawn from the committed rows, through this one table.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from edgekit.analyze import (
    behaviours,
    claims,
    distillation,
    printed_tables,
    pruning,
    pruning_savings,
    quantization,
    quantization_speed,
    roofline,
    scale,
    speculative_speed,
    speculative_tables,
)
from edgekit.catalog import platforms
from edgekit.plots import baseline, published
from edgekit.plots import distillation as distillation_figures
from edgekit.plots import pruning as pruning_figures
from edgekit.plots import quantization as quantization_figures
from edgekit.plots import scale as scale_figures
from edgekit.plots import speculative as speculative_figures
from edgekit.plots.style import Picture, PlotError, save

INTERVALS = "Points are means over processes, bars 95 % t-intervals."
WILSON = "with Wilson's 95 % intervals"
FIGURES = {
    "00_published_claims": {
        "ceilings": (
            lambda frame: published.ceilings(printed_tables.part(frame, "ceilings")),
            "Published decode speeds of a 7B (crosses) against what each board's nominal memory bandwidth allows (lines, "
            "modelled). No program reads at the nominal rate; the bands show where good ones end."),
        "pruning": (
            lambda frame: published.pruning(printed_tables.part(frame, "pruning")),
            "What goes when 20 % of the heads and 15 % of the MLP width go: between 15 and 20 % of the multiplications in any "
            "architecture (open marks, modelled), where 30 % was published (cross)."),
        "speculation": (
            lambda frame: published.speculation(printed_tables.part(frame, "speculation")),
            "Expected gain of speculative decoding at the published acceptance of 78 % (modelled; bands: rounding of the "
            "printed numbers), for a draft in the target's precision and for one left in 16 bits."),
        "efficiency": (
            lambda frame: published.efficiency(printed_tables.part(frame, "efficiency")),
            "Published tokens/s over the published power of each board; bars on top: what rounding allows."),
        "memory_saved": (
            lambda frame: published.memory_saved(printed_tables.part(frame, "memory_saved")),
            "Memory that 4-bit weights save when scales, zero points and 16-bit embeddings are counted (modelled), and the "
            "published 75 % (crosses)."),
    },
    "01_scale_models": {
        "scale_accuracy": (
            lambda frame: scale_figures.scale_accuracy(scale.accuracy_ladder(frame)),
            f"Share of right answers to word problems against their depth, by mode and size, {WILSON}."),
        "scale_budget": (
            lambda frame: scale_figures.scale_budget(scale.budget_ladder(frame)),
            f"Share of right answers against the lines of reasoning that are allowed, {WILSON}. Dotted: as many as there are "
            "steps."),
        "scale_prose": (
            lambda frame: scale_figures.scale_prose(
                scale.prose_table(frame), scale.training_table(scale.models_of(frame)),
                behaviours.exponents("size_exponent")),
            "Loss on prose above the entropy of its grammar. Left: along training, from the model cards. Right: on test "
            "stories, with 95 % intervals over stories, the fitted power law and the published exponents as slopes through the "
            "smallest model."),
        "scale_queries": (
            lambda frame: scale_figures.scale_queries(scale.accuracy_ladder(frame)),
            f"Share of right answers to queries of other domains against their level, by size, {WILSON}."),
        "scale_rounding": (
            lambda frame: scale_figures.scale_rounding(scale.rounded_accuracy(frame), scale.rounded_prose(frame)),
            "Accuracy and excess loss against bits after round-to-nearest, a row a group size, with 95 % intervals; \"none\" "
            "is the unrounded model on the same items."),
        "scale_acceptance": (
            lambda frame: scale_figures.scale_acceptance(scale.acceptance_table(frame)),
            "Share of a draft's tokens that the target accepts, by domain, greedy (above) and sampled at temperature 1 "
            "(below). Intervals are in the table beside the figure."),
    },
    "02_baseline": {
        "ttft_vs_prompt": (
            lambda frame: baseline.ttft_vs_prompt(roofline.speed_table(frame)),
            f"Time to first token against prompt length. {INTERVALS}"),
        "tpot_vs_context": (
            lambda frame: baseline.tpot_vs_context(roofline.speed_table(frame)),
            f"Time per output token against the mean context of its steps. {INTERVALS}"),
        "shares": (
            lambda frame: baseline.shares(roofline.share_table(frame), claims.published("S3.1")),
            "Share of prefill in the total time against output length. Crosses: published ratios of EdgeReasoning."),
        "utilisation": (
            lambda frame: baseline.utilisation(roofline.utilisation_table(frame), claims.published("S3.9")),
            "Decode speed under the ceiling of the measured read bandwidth, and the share of it that is reached. Crosses: "
            "shares computed from EdgeReasoning's released coefficients."),
        "memory": (
            lambda frame: baseline.memory(roofline.memory_table(frame)),
            "Peak resident memory beside the process before loading, the weights, and keys and values."),
        "accuracy_by_depth": (
            lambda frame: baseline.accuracy_by_depth(roofline.accuracy_table(frame)),
            "Share of right answers against the number of steps of a problem, with Wilson's 95 % intervals."),
        "baseline_7b": (
            lambda frame: baseline.baseline_7b(roofline.speed_table(frame), _boards(), claims.published("S1.3")),
            "Decode speed of 16-bit transformers. Left: ours against model size. Right: what the paper printed for a 7B "
            "model on four boards (crosses), and their bandwidth ceilings (modelled)."),
        "energy": (
            lambda frame: baseline.energy(roofline.energy_table(frame)),
            "Energy per token by phase, idle power included and subtracted."),
    },
    "03_quantization": {
        "quantization_frontier": (
            lambda frame: quantization_figures.quantization_frontier(
                {domain: quantization.loss_table(frame, domain) for domain in quantization.domains(frame)}),
            "KL divergence from the unquantized model against stored bits, by method, a row a model, a column a kind of text. "
            "Scales, zero points and unquantized tensors are counted; bars are 95 % intervals over calibration seeds, or over "
            "texts where a method has none; marks of the same bits are set a little apart."),
        "quantization_accuracy": (
            lambda frame: quantization_figures.quantization_accuracy(quantization.accuracy_table(frame)),
            "Share of right answers against stored bits, by method, with 95 % intervals over items; dashed, with its band: the "
            "unquantized model on the same items."),
        "quantization_calibration": (
            lambda frame: quantization_figures.quantization_calibration(quantization.ablation_table(frame)),
            "KL divergence of AWQ and GPTQ at 4 bits with other calibration texts, other numbers of them, or parts of the "
            "search left out, each against the main calibration (dotted), with 95 % intervals over calibration seeds."),
        "quantization_speed": (
            lambda frame: quantization_figures.quantization_speed(quantization_speed.runtime_table(frame)),
            "Decode speed over transformers in bfloat16, paired by repeat, with 95 % t-intervals; black marks: what reading "
            "the same bytes at the measured bandwidth would give."),
    },
    "04_pruning": {
        "pruning_methods": (
            lambda frame: pruning_figures.pruning_methods(pruning.method_table(frame)),
            "What each way to choose heads and neurons costs at the published shares, without any training afterwards: loss "
            "added to the whole model's and change of its accuracy on the same texts and problems, with 95 % intervals over "
            "seeds where there are several, else over texts; accuracy over items. Dotted: Taylor importance."),
        "pruning_sweep": (
            lambda frame: pruning_figures.pruning_sweep(
                pruning.sweep_table(frame), tuple(float(share) for share in pruning.main_point(frame))),
            "Loss added to the whole model's (nats a token) by the shares of heads and of MLP neurons that were asked to go; "
            "colours are on a log scale. Black frame: the published shares. What really goes is the nearest count that a "
            "checkpoint can carry."),
        "pruning_saving": (
            lambda frame: pruning_figures.pruning_saving(pruning_savings.saving_table(frame), claims.published("S1.6")),
            "Share of the time that the pruned model saves, paired by repeat, with 95 % t-intervals; black marks: what "
            "arithmetic promises (multiply-accumulates of prefill, bytes that a decode step reads); crosses: the published 30 "
            "%."),
        "pruning_ranking": (
            lambda frame: pruning_figures.pruning_ranking(pruning.ranking_table(frame)),
            "Spearman's rank correlation, the mean over layers, between scores from few calibration sequences and scores from "
            "many others, with 95 % intervals over draws."),
        "pruning_layers": (
            lambda frame: pruning_figures.pruning_layers(pruning.layer_table(frame)),
            "Share of its heads and neurons that each layer keeps when the units of all layers are ranked together, with 95 % "
            "intervals over calibration seeds."),
    },
    "05_distillation": {
        "distillation_recovery": (
            lambda frame: distillation_figures.distillation_recovery(distillation.learning_table(frame)),
            "KL divergence from the whole model by way of learning, a panel a student, on one budget of tokens, with 95 % "
            "intervals over seeds, or over texts where there is one; dashed: the pruned model that learnt nothing."),
        "distillation_curves": (
            lambda frame: distillation_figures.distillation_curves(distillation.training_table(frame)),
            "Cross-entropy on the texts that a student is trained on, against tokens, a line a seed. Those of the teacher's "
            "own texts are other texts: their level is not comparable, only their course."),
        "distillation_order": (
            lambda frame: distillation_figures.distillation_order(distillation.order_table(frame)),
            "Left: KL divergence from the whole model when pruning comes before quantizing and when it comes after, at the "
            "same bytes. Right: the one over the other, paired by seed and text, with 95 % intervals; right of the dashed "
            "line, quantizing first loses less."),
        "distillation_frontier": (
            lambda frame: distillation_figures.distillation_frontier(distillation.chain_table(frame)),
            "KL divergence from the whole model against how many times smaller a chain's files are, with 95 % intervals over "
            "seeds or texts. Colour: how it learnt; shape: what it started from; filling: whether and when it was quantized."),
    },
    "06_speculative": {
        "speculative_acceptance": (
            lambda frame: speculative_figures.speculative_acceptance(
                speculative_tables.acceptance_table(frame, by_position=True)),
            "Share of judged drafted tokens that the largest target accepts, by place in the block, draft, domain and "
            "temperature, with 95 % intervals over prompts; marks of the same place are set a little apart."),
        "speculative_divergence": (
            lambda frame: speculative_figures.speculative_divergence(speculative_tables.theory_table(frame)),
            "Counted acceptance of every pair. Left: against the overlap of the two distributions (sampled) or their agreement "
            "on the likeliest token (greedy); theory is the diagonal. Right: sampled, against KL divergence, with the least "
            "overlap that a divergence leaves possible. Bars are 95 % intervals over prompts."),
        "speculative_speed": (
            lambda frame: speculative_figures.speculative_speed(speculative_speed.speed_table(frame)),
            "Measured decode speed-up, paired by process, with 95 % t-intervals, against the speed-up expected from measured "
            "costs and counted acceptance. Dashed: as expected; dotted: break-even."),
        "speculative_lengths": (
            lambda frame: speculative_figures.speculative_lengths(speculative_speed.speed_table(frame)),
            "Speed-up from end to end over plain decoding of the same runtime against the draft length, by runtime, draft and "
            "domain, for the largest target, with 95 % t-intervals over processes. Dashed lines: the runtimes' own loops."),
        "speculative_batches": (
            lambda frame: speculative_figures.speculative_batches(speculative_speed.batch_table(frame)),
            "Speed-up from end to end against the number of texts at a time, each over plain decoding of as many texts at a "
            "time, by draft, with 95 % t-intervals over processes. Dotted: break-even."),
        "speculative_replay": (
            lambda frame: speculative_figures.speculative_replay(speculative_speed.replay_table(frame),
                                                                 claims.published("S1.10")),
            "Decode speed-up against the draft length of pairs that do all the work of drafting while acceptance is replayed "
            "from a trained pair (open marks, modelled), with 95 % t-intervals over processes, each of which drew anew; and "
            "what the costs of the passes lead to expect (dashed). Cross: the gain that was published for a 0.5B and a 7B."),
    },
}


def _boards() -> pd.DataFrame:
    """Published bandwidths of the boards, a line each."""
    return pd.DataFrame([{"platform": board.id, "name": board.name,
                          "memory_bandwidth_byte_per_s": board.memory_bandwidth_byte_per_s}
                         for board in platforms.load().values()])


@dataclass(frozen=True)
class Missing:
    """A figure that these rows cannot fill, where the figure would stand."""

    name: str

    def _repr_html_(self) -> str:
        return f'<figure id="fig-{self.name}"><figcaption>No rows for this figure in this run.</figcaption></figure>'


def show(notebook: str, name: str, frame: pd.DataFrame, folder: Path) -> Picture | Missing:
    """Draw one figure of a notebook from its study's rows, store it in `folder` as SVG and CSV, and return it.

    `Missing` where there are no rows to draw. Raises PlotError for an unknown figure.
    """
    known = FIGURES[notebook]
    if name not in known:
        raise PlotError(f"{notebook} has no figure {name!r}; known: {', '.join(known)}")
    if name not in drawable(notebook, frame):
        return Missing(name)
    draw, caption = known[name]
    figure, table = draw(frame)
    return save(figure, name, table, folder, caption)


def drawable(notebook: str, frame: pd.DataFrame) -> list[str]:
    """The figures that these rows can fill: energy is drawn only where a sensor gave rows.

    The frame of 00_published_claims holds a table for each of its figures.
    """
    tasks = set(frame.task) if len(frame) else set()
    if notebook == "03_quantization" and "divergence" in tasks and len(quantization.ablation_table(frame)):
        tasks.add("ablation")
    if "kept" in tasks:
        made = {"sweep": pruning.sweep_table, "layers": pruning.layer_table}
        tasks |= {name for name, table in made.items() if len(table(frame))}
    if "accuracy" in tasks and "depth" in frame and frame.depth[frame.task == "accuracy"].notna().any():
        tasks.add("accuracy by depth")  # tasks of lm-eval have none
    if notebook == "05_distillation" and "divergence" in tasks and len(distillation.order_table(frame)):
        tasks.add("both orders")
    if notebook == "06_speculative" and "overlap" in tasks and len(speculative_tables.theory_table(frame)):
        tasks.add("theory")
    if notebook == "06_speculative" and "speed" in tasks and speculative_speed.speed_table(frame).expected.notna().any():
        tasks.add("expected")
    needed = {"energy": "energy", "accuracy_by_depth": "accuracy by depth", "scale_accuracy": "accuracy",
              "scale_budget": "accuracy", "scale_queries": "accuracy", "scale_prose": "prose",
              "scale_rounding": "rounded_prose", "scale_acceptance": "acceptance", "quantization_frontier": "divergence",
              "quantization_accuracy": "accuracy", "quantization_calibration": "ablation",
              "pruning_methods": "divergence", "pruning_sweep": "sweep", "pruning_ranking": "ranking",
              "pruning_layers": "layers",
              "distillation_recovery": "divergence", "distillation_curves": "training",
              "distillation_order": "both orders", "distillation_frontier": "divergence",
              "speculative_acceptance": "acceptance", "speculative_divergence": "theory", "speculative_speed": "expected",
              "speculative_replay": "replay", "speculative_batches": "batch",
              **{name: name for name in FIGURES["00_published_claims"]}}
    return [name for name in FIGURES[notebook] if needed.get(name, "speed") in tasks]
