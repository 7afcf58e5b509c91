"""A stored figure looks as it was drawn."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as xml

import matplotlib
import pytest
from matplotlib.figure import Figure

from edgekit.plots import style
from edgekit.plots.svg import compact

LOOKS = ("fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "stroke-linejoin", "stroke-linecap")


@pytest.fixture(scope="module")
def drawn() -> str:
    with matplotlib.rc_context(style.RC):
        fig = Figure(figsize=(4, 3))
        left, right = fig.subplots(1, 2)
        left.errorbar([1, 2, 3], [0.1234567, 1, 10], [0.1, 0.2, 0.3], marker="o", fillstyle="none", linestyle="--", capsize=2)
        left.set(yscale="log", xlabel="letters and $10^{-3}$ [s]", title="a title, bold", facecolor="0.9")
        right.bar(["a", "b"], [1, 2], hatch="//", alpha=0.4)
        right.imshow([[1, 2], [3, 4]], extent=(0, 1, 0, 1))
        text = io.StringIO()
        fig.savefig(text, format="svg", metadata={"Date": None, "Creator": "edgekit"})
    return text.getvalue()


def shapes(svg: str) -> list[tuple]:
    """What is drawn, in order: the element, the place that all its groups give it, its looks, its numbers."""
    root = xml.parse(io.StringIO(svg)).getroot()
    rules = dict(re.findall(r"\.(\w+)\{([^}]*)\}", "".join(root.itertext())))
    found = []

    def walk(element, around):
        around = (*around, *[element.get(name) for name in ("transform", "clip-path") if element.tag.endswith("}g")
                             and element.get(name)])
        declared = element.get("style") or rules.get(element.get("class"), "")
        looks = dict(re.split(r":\s*", part, maxsplit=1) for part in re.split(r";\s*", declared) if part)
        if element.tag.rpartition("}")[2] in ("path", "use", "image", "rect"):
            numbers = [float(number) for name in ("d", "x", "y", "width", "height") for number in
                       re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", element.get(name, ""))]
            found.append((element.tag, numbers, sorted(looks.items()), len(around)))
        for child in element:
            walk(child, around)

    walk(root, ())
    return found


def test_the_same_shapes_stand_in_the_same_places_with_the_same_looks(drawn):
    before, after = shapes(drawn), shapes(compact(drawn))
    assert len(before) == len(after) > 100
    for old, new in zip(before, after, strict=True):
        assert (old[0], old[2], old[3]) == (new[0], new[2], new[3])
        if len(old[1]) == len(new[1]):  # a letter's place is said by `x` in place of `transform`
            assert new[1] == pytest.approx(old[1], abs=0.006)


def test_letters_stand_where_they_stood(drawn):
    places = [float(place or 0) for place in re.findall(
        r'<use xlink:href="#DejaVu[^"]*"(?: transform="translate\(([-\d.]+) 0\)")?/>', drawn)]
    small = [float(place or 0) for place in re.findall(r'<use xlink:href="#l[^"]*"(?: x="([-\d.]+)")?/>', compact(drawn))]
    assert len(places) > 20 and small == pytest.approx(places, abs=0.006)


def test_every_name_that_is_referred_to_is_there_and_nothing_is_said_twice(drawn):
    small = compact(drawn)
    assert set(re.findall(r'(?:href="|url\()#([\w.-]+)', small)) == set(re.findall(r'\sid="([^"]+)"', small)) != set()
    assert len(small) < 0.7 * len(drawn) and "<!--" not in small and "metadata" not in small
    assert compact(drawn) == small
