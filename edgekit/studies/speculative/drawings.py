"""Figures of the speculative study: what is accepted, what it follows from, and what it gains."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from edgekit.analyze.speculation import least_overlap
from edgekit.catalog.engines import BUILTIN_SPECULATIVE
from edgekit.plots import style
from edgekit.schema import ADAPTIVE, LOOKUP
from edgekit.studies.speculative import tables

# Drafts in the order of their sizes, then the lookup: colour and marker.
DRAFTS = (("#56B4E9", "o"), ("#0072B2", "s"), ("#E69F00", "^"), ("#D55E00", "v"), ("#CC79A7", "D"), ("#009E73", "P"))
LOOKED_UP = ("0.45", "x")
DOMAINS = (("#0072B2", "o"), ("#E69F00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#D55E00", "v"), ("0.45", "P"))
THEORY = {"color": "0.3", "linewidth": 0.9, "linestyle": "--", "zorder": 1}
EVEN = {"color": "0.3", "linewidth": 0.9, "linestyle": ":", "zorder": 1}


def _looks(drafts: list[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each draft, by its name for readers."""
    models = [name for name in drafts if name != tables.draft_label("", LOOKUP)]
    return {name: DRAFTS[i % len(DRAFTS)] for i, name in enumerate(models)} | {
        name: LOOKED_UP for name in drafts if name not in models}


