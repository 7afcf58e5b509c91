"""A drawn SVG in fewer bytes that look the same: what is written for editors goes, numbers keep a hundredth of a point."""

from __future__ import annotations

import re
import string
import urllib.parse

# Attributes whose numbers are places on the page, or in a letter's own thousands of units; never a scale or a width of line.
PLACES = re.compile(r'\b(?P<name>d|x|y|x1|y1|x2|y2|width|height|points)="[^"]*"|translate\([^)]*\)')
NUMBER = re.compile(r"-?\d+\.\d+(?!\d*e)")
LETTER = re.compile(r'(<use href="#[\w-]+") transform="translate\(([-\d.]+) 0\)"/>')
STEP = re.compile(r"[A-Za-z]|-?\d+(?:\.\d+)?")
POINTS = {"M": 1, "L": 1, "Q": 2, "C": 3, "z": 0}  # of each step of a path that matplotlib writes
IN_ADDRESS = "".join(set(string.printable) - set(string.whitespace) - set("%#<>&'")) + " "
GROUP = re.compile(r"<g>((?:<(?!/?g\b)[^>]*>)*)</g>")  # of nothing in common, around no other group


def compact(svg: str) -> str:
    """Without comments, metadata, indentation, names that nothing refers to and bare groups; a look that comes back is a
    class."""
    svg = re.sub(r"<!--.*?-->|<!DOCTYPE.*?>|<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r">\s+<", "><", svg)
    svg = svg.replace(" xlink:href=", " href=").replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "")
    svg = PLACES.sub(_rounded, svg)
    svg = LETTER.sub(r'\1 x="\2"/>', svg).replace('"DejaVuSans-', '"l').replace('"#DejaVuSans-', '"#l')
    used = set(re.findall(r"#([\w.-]+)", svg))
    svg = re.sub(r' id="([^"]*)"', lambda found: found[0] * (found[1] in used), svg)
    while (bare := GROUP.sub(r"\1", svg)) != svg:
        svg = bare
    return _classes(svg).strip() + "\n"


def _rounded(place: re.Match) -> str:
    text = NUMBER.sub(lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), place[0])
    return f'd="{_relative(text[3:-1])}"' if place["name"] == "d" else text


def _relative(path: str) -> str:
    """The same path by steps from point to point: shorter numbers, and no letter where a step is of the kind before it.

    `path` is absolute, in steps of POINTS; a path with other steps, or one that is relative already, comes back as it is.
    """
    words = STEP.findall(path)
    if not set(re.findall("[A-Za-z]", path)) <= set(POINTS):
        return path
    said, before, at, start = [], "", (0, 0), (0, 0)
    while words:
        kind = words.pop(0)
        count = 2 * POINTS[kind]
        ends = [round(100 * float(word)) for word in words[:count]]  # whole numbers: what is rounded does not add up
        del words[:count]
        steps = [end - at[place % 2] for place, end in enumerate(ends)]
        if kind == "L" and not (steps[0] and steps[1]):
            letter, steps = ("h", steps[:1]) if steps[0] else ("v", steps[1:])
        else:
            letter = kind.lower()
        follows = letter == before and letter != "m" or (before, letter) == ("m", "l")
        said.append(("" if follows else letter) + _numbers(steps, apart=follows))
        before = letter
        at = start if kind == "z" else tuple(ends[-2:])
        start = at if kind == "M" else start
    return "".join(said)


def _numbers(hundredths: list[int], apart: bool) -> str:
    """Numbers one after the other, each told from what is before it by its sign or, where it has none, by a space."""
    text = ""
    for number in hundredths:
        word = f"{number / 100:.2f}".rstrip("0").rstrip(".").replace("-0.", "-.")
        word = word[1:] if word.startswith("0.") else word
        text += (" " if (text or apart) and not word.startswith("-") else "") + word
    return text


def address(svg: str) -> str:
    """A picture as the address of an image, "data:…", for an attribute in single quotes: in three quarters of the bytes that
    base64 takes."""
    return "data:image/svg+xml," + urllib.parse.quote(svg.strip(), safe=IN_ADDRESS)


def _classes(svg: str) -> str:
    """Each look once, in the stylesheet that matplotlib begins with."""
    looks = {look: f"s{number}" for number, look in enumerate(dict.fromkeys(re.findall(r' style="([^"]*)"', svg)))}
    svg = re.sub(r' style="([^"]*)"', lambda found: f' class="{looks[found[1]]}"', svg)
    rules = "".join(f".{name}{{{look}}}" for look, name in looks.items()).replace(": ", ":").replace("; ", ";")
    return svg.replace("</style>", f"{rules}</style>", 1)
