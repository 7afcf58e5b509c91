"""A comparison as text for a terminal, and as plain values for programs and the report."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Sequence

from edgekit.analyze.stats import number, told
from edgekit.columns import aligned
from edgekit.compare.comparison import Comparison, Study
from edgekit.compare.effects import FALSE_DISCOVERIES, Effect
from edgekit.compare.environment import Line
from edgekit.compare.join import Cell
from edgekit.console import fields

MOST = 12  # changes that a terminal shows of one study
SAME = {True: "same", False: "DIFFERS", None: "not said"}
COUNTED = {True: "the same", False: "different", None: "not said by both"}
METHOD = (f"Changed: of all cells of a study together, at most {FALSE_DISCOVERIES:.0%} of those told are expected to be chance "
          "(Benjamini-Hochberg). Intervals are 95 % of one cell, over the samples of these two files: how far a machine is "
          "from itself on another day is not in them.")


def text(found: Comparison) -> str:
    """The comparison for a terminal."""
    lines = [f"A  {found.a}", f"B  {found.b}", "", METHOD]
    for one in found.studies:
        lines += ["", one.name, *_study(one)]
    lines += [f"\nonly in {side}: {', '.join(names)}" for side, names in (("A", found.only_a), ("B", found.only_b)) if names]
    return "\n".join(lines) + "\n"


def summary(one: Study) -> str:
    """How many cells were compared and how many changed, in a sentence."""
    tested = [effect for effect in one.effects if effect.p is not None]
    single = [effect for effect in one.effects if effect.p is None]
    other = sum(effect.a != effect.b for effect in single)
    words = f"{len(one.effects)} cells in both: {sum(one.changed)} of {len(tested)} tested ones changed"
    if single:
        words += f"; of {len(single)} with one sample a side {other} {'is' if other == 1 else 'are'} not the same number"
    alone = [f"{count} only in {side}" for side, count in (("A", one.only_a), ("B", one.only_b)) if count]
    alone += [f"{one.unpaired} without a common item"] if one.unpaired else []
    return f"{words}{'; ' * bool(alone)}{', '.join(alone)}"


def changes(one: Study) -> list[Effect]:
    """The effects that changed, the largest ratios first, then the differences."""
    found = [effect for effect, changed in zip(one.effects, one.changed, strict=True) if changed]
    return sorted(found, key=lambda effect: (effect.kind, -_size(effect)))


def _size(effect: Effect) -> float:
    return abs(math.log(effect.estimate.value)) if effect.kind == "ratio" else abs(effect.estimate.value)


def by(effect: Effect) -> str:
    """By how much, with the interval: times for a ratio, signed for a difference."""
    estimate = effect.estimate
    words = told(estimate.value, estimate.low, estimate.high)
    return f"{words} times" if effect.kind == "ratio" else f"{'+' * (estimate.value > 0)}{words}"


def where(cell: Cell) -> str:
    """What was varied, in a line."""
    return fields(dict(cell[1]))


def refusals(one: Study) -> list[str]:
    """Why rows were not compared: how many by which difference, and of which metrics."""
    return [f"{count} rows of B not compared ({', '.join(one.refused_metrics[reason])}): {reason}"
            for reason, count in one.refused.items()]


def _study(one: Study) -> list[str]:
    lines = ["  " + summary(one)]
    shown = changes(one)
    if shown:
        table = [[effect.cell[0], where(effect.cell), number(effect.a), number(effect.b), by(effect)]
                 for effect in shown[:MOST]]
        lines += ["    " + line for line in aligned(("metric", "where", "A", "B", "B over A, or B less A"), table, 2)]
    if len(shown) > MOST:
        lines.append(f"    and {len(shown) - MOST} more; --json has them all")
    lines += [f"  refused: {words}" for words in refusals(one)]
    lines += [f"  verdict of {moved.id} ({moved.name}): {moved.a} [{moved.a_value}] in A, {moved.b} [{moved.b_value}] in B"
              for moved in one.moved]
    if one.verdicts and not one.moved:
        lines.append(f"  verdicts: {len(one.verdicts)}, the same on both sides")
    lines += ["  reproducibility: " + counted(one.checklist)]
    different = [line for line in one.checklist if not line.same]
    table = [[line.what, line.held or "nothing: told only", line.a, line.b, SAME[line.same]] for line in different]
    return lines + (["    " + line for line in aligned(("what", "held by", "A", "B", ""), _short(table), 5)] if table else [])


def counted(lines: Iterable[Line]) -> str:
    """How many lines of a checklist are the same, differ, or were not said."""
    lines = list(lines)
    return ", ".join(f"{sum(line.same is same for line in lines)} {word}" for same, word in COUNTED.items())


def _short(table: Sequence[Sequence[str]], most: int = 44) -> list[list[str]]:
    """A terminal's lines; --json has the whole texts."""
    return [[cell if len(cell) <= most else cell[:most - 1] + "…" for cell in line] for line in table]


def data(found: Comparison) -> str:
    """The comparison as JSON: every compared cell, in SI units, null for an interval that is not known."""
    return json.dumps(plain(found), indent=1, ensure_ascii=False)


def plain(found: Comparison) -> dict:
    """The comparison as plain values."""
    return {"a": found.a, "b": found.b, "only_a": found.only_a, "only_b": found.only_b, "studies": [{
        "study": one.name, "summary": summary(one), "only_a": one.only_a, "only_b": one.only_b, "unpaired": one.unpaired,
        "effects": [{"metric": effect.cell[0], "condition": dict(effect.cell[1]), "a": effect.a, "b": effect.b,
                     "kind": effect.kind, "value": effect.estimate.value, "low": effect.estimate.low,
                     "high": effect.estimate.high, "n": effect.estimate.n, "over": effect.over, "lone": effect.lone,
                     "p": effect.p, "changed": changed}
                    for effect, changed in zip(one.effects, one.changed, strict=True)],
        "refused": [{"reason": reason, "rows": count, "metrics": one.refused_metrics[reason]}
                    for reason, count in one.refused.items()],
        "verdicts": [dataclasses.asdict(verdict) for verdict in one.verdicts],
        "checklist": [dataclasses.asdict(line) for line in one.checklist]} for one in found.studies]}
