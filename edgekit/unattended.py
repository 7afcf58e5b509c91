"""`edgekit run --unattended`: rows first, the cheapest of every notebook, then the notebooks that have all of theirs.

What happens is one line on a terminal and lines of JSON in a log that does not outgrow its limit, with a summary at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import logging
import logging.handlers
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from edgekit import report
from edgekit.columns import aligned
from edgekit.console import Console, duration, fields
from edgekit.errors import InvalidRequest
from edgekit.params import require_profile
from edgekit.report import Outcome as Executed
from edgekit.report.check import check
from edgekit.report.run import fetch_named, plans_the_same
from edgekit.studies import local, night, runner
from edgekit.studies.night import Bounds, Executor, Here, Tally, Task

LOG_BYTES = 16 << 20  # of the log, and as much of the one before it
MOST = 4  # reasons that are told of a notebook
HEADS = ("notebook", "planned", "with rows", "new", "skipped", "failed", "left")


class BoundsError(InvalidRequest):
    """A budget, a deadline or a disk limit that cannot be read; the message shows how one is written."""


def bounds(budget: str | None, deadline: str | None, keep_free_gb: float, now: datetime.datetime) -> Bounds:
    """The earlier end of both: a budget such as 8h, 90min or 1h30min from `now`, and a deadline, 06:30 (the next one) or a date
    with a time, 2026-03-01T06:30. `now`: local time, without a zone. What is left is counted from here on, whatever the clock
    is set to later. Raises BoundsError."""
    if keep_free_gb < 0:
        raise BoundsError(f"--keep-free: expected GB of at least 0, got {keep_free_gb}")
    within_s = [seconds(budget, "--budget")] if budget else []
    within_s += [_moment(deadline, now).timestamp() - now.timestamp()] if deadline else []
    return Bounds(time.monotonic() + min(within_s) if within_s else None, keep_free_gb * 1e9)


def seconds(text: str, option: str) -> float:
    """The time that an option was given, in seconds. Raises BoundsError."""
    found = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)min)?(?:(\d+)s)?", text)
    told = sum(float(number or 0) * unit for number, unit in zip(found.groups(), (3600, 60, 1), strict=True)) if found else 0
    if not told:
        raise BoundsError(f"{option}: expected a time such as 8h, 90min or 1h30min, got {text!r}")
    return told


def _moment(deadline: str, now: datetime.datetime) -> datetime.datetime:
    try:
        if re.fullmatch(r"\d{1,2}:\d\d", deadline):
            hour, minute = map(int, deadline.split(":"))
            at = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
            return at if at > now else at + datetime.timedelta(days=1)
        at = datetime.datetime.fromisoformat(deadline)
    except ValueError as error:
        raise BoundsError(f"--deadline: expected 06:30 or 2026-03-01T06:30, got {deadline!r}") from error
    if at.timestamp() <= now.timestamp():
        raise BoundsError(f"--deadline: {deadline} is past; name a time to come")
    return at


class Watch:
    """Tells a person and a log. `log`: the file of the latter, None without one."""

    def __init__(self, console: Console, log: Path | None):
        self._console, self._began = console, {}
        self._log = logging.Logger("night")
        self._log.addHandler(_handler(log) if log else logging.NullHandler())

    def says(self, event: str, **told) -> None:
        """One line of JSON."""
        now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        self._log.info(json.dumps(dict(at=now, event=event, **told), ensure_ascii=False))

    def begins(self, task: Task, where: str, number: int, total: int, left_s: float | None, within_s: float | None) -> None:
        times = (("about {} of work left", left_s), ("{} until the end", within_s))
        told = [words.format(duration(seconds)) for words, seconds in times if seconds is not None]
        on = f" on {where}" * bool(where)
        self._console.now("; ".join([f"night [{number}/{total}] {night.words(task)}{on}", *told]))
        self.says("begins", notebook=task.study, key=task.key, condition=dict(task.unit.condition), repeat=task.unit.repeat,
                  board=where, foretold_s=task.seconds, left_s=left_s, within_s=within_s)

    def ends(self, task: Task, outcome: local.Outcome) -> None:
        state = "left" if outcome.left else "rows" if outcome.answer is not None else \
            "skipped" if outcome.expected else "failed"
        if state == "failed":
            self._console.stays(f"{task.study}: failed: {fields(task.unit.condition)}: {outcome.reason}")
        self.says(state, notebook=task.study, key=task.key, took_s=outcome.took_s, reason=outcome.reason,
                  board=outcome.facts.board if outcome.facts else "")

    def close(self) -> None:
        """Nothing more is said."""
        self._console.clear()
        for handler in self._log.handlers:
            handler.close()


def _handler(log: Path) -> logging.Handler:
    log.parent.mkdir(parents=True, exist_ok=True)
    return logging.handlers.RotatingFileHandler(log, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8")


def run(notebooks: Sequence[str], profile: str, limits: Bounds, executor: Executor, *, log: Path | None,
        force: bool = False, retry: bool = False) -> int:
    """Measure, then execute the notebooks with nothing left, print the summary, and return the exit status: 1 where something
    failed that nobody planned for, else 0. Raises as night.run."""
    values = {notebook: check(notebook, profile) for notebook in notebooks}
    fetch_named(value for parameters in values.values() for value in parameters.values())
    watch, began = Watch(Console(sys.stderr), log), time.monotonic()
    try:
        watch.says("night", notebooks=list(notebooks), profile=profile, within_s=limits.within_s(),
                   least_free_bytes=limits.least_free_bytes)
        with runner.retrying(retry):
            tallies = night.run(notebooks, profile, executor, limits, watch)
        whole = [tally.notebook for tally in tallies if not tally.left and (
            tally.result is None or plans_the_same(tally.notebook, profile))]
        executed = report.run_notebooks(whole, profile, force=force) if whole else []
        print(summary(tallies, executed, time.monotonic() - began))
        status = int(any(tally.result and tally.result.unexpected for tally in tallies) or report.exit_code(executed) > 0)
        watch.says("over", status=status, seconds=round(time.monotonic() - began, 1),
                   notebooks={tally.notebook: dict(zip(HEADS[1:], _counts(tally), strict=True)) for tally in tallies},
                   executed={one.notebook: one.state for one in executed})
        return status
    finally:
        watch.close()


def as_asked(notebooks: Sequence[str], options: argparse.Namespace,
             measuring: Callable[[], AbstractContextManager[Executor]]) -> int:
    """`edgekit run` with one of the options of a night: its exit status. Raises BoundsError, ParamsError for a profile that is
    not there, what `measuring` raises, and else as `run`."""
    require_profile(options.profile)
    free = 1.0 if options.keep_free is None else options.keep_free
    limits = bounds(options.budget, options.deadline, free, datetime.datetime.now())
    with measuring() as executor:
        status = run(notebooks, options.profile, limits, executor, log=Path(options.log) if options.log else None,
                     force=options.force, retry=options.retry)
    if options.report:
        print(f"report: {report.render(options.profile)}")
    return status


@contextlib.contextmanager
def here() -> Iterator[Here]:
    """This machine, as what measures."""
    with local.Local() as place:
        yield Here(place)


def _counts(tally: Tally) -> tuple[int, ...]:
    """What the columns of the summary hold after the notebook's name."""
    result, left = tally.result, sum(tally.left.values())
    if result is None:
        return 0, 0, 0, 0, 0, left
    failed = len(result.unexpected)
    return (tally.planned, result.measured + result.reused, result.measured, len(result.skips) - failed, failed, left)


