"""Below a figure stands what its claims accept, what was printed, ours and the verdict: the picture alone tells them."""

from __future__ import annotations

import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.markers import CARETLEFT, CARETRIGHT

from edgekit.plots import claim, style, verdict

NUMBERS = {"value": 1.72, "low": 1.62, "high": 1.83, "unit": "times", "least": 2.05, "most": None, "published": [2.1]}


def word_of(numbers) -> str:
    low, high = numbers["low"] or numbers["value"], numbers["high"] or numbers["value"]
    least, most = (end if numbers[name] is None else numbers[name] for name, end in (("least", -1e9), ("most", 1e9)))
    return "inside" if least <= low and high <= most else "outside" if high < least or low > most else "across"


def cell(word="not reproduced", lines=(NUMBERS,), name="S1.10", also=""):
    return {"id": name, "name": "speed-up by drafting", "statement": "Drafting makes generation 2.1 times as fast. " * 4,
            "verdict": word, "also": also, "needs": "a target and a draft", "figure": "", "platform": "a machine",
            "parts": [{"lines": [{"what": "speed-up", "quantity": "speculative_speed_up", "models": ["pocket-10m"],
                                  "numbers": numbers, "word": word_of(numbers), "scale": "real"}
                                 for numbers in lines]}]}


def drawn(*cells) -> Figure:
    fig = Figure(figsize=(style.WIDTH, 3.0), layout="constrained")
    ax = fig.subplots()
    ax.plot([0, 1], [0, 1])
    ax.twinx().plot([0, 1], [1, 0])
    fig.supxlabel("below")
    return verdict.underline(fig, cells)


def strips(fig: Figure) -> list:
    return [ax for ax in fig.axes if ax.get_label() == "verdict"]


def words(fig: Figure) -> str:
    texts = [*fig.texts, *(text for ax in strips(fig) for text in ax.texts)]
    return " ".join(text.get_text().replace("\n", " ") for text in texts)


def test_a_strip_has_the_claim_its_range_what_was_printed_ours_and_the_verdict():
    fig = drawn(cell())
    [ax] = strips(fig)
    band = next(patch for patch in ax.patches if patch.get_facecolor() == pytest.approx(to_rgba(
        claim.BAND["color"], claim.BAND["alpha"])))
    assert band.get_x() == 2.05 and band.get_x() + band.get_width() == pytest.approx(ax.get_xlim()[1])
    edge, printed, interval, ours = ax.lines
    assert list(edge.get_xdata()) == [2.05, 2.05] and list(printed.get_xdata()) == [2.1]
    assert list(interval.get_xdata()) == [1.62, 1.83] and list(ours.get_xdata()) == [1.72]
    assert printed.get_ydata()[0] > ours.get_ydata()[0], "one does not hide the other"
    said = words(fig)
    for part in ("S1.10: speed-up by drafting", "2.1 times as fast", "not reproduced", "accepted: at least 2.05 times",
                 "1.72 times (1.62 to 1.83); published: 2.1"):
        assert part in said, part


def test_the_panels_keep_their_size_and_the_strips_stand_below_them_and_apart():
    before, fig = drawn(), drawn(cell(), cell("reproduced", (NUMBERS, NUMBERS), "S1.9"))
    tall, taller = (one.get_size_inches()[1] for one in (before, fig))
    for old, new in zip(before.axes, fig.axes, strict=False):
        style.freeze(before)
        assert new.get_position().height * taller == pytest.approx(old.get_position().height * tall, abs=0.01), "inches"
    ends = [ax.get_position() for ax in strips(fig)]
    assert len(ends) == 3 and all(above.y0 > below.y1 for above, below in zip(ends, ends[1:], strict=False))
    assert ends[-1].y0 > 0 and ends[0].y1 < fig.axes[0].get_position().y0
    assert fig.axes[0].get_position().bounds == fig.axes[1].get_position().bounds, "twins move together"


def test_each_test_has_the_colour_of_its_own_outcome_and_none_the_mark_of_a_printed_value():
    tests = [NUMBERS, NUMBERS | {"least": 1.0}, NUMBERS | {"least": 1.7}]
    shown = ["not reproduced", "reproduced", "undecided"]
    assert [ax.lines[-1].get_color() for ax in strips(drawn(cell(lines=tests)))] == [verdict.LOOKS[word][0] for word in shown]
    [grey] = {ax.lines[-1].get_color() for ax in strips(drawn(cell("not testable here", lines=tests)))}
    assert grey == verdict.LOOKS["not testable here"][0]
    for word in verdict.LOOKS:
        assert {ax.lines[-1].get_marker() for ax in strips(drawn(cell(word)))} == {"o"}
    assert "Needs a target and a draft." in words(drawn(cell("not testable here", lines=tests)))


def test_what_says_how_strips_are_read_fits_the_figure():
    fig = drawn(cell("consistent") | {"platform": ""})
    fig.draw_without_rendering()
    [foot] = [text for text in fig.texts if text.get_text().startswith("Dots: ours")]
    assert foot.get_window_extent().x1 < fig.bbox.x1 and "some reading is accepted" in foot.get_text().replace("\n", " ")


def test_an_interval_that_goes_on_beyond_the_axis_ends_in_an_arrow():
    [ax] = strips(drawn(cell(lines=[NUMBERS | {"low": -500.0, "high": 900.0}])))
    left, right = ax.get_xlim()
    assert right - left < 5, "the axis spans the points"
    assert {line.get_marker() for line in ax.lines} >= {CARETLEFT, CARETRIGHT}