def _largest(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of the largest target, with every draft that is no larger."""
    table = table[table.parameters == table.parameters.max()]
    return table[~(table.draft_parameters > table.parameters)]


def _one_engine(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of one engine for each draft: transformers, the reference, where it was counted there."""
    first = table.assign(rank=table.engine != "transformers").sort_values(["rank", "engine", "dtype"], kind="stable")
    chosen = first.drop_duplicates("draft")[["draft", "engine", "dtype"]]
    return table.merge(chosen, on=["draft", "engine", "dtype"])


def _greedy(temperature: float) -> str:
    return "greedy" if temperature == 0 else f"temperature {temperature:g}"


@style.styled
def speculative_acceptance(table: pd.DataFrame) -> style.Drawn:
    """Acceptance at each place of a block for the largest target, a row a temperature, a column a domain (from
    `tables.acceptance_table` by position, at the longest fixed draft length)."""
    table = style.require(table, "speculative_acceptance")
    table = style.require(_one_engine(_largest(tables.longest(table))), "speculative_acceptance")
    domains, temperatures = sorted(set(table.domain)), sorted(set(table.temperature))
    looks = _looks(list(dict.fromkeys(table.by)))
    fig = Figure(figsize=(style.WIDTH, 0.9 + 1.8 * len(temperatures)))
    axes = fig.subplots(len(temperatures), len(domains), squeeze=False, sharex=True, sharey=True)
    for row, temperature in zip(axes, temperatures, strict=True):
        for ax, domain in zip(row, domains, strict=True):
            here = table[(table.domain == domain) & (table.temperature == temperature)]
            for place, (name, (colour, marker)) in enumerate(looks.items()):
                lines = here[here.by == name]
                lines = lines.assign(position=lines.position + 0.06 * (place - (len(looks) - 1) / 2))
                style.series(ax, lines, "position", "acceptance", colour=colour, marker=marker, linestyle="-")
            ax.set(ylim=(0, 1.02))
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        row[0].set_ylabel(f"share accepted,\n{_greedy(temperature)}")
    for ax, domain in zip(axes[0], domains, strict=True):
        ax.set_title(domain)
    axes[-1][(len(domains) - 1) // 2].set_xlabel("place in the block")
    _key(fig, looks)
    return fig, table


@style.styled
def speculative_divergence(table: pd.DataFrame) -> style.Drawn:
    """Counted acceptance against what the two distributions lead to expect, and against their KL divergence with the least
    that theory allows (from `tables.theory_table`); every pair, engine and domain is a mark."""
    style.require(table, "speculative_divergence")
    looks = dict(zip(sorted(set(table.domain)), DOMAINS, strict=False))
    fig = Figure(figsize=(style.WIDTH, 3.1))
    left, right = fig.subplots(1, 2, sharey=True)
    for domain, (colour, marker) in looks.items():
        here = table[table.domain == domain]
        for drawn, fill in ((here[here.temperature > 0], "full"), (here[here.temperature == 0], "none")):
            _cross(left, drawn, "expected", "acceptance", color=colour, marker=marker, fillstyle=fill)
        sampled = here[here.temperature > 0]
        _cross(right, sampled, "kl", "acceptance", color=colour, marker=marker)
    ends = [0.0, 1.0]
    left.plot(ends, ends, gid="theory", **THEORY)
    low = max(0.0, float(np.floor(10 * min(table.acceptance.min(), table.expected.min()) - 0.5) / 10))
    left.set(xlim=(low, 1.01), ylim=(low, 1.02), xlabel="overlap of the distributions, or agreement", ylabel="share accepted",
             title="what theory expects")
    most = float(table.kl[table.temperature > 0].max()) if (table.temperature > 0).any() else 0.1
    nats = np.linspace(0, 1.1 * most, 200)
    right.plot(nats, [least_overlap(value) for value in nats], gid="least", **THEORY)
    right.set(xlim=(0, 1.1 * most), xlabel="KL divergence of the draft (nats a token)", title="what divergence leaves possible")
    handles = [Line2D([], [], color=colour, marker=marker, linestyle="none", label=domain)
               for domain, (colour, marker) in looks.items()]
    kinds = [Line2D([], [], color="0.3", marker="o", fillstyle=fill, linestyle="none", label=label)
             for fill, label in (("full", "sampled"), ("none", "greedy"))]
    fig.legend(handles=[*handles, *kinds, Line2D([], [], label="theory", **THEORY)], loc="outside upper center", ncols=5)
    return fig, table


@style.styled
def speculative_speed(table: pd.DataFrame) -> style.Drawn:
    """Measured decode speed-up against the one expected from costs and counted acceptance, by engine (from
    `tables_speed.speed_table`). Dashed: as expected; dotted: break-even."""
    table = style.require(style.require(table, "speculative_speed").dropna(subset=["expected", "decode"]), "speculative_speed")
    fig = Figure(figsize=(style.WIDTH * 0.7, 3.6))
    ax = fig.subplots()
    for engine, dtype in sorted(set(zip(table.engine, table["dtype"], strict=True))):
        colour, marker = style.engine_style(engine, dtype)
        style.series(ax, table[(table.engine == engine) & (table["dtype"] == dtype)], "expected", "decode", colour=colour,
                     marker=marker)
    most = 1.08 * float(table[["expected", "decode"]].max().max())
    ax.plot([0, most], [0, most], gid="expected", **THEORY)
    ax.axhline(1, gid="even", **EVEN)
    ax.axvline(1, gid="even", **EVEN)
    ax.set(xlim=(0, most), ylim=(0, most), xlabel="expected speed-up (times)", ylabel="measured speed-up (times)")
    fig.legend(handles=[*style.key(table, lines=False), Line2D([], [], label="as expected", **THEORY),
                        Line2D([], [], label="break-even", **EVEN)], loc="outside upper center", ncols=2)
    return fig, table


@style.styled
def speculative_lengths(table: pd.DataFrame) -> style.Drawn:
    """Speed-up from end to end against draft length for the largest target, ours and the runtimes' own, a row a draft, a column
    a domain (from `tables_speed.speed_table`), with the most threads that were timed. Dotted: break-even."""
    table = _largest(style.require(table, "speculative_lengths"))
    table = table[table.threads == table.threads.max()]
    drafts, domains = list(dict.fromkeys(table.by)), sorted(set(table.domain))
    fixed = sorted({int(length) for length in table.length if length != ADAPTIVE})
    beyond = (max(fixed) if fixed else 0) + 1.5
    shown = table.assign(at=[beyond if length == ADAPTIVE else float(length) for length in table.length])
    fig = Figure(figsize=(style.WIDTH, 0.9 + 1.7 * len(drafts)))
    axes = fig.subplots(len(drafts), len(domains), squeeze=False, sharex=True, sharey="row")
    for row, draft in zip(axes, drafts, strict=True):
        for ax, domain in zip(row, domains, strict=True):
            here = shown[(shown.by == draft) & (shown.domain == domain)]
            for engine, dtype in sorted(set(zip(here.engine, here["dtype"], strict=True))):
                colour, marker = style.engine_style(engine, dtype)
                lines = here[(here.engine == engine) & (here["dtype"] == dtype)].sort_values("at")
                loop = engine in BUILTIN_SPECULATIVE
                style.series(ax, lines[lines.length != ADAPTIVE], "at", "speed_up", colour=colour, marker=marker,
                             linestyle="--" if loop else "-")
                style.series(ax, lines[lines.length == ADAPTIVE], "at", "speed_up", colour=colour, marker=marker)
            ax.axhline(1, gid="even", **EVEN)
            ax.set(ylim=(0, 1.15 * shown.speed_up[shown.by == draft].max()), title=f"{draft}, {domain}")
        row[0].set_ylabel("speed-up (times)")
    adaptive = (shown.length == ADAPTIVE).any()
    for ax in axes[-1]:
        ax.set_xticks([*fixed, beyond] if adaptive else fixed, [*map(str, fixed), "ad."] if adaptive else list(map(str, fixed)))
        ax.set_xlabel("drafted tokens (ad.: adaptive)" if adaptive else "drafted tokens")
    handles = [Line2D([], [], color=colour, marker=marker, linestyle="--" if engine in BUILTIN_SPECULATIVE else "-",
                      label=f"{engine}, {dtype}")
               for engine, dtype in sorted(set(zip(shown.engine, shown["dtype"], strict=True)))
               for colour, marker in [style.engine_style(engine, dtype)]]
    fig.legend(handles=[*handles, Line2D([], [], label="break-even", **EVEN)], loc="outside upper center", ncols=3)
    return fig, shown.drop(columns="at")


@style.styled
def speculative_batches(table: pd.DataFrame) -> style.Drawn:
    """Speed-up from end to end against the number of texts at a time, a panel a domain and draft length, a colour a draft of
    the largest target (from `tables_speed.batch_table`). Dotted: break-even."""
    table = _largest(style.require(table, "speculative_batches"))
    table = style.require(table[table.threads == table.threads.max()], "speculative_batches")
    panels = sorted(set(zip(table.domain, table.length.astype(int), table.engine, table["dtype"], strict=True)))
    looks = _looks(list(dict.fromkeys(table.by)))
    fig, axes = style.panels(len(panels), 3, 2.3, sharex=True, sharey=True)
    for ax, (domain, length, engine, dtype) in zip(axes, panels, strict=True):
        here = table[(table.domain == domain) & (table.length == str(length)) & (table.engine == engine)
                     & (table["dtype"] == dtype)]
        for name, (colour, marker) in looks.items():
            style.series(ax, here[here.by == name].sort_values("batch"), "batch", "speed_up", colour=colour, marker=marker,
                         linestyle="-")
        ax.axhline(1, gid="even", **EVEN)
        ax.set_xscale("log", base=2)
        ax.set_xticks(sorted(set(table.batch)), list(map(str, sorted(set(table.batch)))))
        ax.set(ylim=(0, 1.15 * table.speed_up.max()), xlabel="texts at a time",
               title=f"{domain}, {length} drafted,\n{engine} {dtype}")
    axes[0].set_ylabel("speed-up (times)")
    _key(fig, looks)
    return fig, table


@style.styled
def speculative_replay(table: pd.DataFrame, published: pd.DataFrame) -> style.Drawn:
    """Modelled decode speed-up against draft length of pairs with replayed acceptance, a panel a pair (from
    `tables_speed.replay_table`), beside the `published` gain (cross). Open marks: from the clock; dashed: as expected
    from the costs; dotted: break-even."""
    table = style.require(table, "speculative_replay").sort_values(
        ["draft_parameters", "model", "draft", "engine", "dtype", "domain"], kind="stable")
    names = list(dict.fromkeys(zip(table.model, table.draft, strict=True)))
    fig, axes = style.panels(len(names), 3, 2.6, sharey=True)
    stated = float(published.value.iloc[0])
    most = 1.12 * max(stated, float(table[["decode", "expected"]].max().max()))
    for ax, (model, draft) in zip(axes, names, strict=True):
        here = table[(table.model == model) & (table.draft == draft)]
        here = here.assign(at=here.length.astype(float))
        for (engine, dtype, _, _), lines in here.groupby(["engine", "dtype", "domain", "threads"]):
            colour, marker = style.engine_style(engine, dtype)
            lines = lines.sort_values("at")
            style.series(ax, lines, "at", "decode", colour=colour, marker=marker, linestyle="-")
            ax.plot(lines["at"], lines.expected, gid="expected", **THEORY | {"color": colour})
        lengths = sorted(set(here["at"]))
        ax.plot(lengths[-1:], [stated], gid="published", **style.PUBLISHED)
        ax.axhline(1, gid="even", **EVEN)
        ax.set(ylim=(0, most), xlabel="drafted tokens", title=f"{style.model_label(draft)} for\n{style.model_label(model)}")
        ax.set_xticks(lengths, [f"{length:g}" for length in lengths])
    axes[0].set_ylabel("speed-up (times)")
    handles = [Line2D([], [], color=colour, marker=marker, fillstyle=style.FILL["modelled"],
                      label=f"{engine}, {dtype}, modelled")
               for engine, dtype in sorted(set(zip(table.engine, table["dtype"], strict=True)))
               for colour, marker in [style.engine_style(engine, dtype)]]
    fig.legend(handles=[*handles, Line2D([], [], label="expected from its costs", **THEORY),
                        Line2D([], [], **style.PUBLISHED, label="published"), Line2D([], [], label="break-even", **EVEN)],
               loc="outside upper center", ncols=2)
    return fig, table


def _cross(ax: Axes, lines: pd.DataFrame, x: str, y: str, **look) -> None:
    """Marks with the intervals of both coordinates."""
    if len(lines):
        errors = [np.vstack([lines[name] - lines[f"{name}_low"], lines[f"{name}_high"] - lines[name]]).clip(min=0)
                  for name in (y, x)]
        style.clip_ends(ax.errorbar(lines[x], lines[y], *errors, linestyle="none", elinewidth=0.6, clip_on=False, **look))


def _key(fig: Figure, looks: dict[str, tuple[str, str]]) -> None:
    handles = [Line2D([], [], color=colour, marker=marker, label=name) for name, (colour, marker) in looks.items()]
    fig.legend(handles=handles, loc="outside upper center", ncols=3 if len(handles) > 4 else 4)
