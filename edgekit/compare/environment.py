"""What the runs of two rows files were made on and of, side by side: what is pinned, and what differs."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

UNKNOWN = "not said"
# What a run's manifest says of its machine, by path, and its name here. "unavailable" is what a machine says that lacks it.
MACHINE = {("name",): "processor or board", ("os",): "system", ("cpu", "flags"): "instruction sets",
           ("cpu", "allowed_threads"): "threads that may run", ("cpu", "last_level_cache_bytes"): "last-level cache (bytes)",
           ("memory", "total_bytes"): "memory (bytes)", ("gpu",): "GPU", ("governor",): "governor",
           ("power_mode",): "power mode", ("power_supply",): "power supply"}


@dataclass(frozen=True)
class Line:
    """One thing that makes a number what it is. held: by what the kit holds it, "" for what it can only tell. same: whether
    both sides say the same; None where one does not say."""

    what: str
    held: str
    a: str
    b: str
    same: bool | None


def checklist(a: Iterable[Mapping], b: Iterable[Mapping]) -> list[Line]:
    """The lines for the manifests of two sides, the same in whatever order they come."""
    a, b = list(a), list(b)
    lines = [
        _line("version of the kit", "its number in the manifest", a, b, lambda run: run["packages"].get("edgekit")),
        _line("commit", "the manifest names it", a, b, lambda run: run["git_commit"][:12]),
        _line("uncommitted changes", "the manifest says whether", a, b, lambda run: "yes" if run["git_dirty"] else "no"),
        _line("version of the study", "part of every row's key", a, b, lambda run: run.get("version")),
        _line("seed", "a parameter", a, b, lambda run: run["seed"]),
        *_parameters(a, b),
        *_models(a, b),
        *_named("", "pinned by the set-up's lists", a, b, lambda run: run["packages"].items(), without=("edgekit",)),
        *_named("build of", "part of every row's key", a, b, lambda run: {
            told["name"]: told.get("kernel") or UNKNOWN for told in run["engines"].values()}.items()),
        _line("platform", "", a, b, lambda run: run["platform"])]
    for path, what in MACHINE.items():
        lines.append(_line(what, "", a, b, lambda run, path=path: _at(run["machine"], path)))
    return [*lines, _bandwidth(a, b)]


def _models(a: list[Mapping], b: list[Mapping]) -> list[Line]:
    """A line for each model that both sides opened; what only one did is another condition, and no difference."""
    opened = [{name for run in runs for name in run["inputs"] if ">" not in name} for runs in (a, b)]
    return [_line(f"content of {name}", "its hash is part of the key", a, b, lambda run, name=name: run["inputs"].get(name))
            for name in sorted(set.intersection(*opened))]


def _parameters(a: list[Mapping], b: list[Mapping]) -> list[Line]:
    """A line for each parameter that differs, or one for all of them."""
    names = dict.fromkeys(name for run in (*a, *b) for name in run["params"])
    lines = [_line(f"parameter {name}", "a params file", a, b, lambda run, name=name: run["params"].get(name))
             for name in names]
    different = [line for line in lines if not line.same]
    return [*different, Line("parameters that are the same", "a params file", str(len(names) - len(different)),
                             str(len(names) - len(different)), True)]


def _named(word: str, held: str, a: list[Mapping], b: list[Mapping], pairs: Callable[[Mapping], Iterable[tuple[str, object]]],
           without: tuple[str, ...] = ()) -> list[Line]:
    names = dict.fromkeys(name for run in (*a, *b) for name, _ in pairs(run))
    return [_line(f"{word} {name}".strip(), held, a, b, lambda run, name=name: dict(pairs(run)).get(name))
            for name in sorted(names) if name not in without]


def _line(what: str, held: str, a: list[Mapping], b: list[Mapping], of: Callable[[Mapping], object]) -> Line:
    """What the runs of either side say, each thing once; runs that say nothing of it are left out."""
    said = [[_text(value) for run in runs if (value := of(run)) is not None] for runs in (a, b)]
    both = [sorted(dict.fromkeys(texts)) for texts in said]
    return Line(what, held, *("; ".join(texts) or UNKNOWN for texts in both), both[0] == both[1] if all(both) else None)


def _at(machine: Mapping, path: tuple[str, ...]) -> object:
    found: object = machine
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        if set(value) == {"unavailable"}:
            return "not readable"
        return ", ".join(f"{name} {_text(inner)}" for name, inner in value.items())
    return (", ".join(map(_text, value)) or "none") if isinstance(value, (list, tuple)) else str(value) or "none"


def _bandwidth(a: list[Mapping], b: list[Mapping]) -> Line:
    """Medians over all runs of a side; the same where they are within a tenth, which two runs of one machine are."""
    samples = [[sample for run in runs for sample in run["memory_bandwidth_byte_per_s"]] for runs in (a, b)]
    if not all(samples):
        return Line("measured read bandwidth", "", *("said" if one else UNKNOWN for one in samples), None)
    ours, theirs = map(statistics.median, samples)
    return Line("measured read bandwidth (GB/s)", "", f"{ours / 1e9:.3g}", f"{theirs / 1e9:.3g}", 0.9 < theirs / ours < 1 / 0.9)
