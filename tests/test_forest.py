"""What came out of all claims together, and the figure of it."""

from __future__ import annotations

import math

import pytest
from matplotlib.markers import CARETLEFT, CARETRIGHT
from matplotlib.patches import Rectangle

from edgekit.claims import forest as outcomes
from edgekit.claims import judgement
from edgekit.plots import PlotError, forest
from edgekit.report import result

WORDS = {"reproduced": "inside", "undecided": "across"}


def cell(name, verdict, *numbers, platform="board", lies="wholly outside of"):
    """A claim as text.cells tells it; `numbers` are (value, low, high, least, most, published values) of each test."""
    word = WORDS.get(verdict, "outside")
    same = {"lies": lies, "word": word, "scale": "real"}
    lines = [same | {"quantity": f"quantity_{place}", "what": f"what {place}", "numbers": {
        "value": value, "low": low, "high": high, "unit": "%", "least": least, "most": most, "published": published}}
        for place, (value, low, high, least, most, published) in enumerate(numbers)]
    return {"id": name, "name": f"name of {name}", "verdict": verdict, "platform": platform, "kind": "bad",
            "parts": [{"lines": lines}]}


FAR = cell("A", "not reproduced", (50, 40, 60, None, 2, [2]))                        # 20 times more than accepted
NEAR = cell("B", "does not hold at scale model", (8, 7, 9, 10, None, [10, 12]), (3, 2, 4, 1, None, []))
SIGN = cell("C", "not reproduced", (-3, -4, -2, 10, None, []))                       # the other sign: no factor is enough
ZERO = cell("D", "not reproduced", (-3, -4, -2, 0, None, []))                        # against zero: a difference, no factor
OPEN = cell("E", "undecided", (1, 0.5, 2, 1, None, []), lies="not decided against")
GOOD = cell("F", "reproduced", (12, None, None, 10, 15, []))
AUDIT = cell("G", "inconsistent", (3, 3, 3, 0.95, 1.05, []), platform="")
ABSENT = [cell("H", "not testable here", (1, 1, 1, 1, None, [])), cell("I", "not yet run")]
ALL = [AUDIT, GOOD, OPEN, NEAR, ZERO, FAR, SIGN, *ABSENT]


def lines(*cells):
    return outcomes.table(cells).set_index(["claim", "quantity"])


def test_every_verdict_comes_to_one_outcome_and_every_claim_is_counted_once():
    assert outcomes.COMES_TO.keys() == set(judgement.VERDICTS) and set(outcomes.COMES_TO.values()) == set(outcomes.ORDER)
    found = outcomes.tally(ALL)
    assert {outcome: sum(count.values()) for outcome, count in found.items()} == {
        "stands": 1, "falls": 4, "open": 3, "contradicts itself": 1, "agrees with itself": 0}
    assert found["open"] == {"undecided": 1, "not testable here": 1, "not yet run": 1}


def test_a_value_is_set_over_the_accepted_end_that_lies_nearest():
    found = lines(FAR, NEAR, GOOD, AUDIT)
    far = found.loc[("A", "quantity_0")]
    assert (far.kind, far.edge, far.x, far.x_low, far.x_high) == ("ratio", 2, 25, 20, 30)
    assert math.isnan(far.accepted_low) and far.accepted_high == 1 == far.published_low and far.accepted == "at most 2"
    near = found.loc[("B", "quantity_0")]
    assert (near.accepted_low, near.published_low, near.published_high) == (1, 1, 1.2) and math.isnan(near.accepted_high)
    good = found.loc[("F", "quantity_0")]
    assert (good.edge, good.accepted, good.accepted_low, good.accepted_high) == (10, "10 to 15", 1, 1.5)
    assert math.isnan(good.x_low) and found.loc[("G", "quantity_0")].edge == 1.05


def test_against_zero_a_difference_is_shown_and_no_factor():
    line = lines(ZERO).loc[("D", "quantity_0")]
    assert (line.kind, line.x, line.x_low, line.x_high, line.accepted_low) == ("difference", -3, -4, -2, 0)
    assert math.isnan(line.missed)


def test_a_miss_is_the_factor_from_the_near_end_of_the_interval():
    found = lines(FAR, NEAR, SIGN, OPEN, GOOD)
    assert found.missed[("A", "quantity_0")] == 20 and found.missed[("B", "quantity_0")] == pytest.approx(10 / 9)
    assert found.missed[("C", "quantity_0")] == math.inf
    assert found.missed[[("B", "quantity_1"), ("E", "quantity_0"), ("F", "quantity_0")]].isna().all()


def test_what_was_measured_stands_first_and_the_clearest_miss_on_top():
    found = outcomes.table(ALL)
    assert list(found.claim) == ["C", "A", "B", "B", "D", "E", "F", "G"]  # nothing of what has no verdict on a value
    assert list(outcomes.clearest(found).claim) == ["C", "A", "B"] and list(outcomes.clearest(found, 1).claim) == ["C"]


