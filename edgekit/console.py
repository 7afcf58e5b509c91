"""What a person sees of a run: on a terminal one line that is written over, elsewhere a line for each unit."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Mapping
from typing import TextIO

PROGRESS = re.compile(r"\S+ \[\d+/\d+\] ")  # begins the lines that tell how far a study is


class Console:
    """Lines on a stream: those about `now` are written over on a terminal, the others stay."""

    def __init__(self, stream: TextIO):
        self.stream = stream
        self.over = stream.isatty()
        self._shown = False

    def now(self, line: str) -> None:
        """What goes on."""
        if not self.over:
            self.stays(line)
            return
        width = shutil.get_terminal_size().columns - 1
        self.stream.write(f"\r\x1b[K{line if len(line) <= width else line[:width - 1] + '…'}")
        self.stream.flush()
        self._shown = True

    def stays(self, line: str) -> None:
        """Something to be read afterwards too."""
        self.clear()
        self.stream.write(line + "\n")
        self.stream.flush()

    def clear(self) -> None:
        """Take what goes on from the terminal, before something else is printed."""
        if self._shown:
            self.stream.write("\r\x1b[K")
            self.stream.flush()
            self._shown = False


class Progress:
    """How far a study is: a line as each unit begins, with what is left by what its like took."""

    def __init__(self, say: Callable[[str], None], study: str, kinds: list[str]):
        """`kinds`: of every unit to come, what it is in words that its repeats share."""
        self._say, self._study, self._total, self._left = say, study, len(kinds), list(kinds)
        self.took: dict[str, list[float]] = {}

    def begins(self, kind: str, condition: Mapping) -> None:
        number = self._total - len(self._left) + 1
        seconds = self.seconds_left()
        left = f"; about {duration(seconds)} left" if seconds is not None else ""
        self._say(f"{self._study} [{number}/{self._total}] {fields(condition)}{left}")
        self._begun = time.monotonic()

    def ends(self, kind: str, measured: bool) -> None:
        """A unit has rows, or has none: what was refused took no time, which foretells nothing."""
        if measured:
            self.took.setdefault(kind, []).append(time.monotonic() - self._begun)
        self._left.remove(kind)

    def seconds_left(self) -> float | None:
        """By the mean of the units of the same kind, or of all where there was none yet; None before the first one ended."""
        done = [seconds for times in self.took.values() for seconds in times]
        if not done:
            return None
        means = {kind: sum(times) / len(times) for kind, times in self.took.items()}
        return sum(means.get(kind, sum(done) / len(done)) for kind in self._left)


def fields(condition: Mapping) -> str:
    """A condition in one line: what it is about, and what was varied by name."""
    rest = " ".join(f"{name}={value}" for name, value in condition.items() if name != "task" and value not in (None, ""))
    return ": ".join(filter(None, (condition.get("task"), rest)))


def duration(seconds: float) -> str:
    """So long, as people say it: 40 s, 3 min, 1 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
