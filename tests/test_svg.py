"""A stored figure looks as it was drawn."""

from __future__ import annotations

import io
import re
import urllib.request
import xml.etree.ElementTree as xml

import matplotlib
import pytest
from fontTools.pens.recordingPen import RecordingPen
from fontTools.svgLib.path import parse_path
from matplotlib.figure import Figure

from edgekit.plots import style
from edgekit.plots.svg import address, compact

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


def steps(path: str) -> list[tuple]:
    """The lines and curves of a path in absolute numbers, as another library reads them."""
    pen = RecordingPen()
    parse_path(path, pen)
    return [(kind, *[number for point in points for number in point]) for kind, points in pen.value]


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
            numbers = [float(element.get(name)) for name in ("x", "y", "width", "height") if element.get(name)]
            numbers += [number for _, *points in steps(element.get("d", "")) for number in points]
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
    small = [float(place or 0) for place in re.findall(r'<use href="#l[^"]*"(?: x="([-\d.]+)")?/>', compact(drawn))]
    assert len(places) > 20 and small == pytest.approx(places, abs=0.006)


def test_every_name_that_is_referred_to_is_there_and_nothing_is_said_twice(drawn):
    small = compact(drawn)
    assert set(re.findall(r'(?:href="|url\()#([\w.-]+)', small)) == set(re.findall(r'\sid="([^"]+)"', small)) != set()
    assert len(small) < 0.52 * len(drawn) and "<!--" not in small and "metadata" not in small
    assert compact(drawn) == small


@pytest.mark.parametrize(("path", "small"), [
    ("M 10 20 \nL 30 20 \nL 30 25 \nL 29.5 24.5 \nL 29 26 \nz", "m10 20h20v5l-.5-.5-.5 1.5z"),
    ("M 1 1 L 2 3 L 4 7 M 5 5 Q 6 6 7 5 Q 8 4 9 5 z M 0 0 L 1 2", "m1 1 1 2 2 4m1-2q1 1 2 0 1-1 2 0zm-5-5 1 2"),
    ("M 0 0 C 0.333 0.333 0.666 0.666 1 1", "m0 0c.33 .33 .67 .67 1 1"),
    ("M 0 0 L 0 0", "m0 0v0"),
    ("M 0 0 A 1 1 0 0 1 2 2", "M 0 0 A 1 1 0 0 1 2 2"),  # no step that matplotlib writes: left as it is
    ("M 0 0 L 1e-05 2", "M 0 0 L 1e-05 2"),
])
def test_a_path_is_said_by_its_steps(path, small):
    assert f' d="{small}"' in compact(f'<svg><path d="{path}"/></svg>')
    for old, new in zip(steps(path.replace("\n", "")), steps(small), strict=True):
        assert new[0] == old[0] and new[1:] == pytest.approx(old[1:], abs=0.006)


def test_what_is_rounded_does_not_add_up():
    path = "M 0 0 " + " ".join(f"L {x / 3} {x * x / 700}" for x in range(1, 500))
    [said] = re.findall(' d="([^"]*)"', compact(f'<svg><path d="{path}"/></svg>'))
    assert max(abs(old - new) for one, other in zip(steps(path), steps(said), strict=True)
               for old, new in zip(one[1:], other[1:], strict=True)) <= 0.0051


def test_an_address_holds_the_picture_and_nothing_that_ends_an_attribute(drawn):
    picture = compact(drawn).replace("</svg>", "<!-- 5 % of 'all' & # -->\n<text>naïve</text></svg>")
    said = address(picture)
    assert urllib.request.urlopen(said).read().decode() == picture.strip()
    assert not set("'<>&#\n") & set(said) and len(address(compact(drawn))) < 1.15 * len(compact(drawn))
