"""The whole ledger at a glance: every claim's verdicts by what they rest on, and how many claims are decided on what.

Made of the cells of text.py, a headline a claim, so it judges nothing and needs no rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from edgekit.claims.judgement import WORDS
from edgekit.claims.pages import MARKS
from edgekit.claims.sentences import Sentence, counted
from edgekit.claims.text import in_short
from edgekit.columns import aligned

# What a verdict that decides a claim rests on, the strongest evidence first; every other verdict leaves it open.
DECIDED = {word: scale for scale, words in WORDS.items() for word in words}
DECIDED |= {"consistent": "printed", "inconsistent": "printed"}
ON = {"real": "on models of the documents' size", "small": "on small real models", "shape": "on shapes",
      "pocket": "at scale model", "printed": "by arithmetic alone"}


def decided(cells: Iterable[Mapping]) -> tuple[dict[str, int], dict[str, int]]:
    """How many claims are decided by what their headline rests on, in the order of ON; and how many are open, by the word that
    leaves them so. A claim counts once."""
    words = Counter(cell["verdict"] for cell in cells)
    by_scale = Counter(dict.fromkeys(ON, 0))
    for word, count in words.items():
        if word in DECIDED:
            by_scale[DECIDED[word]] += count
    return ({scale: by_scale[scale] for scale in ON if by_scale[scale]},
            {word: count for word, count in words.items() if word not in DECIDED})


def headline(cells: Sequence[Mapping]) -> str:
    """How many claims are decided, on what, and how many are open, in a sentence."""
    scales, open_ = decided(cells)
    told = ", ".join(f"{count} {ON[scale]}" for scale, count in scales.items()) or "none"
    words = ", ".join(f"{count} {word}" for word, count in sorted(open_.items(), key=lambda pair: -pair[1]))
    return (f"Of {len(cells)} claims {sum(scales.values())} are decided: {told}."
            + f" {sum(open_.values())} are open: {words}." * bool(open_))


def verdicts(cell: Mapping) -> str:
    """A claim's verdict for each kind of model, its headline first: "small real: does not hold; pocket: holds"."""
    if not cell["platform"] and cell["verdict"] not in DECIDED:
        return cell["verdict"]
    scale = DECIDED.get(cell["verdict"])
    on = [MARKS[scale]] if scale else [MARKS[one] for one in cell["mark"].split(", ") if one]
    first = f"{', '.join(on)}: {in_short(cell['verdict'])}" if on else cell["verdict"]
    return "; ".join(filter(None, (first, cell["also"])))


def text(cells: Sequence[Mapping]) -> str:
    """The ledger for a terminal: id, name, verdicts, our value with its interval."""
    lines = [[cell["id"], cell["name"], verdicts(cell), "" if cell["ours_short"] == "none" else cell["ours_short"]]
             for cell in cells]
    return "\n".join([headline(cells), "", *aligned(("claim", "what", "verdict", "ours (95 % interval, or range of readings)"),
                                                    lines, 4), "", "edgekit claims ID shows what one comes from"]) + "\n"


def page(cells: Sequence[Mapping], sentences: Sequence[Sentence], address: str) -> str:
    """The ledger as Markdown, and below it every sentence of the documents with what became of it. address: of the page of
    `{id}`."""
    links = {cell["id"]: f"[{cell['id']}]({address.format(id=cell['id'])})" for cell in cells}
    lines = ["# The ledger", "", headline(cells), "",
             "| claim | what | verdict by what it rests on | ours |", "|---|---|---|---|"]
    lines += ["| " + " | ".join((links[cell["id"]], cell["name"], verdicts(cell),
                                 "" if cell["ours_short"] == "none" else cell["ours_short"])) + " |" for cell in cells]
    lines += ["", "## What became of each sentence", "",
              f"Of {counted(sentences)}. A sentence is told in our words; its place is section, paragraph and sentence.", ""]
    documents = dict.fromkeys(sentence.document for sentence in sentences)
    for document in documents:
        lines += [f"### {document}", "", "| where | says | judged by, or why not |", "|---|---|---|"]
        for one in sentences:
            if one.document == document:
                judged = ", ".join(links[claim] for claim in one.claims) or one.excluded
                lines.append(f"| {one.at.partition(' ')[2]}, {one.section} | {_cell(one.says)} | {_cell(judged)} |")
        lines.append("")
    return "\n".join(lines)


def _cell(words: str) -> str:
    return " ".join(words.split()).replace("|", "\\|")
