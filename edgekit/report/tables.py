"""Tables of notebook pages: numbers to the right, headers that say what they head, wide ones in a box, long ones folded."""

from __future__ import annotations

import html
import re

FOLDED_ABOVE = 25  # lines; the stylesheet then shows the first twelve
ROW = re.compile(r"<tr\b[^>]*>(.*?)</tr>", re.S)
CELL = re.compile(r"<(t[hd])\b([^>]*)>(.*?)</\1>", re.S)
NUMBER = re.compile(r"[-+−±]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?( ?%)?|[-+−]?inf")
NOTHING = ("", "nan", "none", "-", "–", "—")


def tidied(body: str) -> str:
    """A page's content with each of its tables made anew, without what pandas writes for its own styles."""
    body = re.sub(r"<style scoped.*?</style>|<style type=\"text/css\">\s*</style>", "", body, flags=re.S)
    return re.sub(r"<table.*?</table>", lambda found: tidy(found[0]), body, flags=re.S)


def tidy(table: str) -> str:
    """One table in a box of its own that scrolls; one with many lines is folded after the first."""
    head, _, body = table.rpartition("</thead>")
    heads, lines = ([CELL.findall(row) for row in ROW.findall(part)] for part in (head, body))
    plain = not any("span=" in attributes for line in lines for _, attributes, _ in line)
    right = _numeric(lines) if plain else set()
    made = "".join(_row(line, right, "col") for line in heads)
    rest = "".join(_row(line, right, "row") for line in lines)
    long = len(lines) > FOLDED_ABOVE
    box = (f'<div class="scroll{" long" if long else ""}" role="group" aria-label="Table" tabindex="0">'
           f'<table>{f"<thead>{made}</thead>" if made else ""}<tbody>{rest}</tbody></table></div>')
    return box + (f'<details class="more"><summary><span class="shut">Show all {len(lines)} lines</span>'
                  '<span class="open">Show the first lines only</span></summary></details>' if long else "")


def _numeric(lines: list[list[tuple[str, str, str]]]) -> set[int]:
    """Places of the columns that `notebook.shown` says are numbers, with intervals or without, and of those whose texts are."""
    said = {place for line in lines for place, (_, attributes, _) in enumerate(line) if re.search(r"\bnumber\b", attributes)}
    texts: dict[int, list[str]] = {}
    for line in lines:
        for place, (_, _, content) in enumerate(line):
            texts.setdefault(place, []).append(html.unescape(re.sub(r"<[^>]+>", "", content)).strip())
    return said | {
        place for place, found in texts.items()
        if (filled := [text for text in found if text.lower() not in NOTHING]) and all(map(NUMBER.fullmatch, filled))}


def _row(line: list[tuple[str, str, str]], right: set[int], scope: str) -> str:
    cells, right = [], set() if any("span=" in attributes for _, attributes, _ in line) else right
    for place, (tag, attributes, content) in enumerate(line):
        spans = "".join(re.findall(r'\s(?:col|row)span="?\d+"?', attributes))
        kind = ' class="n"' if place in right else ""
        tag = "td" if tag == "th" and not content.replace("&nbsp;", "").strip() else tag  # a corner heads nothing
        heads = f' scope="{scope}"' if tag == "th" else ""
        cells.append(f"<{tag}{heads}{kind}{spans}>{content}</{tag}>")
    return f"<tr>{''.join(cells)}</tr>"
