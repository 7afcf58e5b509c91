"""The document's rates beside what memory allows, and the matrix of variants: figures of what was not measured, or not here."""

from __future__ import annotations

import textwrap

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from edgekit.plots import claim, style
from edgekit.studies.pipeline.tables_matrix import FIELDS, NO_ROWS, NOT_ASKED, NOT_HERE, OTHER, label
from edgekit.studies.pipeline.tables_projection import EXPECTED, GENEROUS, KINDS, PRINTED

# Modelled rates, hatched: colour and hatch.
MODELLED = {GENEROUS: ("0.85", "///"), EXPECTED: ("#9ecae1", "...")}
# Why a cell is empty: letter and meaning; what studies say of what they skipped comes last.
LETTERS = {NO_ROWS: "r", NOT_ASKED: "u", NOT_HERE: "n", OTHER: "o"}
SKIPPED = "s"


@style.styled
def pipeline_projection(table: pd.DataFrame) -> style.Drawn:
    """A panel a stage (from `projection_table`): for each platform the printed tokens/s beside the modelled ones, hatched."""
    table = style.require(table, "pipeline_projection")
    stages = list(dict.fromkeys(table.stage))
    labels = list(dict.fromkeys(table.label))
    fig = Figure(figsize=(style.WIDTH, 1.3 + 0.55 * len(labels)))
    axes = fig.subplots(1, len(stages), squeeze=False, sharey=True)[0]
    height = 0.36
    for ax, stage in zip(axes, stages, strict=True):
        here = table[table.stage == stage]
        for line in here[here.kind != PRINTED].itertuples():
            colour, hatch = MODELLED[line.kind]
            place = labels.index(line.label) + (height / 2 if line.kind == EXPECTED else -height / 2)
            ends = None if pd.isna(line.tok_per_s_low) else [[line.tok_per_s - line.tok_per_s_low],
                                                             [line.tok_per_s_high - line.tok_per_s]]
            ax.barh(place, line.tok_per_s, height, xerr=ends, color=colour, hatch=hatch, edgecolor="0.35", linewidth=0.6,
                    error_kw=dict(elinewidth=0.8, capsize=2))
        printed = here[here.kind == PRINTED]
        for line in printed.itertuples():
            ax.plot([line.tok_per_s], [labels.index(line.label)], **style.PUBLISHED | dict(markersize=7) | (
                style.ABOVE if line.above else {}))
            told = f" ({_over(here, line):.2f} ×)" if line.above else ""
            ax.annotate(f"{line.tok_per_s:g}{told}", (line.tok_per_s, labels.index(line.label)), (6, 0), va="center",
                        textcoords="offset points", fontsize=7.5, bbox=claim.TOLD["bbox"])
        ax.set(title=f"a 7B, {stage}", xlabel="decode speed (tokens/s)", xlim=(0, 1.45 * here.tok_per_s.max()))
        ax.grid(axis="y", visible=False)
    axes[0].set_yticks(range(len(labels)), [f"{one}\n{bandwidth / 1e9:g} GB/s" for one, bandwidth in zip(
        labels, table.drop_duplicates("label").bandwidth, strict=True)])
    axes[0].set_ylim(len(labels) - 0.45, -0.55)
    fig.legend(handles=[
        Line2D([], [], label="published", **style.PUBLISHED),
        Line2D([], [], label="published, above what memory allows (× the most)", **style.PUBLISHED | style.ABOVE),
        *(Patch(facecolor=MODELLED[kind][0], hatch=MODELLED[kind][1], edgecolor="0.35", label=f"modelled, {kind}")
          for kind in KINDS if kind in set(table.kind) - {PRINTED})], loc="outside upper center", ncols=2)
    return fig, table


def _over(table: pd.DataFrame, printed) -> float:
    [most] = table[(table.label == printed.label) & (table.kind == GENEROUS)].tok_per_s
    return printed.tok_per_s / most


@style.styled
def variant_matrix(table: pd.DataFrame) -> style.Drawn:
    """A square a variant, platform and field (from `tables_matrix.matrix`), dark where there is a value, else with the letter
    of why there is none. A panel for the variants of each list, since boards have others than any machine."""
    table = style.require(table, "variant_matrix")
    lists: dict[tuple, list[str]] = {}
    for platform, cells in table.groupby("platform", sort=False):
        variants = tuple(dict.fromkeys(zip(cells.model, cells.weights, strict=True)))
        lists.setdefault(variants, []).append(platform)
    fig = Figure(figsize=(style.WIDTH, 1.3 + 0.155 * sum(len(variants) + 4 for variants in lists)))
    axes = fig.subplots(len(lists), 1, squeeze=False, height_ratios=[len(variants) + 3 for variants in lists])[:, 0]
    values = table.set_index(["platform", "model", "weights", "field"])
    for ax, (variants, names) in zip(axes, lists.items(), strict=True):
        columns = [(platform, field) for platform in names for field in FIELDS]
        full = np.array([[pd.notna(values.loc[(platform, *variant, field), "value"]) for platform, field in columns]
                         for variant in variants])
        ax.imshow(full, cmap=matplotlib.colors.ListedColormap(["0.95", "#0072B2"]), vmin=0, vmax=1, aspect="auto")
        for y, variant in enumerate(variants):
            for x, (platform, field) in enumerate(columns):
                if not full[y, x]:
                    ax.text(x, y, _letter(values.loc[(platform, *variant, field), "why"]), ha="center", va="center", fontsize=7)
        ax.set_xticks(range(len(columns)), [field for _, field in columns], rotation=45, ha="right", fontsize=7)
        ax.set_yticks(range(len(variants)), [f"{style.model_label(model)}, {kind}" for model, kind in variants], fontsize=7)
        for i, platform in enumerate(names):
            ax.text(len(FIELDS) * (i + 0.5) - 0.5, -0.8, textwrap.fill(label(platform), 20), ha="center",
                    va="bottom", fontsize=7)
            ax.axvline(len(FIELDS) * i - 0.5, color="white", linewidth=3)
        for edge in range(1, len(variants)):
            ax.axhline(edge - 0.5, color="white", linewidth=0.8)
        for edge in range(1, len(columns)):
            ax.axvline(edge - 0.5, color="white", linewidth=0.8)
        ax.tick_params(length=0)
        ax.grid(False)
        for edge in ax.spines.values():
            edge.set_visible(False)
    shown = dict.fromkeys(_letter(why) for why in table[table.value.isna()].why)
    meanings = {letter: why for why, letter in LETTERS.items()} | {SKIPPED: "skipped, with its reason in the table"}
    fig.legend(handles=[Patch(color="#0072B2", label="measured"),
                        *(Line2D([], [], linestyle="none", label=f"{letter}: {meanings[letter]}") for letter in shown)],
               loc="outside upper center", ncols=2, handlelength=1)
    return fig, table


def _letter(why: str) -> str:
    return next((letter for reason, letter in LETTERS.items() if why.startswith(reason)), SKIPPED)
