"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Lines of a table, headings first: the first `left` columns to the left and the others, numbers, to the right. A number's
    column with nothing but zeros and blanks is left out."""
    shown = [i for i in range(len(heads)) if i < left or any(row[i] not in ("", "0") for row in rows)]
    lines = [[line[i] for i in shown] for line in (heads, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(f"{cell:<{width}}" if i < left else f"{cell:>{width}}"
                      for i, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip() for line in lines]
