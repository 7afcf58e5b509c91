"""Axes follow marks, intervals that leave their panel are told by an arrow at its edge, and bands stand at a claim's ends."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from edgekit.catalog import published
from edgekit.plots import claim, intervals, style


def panel(values, lows, highs, along="y", scale="linear"):
    ax = Figure().subplots()
    (ax.set_xscale if along == "x" else ax.set_yscale)(scale)
    ends = [np.subtract(values, lows), np.subtract(highs, values)]
    places = np.arange(len(values))
    if along == "x":
        ax.errorbar(values, places, xerr=ends, linestyle="none", marker="o", color="red")
    else:
        ax.errorbar(places, values, yerr=ends, linestyle="none", marker="o", color="red")
    return ax


def arrows(ax):
    return {(line.get_marker(), *np.ravel(line.get_xydata())) for line in ax.lines if line.get_gid() == "clipped"}


@pytest.mark.parametrize("along", ["x", "y"])
def test_a_noisy_interval_does_not_scale_the_axis_and_has_an_arrow_at_each_edge(along):
    values, lows, highs = [1.0, 2.0, 3.0], [0.9, -50.0, 2.9], [1.1, 60.0, 3.1]
    ax = panel(values, lows, highs, along)
    intervals.by_marks(ax, values, [*lows, *highs], along=along, beyond=0.25)
    intervals.mark_clipped(ax)
    low, high = ax.get_xlim() if along == "x" else ax.get_ylim()
    assert 0 < low < 0.9 and 3.1 < high < 4
    [left, right] = (intervals.ARROWS[along, side] for side in ("low", "high"))
    places = {(left, low, 1.0), (right, high, 1.0)} if along == "x" else {(left, 1.0, low), (right, 1.0, high)}
    assert arrows(ax) == places
    assert (low, high) == (ax.get_xlim() if along == "x" else ax.get_ylim()), "an arrow does not move the axis"


def test_intervals_that_fit_widen_the_axis_and_have_no_arrows():
    values, lows, highs = [1.0, 2.0], [0.9, 1.8], [1.2, 2.2]
    ax = panel(values, lows, highs)
    intervals.by_marks(ax, values, [*lows, *highs])
    intervals.mark_clipped(ax)
    assert ax.get_ylim()[0] < 0.9 and ax.get_ylim()[1] > 2.2 and not arrows(ax)


def test_a_log_axis_reaches_by_factors_and_ends_below_zero_leave_it():
    values, lows, highs = [0.01, 1.0], [-0.5, 0.5], [0.02, 2.0]
    ax = panel(values, [1e-9, 0.5], highs, scale="log")
    intervals.by_marks(ax, values, [*lows, *highs], beyond=0.25)
    intervals.mark_clipped(ax)
    low, high = ax.get_ylim()
    assert 0 < low < 0.01 and 2 < high < 10 and {mark for mark, *_ in arrows(ax)} == {intervals.ARROWS["y", "low"]}


def test_limits_without_spread_or_with_a_known_end_are_still_limits():
    ax = Figure().subplots()
    intervals.by_marks(ax, [5.0], [float("nan")])
    assert ax.get_ylim()[0] < 5 < ax.get_ylim()[1]
    intervals.by_marks(ax, [2.0, 5.0], [-3.0, 30.0], along="x", least=0, beyond=0.2)
    assert ax.get_xlim()[0] == 0 and 5 < ax.get_xlim()[1] < 7


def test_texts_stand_beside_their_lines():
    fig = Figure(layout="constrained")
    ax = fig.subplots()
    ax.set_ylim(1.5, -0.5)
    table = pd.DataFrame({"x": [0.5, 2.5], "x_low": [0.25, np.nan], "x_high": [0.75, np.nan]})
    intervals.beside(ax, [intervals.words(line, "x") for line in table.itertuples()])
    right = fig.axes[-1]
    assert right.get_ylim() == ax.get_ylim()
    assert [(tick.get_text(), tick.get_position()[1]) for tick in right.get_yticklabels()] == [
        ("0.50 (0.25 to 0.75)", 0), ("2.50", 1)]


@pytest.mark.parametrize("along", ["x", "y"])
def test_a_band_stands_at_the_ends_that_a_claim_accepts(along):
    ax = Figure().subplots()
    ax.plot([7, 8], [7, 8])
    claim.accepted(ax, "S1.3", "decode_tok_per_s", along=along, factor=2)
    ends = [end * 2 for end in published.accepted("S1.3", "decode_tok_per_s")]
    column = 0 if along == "x" else 1
    assert sorted({line.get_xydata()[0][column] for line in ax.lines[1:]}) == pytest.approx(ends)
    limits = ax.get_xlim() if along == "x" else ax.get_ylim()
    assert limits[0] < ends[0] < ends[1] < limits[1]
    assert [text.get_text() for text in ax.texts] == ["S1.3 accepts 9 to 25"] and len(ax.patches) == 1
    assert claim.key("S1.3", "decode_tok_per_s").get_label() == "S1.3 accepts 4.5 to 12.5"


def test_what_is_measured_is_held_against_its_test_and_printed_numbers_against_their_check():
    assert claim.wanted("ER.4", "scaling_time_ratio") == "2 to 2.5"
    assert claim.wanted("ER.4", "scaling_time_ratio", measured=True) == "at most 2.5"
    assert claim.wanted("S1.10", "speculative_speed_up") == claim.wanted("S1.10", "speculative_speed_up", measured=True)


def test_an_arrows_colour_is_that_of_its_interval():
    ax = panel([1.0, 2.0], [-50.0, 1.9], [1.1, 2.1])
    intervals.by_marks(ax, [1.0, 2.0], [-50.0, 2.1])
    intervals.mark_clipped(ax)
    [arrow] = [line for line in ax.lines if line.get_gid() == "clipped"]
    assert arrow.get_color() == to_hex("red")
    assert style.PUBLISHED["marker"] != arrow.get_marker()