def summary(tallies: Sequence[Tally], executed: Iterable[Executed], seconds: float) -> str:
    """What came of each notebook, why units were skipped, failed or left, and which notebooks were executed."""
    lines = list(aligned(HEADS, [(tally.notebook, *map(str, _counts(tally))) for tally in tallies], left=1))
    states = {one.notebook: one for one in executed}
    for tally in tallies:
        skips = tally.result.skips if tally.result else []
        for what, reasons in (("failed", Counter(skip.reason for skip in skips if not skip.expected)),
                              ("skipped", Counter(skip.reason for skip in skips if skip.expected)), ("left", tally.left)):
            lines += [f"{tally.notebook}: {count} {what}: {reason}" for reason, count in reasons.most_common(MOST)]
            if more := len(reasons) - MOST:
                lines += [f"{tally.notebook}: {what} for {more} more reasons"] if more > 0 else []
        if tally.left:
            lines.append(f"{tally.notebook}: not executed, since units are left: the same command goes on with them")
        elif tally.notebook not in states:
            lines.append(f"{tally.notebook}: not executed, since this machine would measure other rows; to show those of "
                         f"{tally.result.platform} name their folder as the parameter rows")
        elif (one := states.get(tally.notebook)) and one.state not in ("executed", "unchanged"):
            lines.append(f"{tally.notebook}: {one.sentence}")
    counts = Counter(one.state for one in states.values())
    told = ", ".join(f"{count} {state}" for state, count in counts.items()) or "none executed"
    return "\n".join(["", *lines, f"notebooks: {told}; {duration(seconds)} in all"])
