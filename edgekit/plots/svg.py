"""A drawn SVG in fewer bytes that look the same: what is written for editors goes, numbers keep a hundredth of a point."""

from __future__ import annotations

import re

# Attributes whose numbers are places on the page, or in a letter's own thousands of units; never a scale or a width of line.
PLACES = re.compile(r'\b(?P<name>d|x|y|x1|y1|x2|y2|width|height|points)="[^"]*"|translate\([^)]*\)')
NUMBER = re.compile(r"-?\d+\.\d+(?!\d*e)")
LETTER = re.compile(r'(<use xlink:href="#[\w-]+") transform="translate\(([-\d.]+) 0\)"/>')
GROUP = re.compile(r"<g>((?:<(?!/?g\b)[^>]*>)*)</g>")  # of nothing in common, around no other group


def compact(svg: str) -> str:
    """Without comments, metadata, indentation, names that nothing refers to and bare groups; a look that comes back is a
    class."""
    svg = re.sub(r"<!--.*?-->|<!DOCTYPE.*?>|<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r">\s+<", "><", svg)
    svg = PLACES.sub(_rounded, svg)
    svg = LETTER.sub(r'\1 x="\2"/>', svg).replace('"DejaVuSans-', '"l').replace('"#DejaVuSans-', '"#l')
    used = set(re.findall(r"#([\w.-]+)", svg))
    svg = re.sub(r' id="([^"]*)"', lambda found: found[0] * (found[1] in used), svg)
    while (bare := GROUP.sub(r"\1", svg)) != svg:
        svg = bare
    return _classes(svg).strip() + "\n"


def _rounded(place: re.Match) -> str:
    text = NUMBER.sub(lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), place[0])
    return re.sub(r"\s*([MLCQz])\s*", r"\1", text).replace('\n"', '"').replace(' "', '"') if place["name"] == "d" else text


def _classes(svg: str) -> str:
    """Each look once, in the stylesheet that matplotlib begins with."""
    looks = {look: f"s{number}" for number, look in enumerate(dict.fromkeys(re.findall(r' style="([^"]*)"', svg)))}
    svg = re.sub(r' style="([^"]*)"', lambda found: f' class="{looks[found[1]]}"', svg)
    rules = "".join(f".{name}{{{look}}}" for look, name in looks.items()).replace(": ", ":").replace("; ", ";")
    return svg.replace("</style>", f"{rules}</style>", 1)
