"""Drawings of the routing study's cloud: how long queries take by policy, who waits in the device's queue, and why queries came
back."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from edgekit.plots import style
from edgekit.schema import CONFIDENT, TEXT
from edgekit.studies.routing import drawings, tables
from edgekit.studies.routing import tables_traffic as traffic

LOOKS = {tables.EDGE: ("#009E73", "v", (0, (1, 1))), tables.CLOUD: ("0.45", "p", (0, (4, 1.5))),
         **{policy: drawings.LOOKS[policy] for policy in traffic.ROUTED}}
WORDS = {tables.EDGE: "always the device", tables.CLOUD: "always the cloud", TEXT: "routed by text",
         CONFIDENT: "routed by text and confidence (cascade)"}
LIMIT = {"color": "black", "linewidth": 0.7, "linestyle": "-"}
LIMIT_S = 0.1  # the document's 100 ms
REASONS = {"open": "breaker open", "down": "no connection", "cut": "half an answer", "limited": "too many requests"}
HATCHES = ("", "///", "...", "xx", "\\\\", "++", "oo", "--")
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C510A", "0.45")


def _first(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """The lines of one pair of models: the last, which is the largest that was measured."""
    style.require(table, name)
    return table[(table[traffic.PAIR] == table[traffic.PAIR].iloc[-1]).all(axis=1)]


def _key(fig: Figure, policies, *more: Line2D) -> None:
    there = set(policies)
    handles = [Line2D([], [], color=colour, linestyle=dashes, label=WORDS[policy])
               for policy, (colour, _, dashes) in LOOKS.items() if policy in there]
    fig.legend(handles=[*handles, *more], loc="outside upper center", ncols=3)


@style.styled
def routing_latency(table: pd.DataFrame) -> style.Drawn:
    """Share of the queries that are answered within a time, queueing included, by policy; a panel for each kind of arrivals, in
    a network without outages and with them (from `tables_traffic.latency_table`)."""
    table = _first(table, "routing_latency")
    kinds = [kind for kind in traffic.ARRIVALS if kind in (traffic.ARRIVALS[0], traffic.ARRIVALS[-1])]
    cells = [(kind, network) for network in traffic.NETWORKS for kind in kinds]
    fig, axes = style.panels(len(cells), 2, 2.3, sharex=True, sharey=True)
    for i, (ax, (kind, network)) in enumerate(zip(axes, cells, strict=True)):
        here = table[(table.arrivals == kind) & (table.network == network)]
        for policy, (colour, _, dashes) in LOOKS.items():
            line = here[here.policy == policy]
            ax.plot(line.latency_s, line.share, color=colour, linestyle=dashes)
        ax.axvline(LIMIT_S, **LIMIT)
        ax.set_xscale("log")
        ax.set_title(f"{_arrivals(kind)}, {'outages' if network == traffic.FAULTY else 'no outage'}")
        ax.yaxis.set_major_formatter(drawings.PERCENT)
        if not i % 2:
            ax.set_ylabel("answered within that time (%)")
        if i >= len(cells) - 2:
            ax.set_xlabel("latency (s)")
    _key(fig, table.policy, Line2D([], [], label="100 ms", **LIMIT))
    return fig, table[table.arrivals.isin(kinds)]


@style.styled
def routing_waiting(table: pd.DataFrame) -> style.Drawn:
    """Mean wait in the device's queue by load and policy, with intervals over days; a panel for each kind of arrivals (from
    `tables_traffic.traffic_table`)."""
    table = _first(table, "routing_waiting")
    table = table[(table.network == traffic.CLEAR) & (table.wait_s > 0)]
    fig, axes = style.panels(len(traffic.ARRIVALS), 3, 2.7, sharex=True, sharey=True)
    for i, (ax, kind) in enumerate(zip(axes, traffic.ARRIVALS, strict=True)):
        for policy, (colour, marker, dashes) in LOOKS.items():
            line = table[(table.arrivals == kind) & (table.policy == policy)]
            if len(line):
                style.series(ax, line, "load", "wait_s", colour=colour, marker=marker, linestyle=dashes)
        ax.axhline(LIMIT_S, **LIMIT)
        ax.set_yscale("log")
        ax.set_title(_arrivals(kind))
        ax.set_xlabel("load of the device alone (share)")
        if not i:
            ax.set_ylabel("mean wait in its queue (s)")
    _key(fig, table.policy, Line2D([], [], label="100 ms", **LIMIT))
    return fig, table[[*traffic.DAY, "wait_s", "wait_s_low", "wait_s_high", "n", "source"]]


@style.styled
def routing_fallbacks(table: pd.DataFrame) -> style.Drawn:
    """Queries of the soak that were sent to the cloud and answered by the device, by network and reason (from
    `tables_traffic.fallback_table`)."""
    table = _first(table, "routing_fallbacks")
    networks, reasons = list(dict.fromkeys(table.network)), list(dict.fromkeys(table.reason))
    fig = Figure(figsize=(style.WIDTH * 0.85, 0.55 * len(networks) + 1.3))
    ax = fig.subplots()
    for place, network in enumerate(networks):
        here, left = table[table.network == network].set_index("reason").fell_back, 0
        for reason, colour, hatch in zip(reasons, COLOURS, HATCHES, strict=False):
            width = here.get(reason, 0)
            if width:
                ax.barh(place, width, left=left, height=0.6, color=colour, hatch=hatch, edgecolor="white", linewidth=0.5,
                        label=REASONS.get(reason, reason))
                left += width
        sent = int(table.loc[table.network == network, "n"].iloc[0])
        ax.text(left, place, f" {left} of {sent}", va="center")
    ax.set_yticks(range(len(networks)), networks)
    ax.margins(x=0.15)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("queries that fell back to the device")
    ax.grid(axis="y", visible=False)
    named = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    fig.legend(named.values(), named.keys(), loc="outside upper center", ncols=4)
    return fig, table


def _arrivals(kind: str) -> str:
    return f"{kind} arrivals" if kind == traffic.ARRIVALS[0] else f"arrivals as in the {kind} trace"
