"""What a model costs to run: memory beside what explains it, and energy a token."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from edgekit.analyze import roofline
from edgekit.analyze.observed import kind
from edgekit.plots import style

UNEXPLAINED = {"color": "0.3", "linewidth": 0.9, "linestyle": (0, (1, 2))}


@style.styled
def memory(table: pd.DataFrame) -> style.Drawn:
    """Peak memory beside process base, weights and keys and values, as stacked bars (from `memory_table`)."""
    style.require(table, "memory")
    parts = {"base_memory_bytes": ("process before loading", "0.85", ""),
             "weight_bytes": ("weights", "#7FB2D6", "////"),
             "kv_bytes": ("keys and values", "#3B3B6D", "")}
    gigabytes = {name.replace("_bytes", "_gb"): table[name] / 1e9
                 for name in (*parts, "peak_memory_bytes", "peak_memory_bytes_low", "peak_memory_bytes_high")}
    plotted = table[[*roofline.UNIT, "context_tokens", "n"]].assign(**gigabytes)
    groups = [part for _, part in plotted.groupby(plotted.model.map(kind) != "pocket")]
    fig = Figure(figsize=(style.WIDTH, 0.19 * len(plotted) + 0.75 * len(groups) + 0.4))
    heights = [len(part) + 1 for part in groups]
    axes = fig.subplots(len(groups), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for ax, part in zip(axes, groups, strict=True):
        places = np.arange(len(part))[::-1]
        start = np.zeros(len(part))
        for name, (_, colour, hatch) in parts.items():
            width = part[name.replace("_bytes", "_gb")].to_numpy()
            ax.barh(places, width, left=start, height=0.68, color=colour, hatch=hatch, edgecolor="white",
                    linewidth=0.4)
            start += width
        peak = part.peak_memory_gb
        errors = np.vstack([peak - part.peak_memory_gb_low, part.peak_memory_gb_high - peak])
        ax.hlines(places, start, peak, gid="unexplained", **UNEXPLAINED)
        ax.errorbar(peak, places, xerr=errors, color="black", marker="D", linestyle="none", markersize=4,
                    elinewidth=0.8, capsize=2)
        ax.set_yticks(places, [f"{style.model_label(line.model)}, {line.engine} {line.dtype}"
                               for line in part.itertuples()])
        ax.grid(axis="y", visible=False)
        ax.set(xlim=(0, None), ylim=(-0.6, len(part) - 0.4), xlabel="memory (GB)")
    fig.legend(handles=[*(Patch(facecolor=colour, hatch=hatch, edgecolor="white", label=label)
                          for label, colour, hatch in parts.values()),
                        Line2D([], [], color="black", marker="D", markersize=4, linestyle="none",
                               label="measured peak"),
                        Line2D([], [], label="not accounted for", **UNEXPLAINED)],
               loc="outside upper center", ncols=5, columnspacing=1.2, handlelength=1.6)
    return fig, plotted


@style.styled
def energy(table: pd.DataFrame) -> style.Drawn:
    """Energy a token by model and engine, a panel a phase (from `energy_table`, at the longest output of each)."""
    table = style.require(table, "energy").sort_values(["output_tokens", "prompt_tokens"], kind="stable")
    table = table.groupby([*roofline.UNIT, "phase", "scope", "origin"], sort=False).tail(1)
    table = table.sort_values(["parameters", "model", "engine", "dtype"], kind="stable")
    plotted = table[[*roofline.CONDITION, "phase", "scope", "origin", "joule_per_token", "joule_per_token_low",
                     "joule_per_token_high", "n"]]
    phases = [phase for phase in ("prefill", "decode") if phase in set(plotted.phase)]
    fig, axes = style.panels(len(phases), 2, 2.5)
    models = list(dict.fromkeys(plotted.model))
    for ax, phase in zip(axes, phases, strict=True):
        for (engine, dtype), lines in plotted[plotted.phase == phase].groupby(["engine", "dtype"]):
            colour, marker = style.engine_style(engine, dtype)
            places = lines.assign(place=[models.index(model) for model in lines.model])
            style.series(ax, places, "place", "joule_per_token", colour=colour, marker=marker)
        ax.set(yscale="log", title=phase, xlim=(-0.5, len(models) - 0.5))
        ax.set_xticks(range(len(models)), [style.model_label(model) for model in models], rotation=35, ha="right")
        ax.grid(axis="x", visible=False)
    sensors = sorted(set(zip(plotted.scope, plotted.origin, strict=True)))
    scopes = " and ".join(f"{scope}, {origin}" for scope, origin in sensors)
    axes[0].set_ylabel(f"energy a token (J; {scopes})")
    fig.legend(handles=style.key(plotted, lines=False), loc="outside upper center", ncols=2)
    return fig, plotted