def test_an_interval_about_an_edge_is_seen_whole_however_near_the_point_lies_to_it():
    [ax] = strips(drawn(cell(lines=[NUMBERS | {"value": 0.99, "low": 0.95, "high": 1.03, "least": 1.0, "published": []}])))
    left, right = ax.get_xlim()
    assert left < 0.95 and right > 1.03


@pytest.mark.parametrize("along, factor", [("y", 1.0), ("x", 1.0), ("x", 0.5)])
def test_a_panel_with_the_band_of_a_test_has_ours_at_its_edge(along, factor):
    fig = Figure(figsize=(style.WIDTH, 3.0), layout="constrained")
    ax, other = fig.subplots(1, 2)
    ax.plot([0, 3], [0, 3])
    claim.accepted(ax, "S1.10", "speculative_speed_up", along=along, factor=factor)
    verdict.underline(fig, [cell()])
    [mark] = [line for one in (ax, other) for line in one.lines if line.get_gid() == "judged"]
    at = (mark.get_xdata() if along == "x" else mark.get_ydata())[0]
    assert at == pytest.approx(1.72 * factor) and mark.axes is ax
    assert "triangle at a panel's edge: ours" in words(fig) and "95 % interval" in words(fig)
    assert "triangle" not in words(drawn(cell())) and "95" not in words(drawn(cell("not testable here", lines=())))


def test_ours_is_marked_in_the_panel_of_the_judged_model_alone():
    fig = Figure(figsize=(style.WIDTH, 3.0), layout="constrained")
    for ax, models in zip(fig.subplots(1, 3), (["pocket-3m"], ["pocket-10m", "pocket-3m"], []), strict=True):
        ax.plot([0, 3], [0, 3])
        claim.accepted(ax, "S1.10", "speculative_speed_up", models=models)
    panels = list(fig.axes)
    verdict.underline(fig, [cell()])
    marks = [sum(line.get_gid() == "judged" for line in ax.lines) for ax in panels]
    assert marks == [0, 1, 1], "not that of another model; its own, and one of no model"


def test_ours_is_not_marked_in_a_panel_of_another_setting():
    fig = Figure(figsize=(style.WIDTH, 3.0), layout="constrained")
    panels = list(fig.subplots(1, 2))
    for ax, judged in zip(panels, (True, False), strict=True):
        ax.plot([0, 3], [0, 3])
        claim.accepted(ax, "S1.10", "speculative_speed_up", judged=judged)
    verdict.underline(fig, [cell()])
    assert [sum(line.get_gid() == "judged" for line in ax.lines) for ax in panels] == [1, 0]


def test_arithmetic_that_agrees_with_itself_says_when():
    computed = cell("consistent") | {"platform": ""}
    assert "consistent: some reading is accepted" in words(drawn(computed)) and "readings" in words(drawn(computed))
    assert "consistent" not in words(drawn(cell("reproduced")))


def test_a_long_name_leaves_the_verdict_a_line_of_its_own():
    long = cell() | {"name": "latency on the device, and answers that are as good as those of the cloud in each way"}
    fig, short = drawn(long), drawn(cell())
    name, word = (next(text for text in fig.texts if text.get_text() == told) for told in (
        f"S1.10: {long['name']}", "not reproduced"))
    assert word.get_position()[1] < name.get_position()[1]
    assert fig.get_size_inches()[1] - short.get_size_inches()[1] == pytest.approx(verdict.TITLE)


def test_millions_are_told_as_such():
    fig = drawn(cell(lines=[NUMBERS | {"value": 1.97e6, "low": None, "high": None, "least": 1.5e6, "most": 2.5e6,
                                       "published": [2e6]}]))
    assert "accepted: 1,500,000 to 2,500,000" in words(fig)
    [ax] = strips(fig)
    assert ax.xaxis.get_major_formatter()(2e6) == "2M"


@pytest.mark.parametrize("least, most, told", [
    (None, 1.0, "at most 1"), (0.95, 1.05, "0.95 to 1.05"), (2.0, None, "at least 2")])
def test_the_accepted_range_is_told_and_shaded(least, most, told):
    fig = drawn(cell(lines=[NUMBERS | {"least": least, "most": most}]))
    [ax] = strips(fig)
    [band] = ax.patches
    left, right = ax.get_xlim()
    assert band.get_x() == pytest.approx(left if least is None else least)
    assert band.get_x() + band.get_width() == pytest.approx(right if most is None else most)
    assert f"accepted: {told}" in words(fig)


def test_a_claim_that_was_not_measured_says_what_it_needs():
    fig = drawn(cell("not testable here", lines=()))
    assert not strips(fig) and "Needs a target and a draft." in words(fig) and "not testable here" in words(fig)


def test_what_models_of_other_kinds_say_stands_below_the_claim():
    told = "On other models: pocket: does not hold."
    alone, many = (drawn(*[cell(name=name, also="pocket: does not hold") for name in names]) for names in ("A", "ABCD"))
    assert words(alone).count(told) == 1 and words(many).count(told) == 4 and told not in words(drawn(cell()))
    assert strips(alone) and not strips(many)


def test_every_verdict_has_a_look_of_its_own_in_colour_or_mark():
    from edgekit.claims.judgement import VERDICTS

    assert set(verdict.LOOKS) == set(VERDICTS)
    measured = VERDICTS[:VERDICTS.index("inconsistent")]
    assert len({verdict.LOOKS[word][1] for word in measured}) == len(measured) == 9