def test_a_miss_is_told_in_one_sentence():
    told = {miss.claim: result.sentence(miss) for miss in outcomes.clearest(outcomes.table(ALL)).itertuples()}
    assert told == {
        "A": "What 0: even the near end of its interval is 40 %, 20 times the most that is accepted, 2.",
        "B": "What 0: even the near end of its interval is 9 %, and the least that is accepted, 10, is 1.11 times as much.",
        "C": "What 0: even the near end of its interval is -2 %, which has the other sign than what is accepted, at least 10."}
    [counted] = outcomes.clearest(outcomes.table([cell("K", "not reproduced", (3, 3, 3, 6, None, []))])).itertuples()
    assert result.sentence(counted) == "What 0: it is 3 %, and the least that is accepted, 6, is 2 times as much."


def test_the_front_page_counts_all_and_draws_what_has_a_value(tmp_path):
    found = result.result(ALL, tmp_path)
    assert found["decided"].startswith("Of 9 claims") and sum(number["count"] for number in found["numbers"]) == 9
    assert [miss["id"] for miss in found["misses"]] == ["C", "A", "B"] and len(found["values"]) == 8
    assert '<figure id="fig-claims">' in found["figure"] and (tmp_path / "claims.csv").read_text().count("\n") == 9
    assert found["misses"][1]["missed"] == "50 % (40 to 60)"
    nothing = result.result(ABSENT, tmp_path)
    assert (nothing["figure"], nothing["values"], nothing["misses"]) == ("", [], [])
    assert nothing["decided"].startswith("Of 2 claims")


def test_every_test_has_a_line_with_its_claim_its_value_and_a_band_of_what_is_accepted():
    table = outcomes.table(ALL)
    fig, drawn = forest.claims(table)
    assert drawn is table and len(fig.axes) == 2
    ratios, differences = fig.axes
    labels = [text.get_text() for text in ratios.get_yticklabels()]
    assert labels == ["C  name of C", "A  name of A", "B  name of B", "B, quantity 1", "E  name of E", "F  name of F",
                      "G  name of G"]
    assert [text.get_text() for text in differences.get_yticklabels()] == ["D  name of D"]
    bands = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in ratios.patches if isinstance(patch, Rectangle)]
    left, right = ratios.get_xlim()
    assert bands[1] == (left, 1) and bands[2] == (1, pytest.approx(right)) and bands[5] == pytest.approx((1, 1.5))
    assert "50 %; accepted: at most 2" in [text.get_text() for text in ratios.texts]
    assert ratios.get_xscale() == "log" and differences.get_xscale() == "linear"


def test_an_interval_that_leaves_the_axis_ends_in_an_arrow():
    ratios = forest.claims(outcomes.table([SIGN, FAR]))[0].axes[0]
    [head] = [line for line in ratios.lines if line.get_marker() in (CARETLEFT, CARETRIGHT)]
    assert (head.get_marker(), head.get_xdata()[0], head.get_ydata()[0]) == (CARETLEFT, ratios.get_xlim()[0], 0)


def test_each_verdict_differs_in_colour_and_mark_and_what_was_computed_is_open():
    assert forest.LOOKS.keys() == set(judgement.VERDICTS)
    valued = {verdict: look for verdict, look in forest.LOOKS.items() if verdict not in outcomes.WITHOUT_VALUE}
    colours = {outcome: {colour for verdict, (colour, _) in valued.items() if outcomes.COMES_TO[verdict] == outcome}
               for outcome in outcomes.ORDER}
    assert sum(map(len, colours.values())) == len(set.union(*colours.values())) == 7, "no colour of two outcomes"
    assert all(forest.LOOKS[judgement.WORDS["real"][place]][0] not in {forest.LOOKS[words[place]][0] for scale, words in
               judgement.WORDS.items() if scale != "real"} for place in (0, 1)), "what rests on less has another colour"
    measured = [marker for verdict, (_, marker) in valued.items() if verdict not in ("inconsistent", "consistent")]
    assert len(set(measured)) == len(measured)
    marks = {line.get_color(): line.get_fillstyle() for line in forest.claims(outcomes.table([FAR, AUDIT]))[0].axes[0].lines
             if line.get_marker() == "s"}
    assert marks == {forest.LOOKS["not reproduced"][0]: "full", forest.LOOKS["inconsistent"][0]: "none"}


def test_a_test_has_the_colour_of_its_own_outcome_and_the_mark_of_its_claims_verdict():
    mixed = cell("A", "not reproduced", (50, 40, 60, None, 2, []), (1, 0.5, 1.5, None, 2, []))
    mixed["parts"][0]["lines"][1]["word"] = "inside"
    ax = forest.claims(outcomes.table([mixed]))[0].axes[0]
    mark = forest.LOOKS["not reproduced"][1]
    seen = [line.get_color() for line in ax.lines if line.get_marker() == mark]
    assert seen == [forest.LOOKS[word][0] for word in ("not reproduced", "reproduced")]


def test_a_table_without_lines_is_refused():
    with pytest.raises(PlotError, match="no lines to draw"):
        forest.claims(outcomes.table(ABSENT))
