"""What `edgekit plan` prints: the forecast of each notebook, as text or as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence

from edgekit.catalog.hub import LOGIN
from edgekit.columns import aligned
from edgekit.studies import forecast
from edgekit.studies.forecast import Forecast
from edgekit.studies.needs import size

HEADS = ("task", "engine", "dtype", "planned", "with rows", "refused", "failed before", "left", "minutes")


def forecasts(notebooks: Iterable[str], profile: str) -> list[Forecast]:
    """The forecast of each notebook. Raises as forecast.forecast."""
    return [forecast.forecast(notebook, profile) for notebook in notebooks]


def text(found: Sequence[Forecast]) -> str:
    """Forecasts one after the other, and their sum where there are several."""
    parts = ["\n".join(_lines(one)) for one in found]
    planned = [one for one in found if not one.said]
    if len(planned) > 1:
        left, minutes = sum(_left(one) for one in planned), sum(one.time.seconds for one in planned) / 60
        without = sum(one.time.without for one in planned)
        parts.append(f"all of them: {left} units left, {_minutes(minutes * 60)} minutes"
                     + f" for {left - without} of them, nothing is known of the others" * bool(without))
    return "\n\n".join(parts)


def data(found: Iterable[Forecast]) -> str:
    """Forecasts as JSON: bytes, seconds, and null for what is not known."""
    told = [dataclasses.asdict(one) for one in found]
    for one in told:
        if one["time"]:
            del one["time"]["by_unit"]  # their sums by task, engine and dtype stand in `groups`
    return json.dumps(told, indent=1, ensure_ascii=False)


def _lines(one: Forecast) -> Iterable[str]:
    head = f"{one.notebook}, profile {one.profile}"
    if one.said:
        yield f"{head}: {one.said}"
        return
    yield f"{head}, on {one.place.name} ({one.place.slug}{'' if one.place.here else ', not this machine'})"
    yield from (f"  {line}" for line in aligned(HEADS, [_cells(group, one.time.units > 0) for group in one.groups], left=3))
    for label, said in _said(one):
        yield f"  {label:<10} {said}"


def _left(one: Forecast) -> int:
    return sum(group.left for group in one.groups)


def _cells(group: forecast.Group, known: bool) -> tuple[str, ...]:
    """A line of the table; `known`: whether the minutes of any are."""
    minutes = "" if not (group.left and known) else "?" if group.seconds is None else _minutes(group.seconds)
    counts = (group.planned, group.rows, group.refused, group.tried, group.left)
    return (group.task, group.engine, group.dtype, *map(str, counts), minutes)


def _said(one: Forecast) -> Iterable[tuple[str, str]]:
    """Label and text of each line below the table."""
    planned, rows, refused, tried = (sum(getattr(group, name) for group in one.groups)
                                     for name in ("planned", "rows", "refused", "tried"))
    yield "units", (f"{_left(one)} left of {planned}; {rows} have rows, {refused} are refused"
                    + f", {tried} failed before (--retry starts them again)" * bool(tried))
    for download in one.downloads:
        nbytes = "size not known" if download.nbytes is None else size(download.nbytes)
        access = f"; gated: {LOGIN}" if download.gated else ""
        yield "download", f"{download.name}: {nbytes} ({download.said}){access}"
    free = "what is free there is not known" if one.disk.free_bytes is None else f"{size(one.disk.free_bytes)} are free"
    yield "disk", f"about {size(one.disk.nbytes)} for {one.disk.artifacts} artifacts to be built; {free}"
    if one.memory.most:
        yield "memory", (f"about {size(one.memory.most.nbytes)} for the largest unit ({one.memory.most.words}); one process "
                         f"may take {size(one.memory.limit_bytes)}: {one.memory.limit}")
    yield "minutes", _time(one)
    for refusal in one.refusals:
        yield "refused" if refusal.planned else "will fail", f"{refusal.units} {_units(refusal.units)}: {refusal.reason}"
    for note in one.notes:
        yield "note", note


def _time(one: Forecast) -> str:
    time, own = one.time, f'; the profile says: "{one.words}"' * bool(one.words)
    if not _left(one):
        return "nothing is left to measure"
    if not time.units:
        return f"no estimate: there are no rows of such units yet{own}"
    without = f"; nothing is known of {time.without}" * bool(time.without)
    return f"about {_minutes(time.seconds)}, {'; '.join(time.sources)}{without}{own}"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f}" if seconds >= 600 else f"{seconds / 60:.1f}"


def _units(count: int) -> str:
    return "unit" if count == 1 else "units"
