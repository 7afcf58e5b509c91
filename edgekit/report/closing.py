"""What is said when notebooks have ended: how each did, then what came out, what failed, and what to do next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import store
from edgekit.claims.judgement import VERDICTS
from edgekit.console import duration

if TYPE_CHECKING:
    from edgekit.report.run import Outcome

MOST = 3  # reasons that stand in one line


def notebooks(count: int) -> str:
    return f"{count} notebook{'' if count == 1 else 's'}"


def ended(outcome: Outcome) -> str:
    """One line of one notebook, its failures at once."""
    failures = f" with {failed(outcome.unexpected)}" if outcome.unexpected else ""
    return f"{outcome.sentence}{failures} ({duration(outcome.seconds)})"


def failed(reasons: Sequence[str]) -> str:
    """How many failures, and the most frequent reasons."""
    counted = Counter(reasons).most_common()
    told = [f"{count} × {reason}" if count > 1 else reason for reason, count in counted[:MOST]]
    more = [f"and {len(counted) - MOST} more reasons"] if len(counted) > MOST else []
    return f"{len(reasons)} failure{'' if len(reasons) == 1 else 's'}: {'; '.join(told + more)}"


def first_figure(notebook: str, profile: str) -> Path | None:
    """A figure of a notebook that can be looked at while the others run."""
    return next(iter(sorted((store.runs_folder(profile) / "figures" / notebook).glob("*.svg"))), None)


def block(outcomes: Sequence[Outcome], profile: str, cells: Iterable[Mapping], report: Path | None, *, retry: bool) -> str:
    """The last words of a run: verdicts by kind (of `cells`, all claims judged on it), failures, where the report is, and the
    next command."""
    lines = [("verdicts", tally(cells))]
    lines += [(outcome.notebook, closing) for outcome in outcomes if (closing := _trouble(outcome))]
    lines.append(("report", report.as_uri() if report else f"not made; edgekit report --profile {profile}"))
    lines += [("next", command) for command in _next(outcomes, profile, retry)]
    width = max(len(name) for name, _ in lines)
    return "\n".join(["", *(f"{name:<{width}}  {text}" for name, text in lines)])


def tally(cells: Iterable[Mapping]) -> str:
    """How many claims have which verdict."""
    count = Counter(cell["verdict"] for cell in cells)
    return ", ".join(f"{count[word]} {word}" for word in VERDICTS if count[word])


def _trouble(outcome: Outcome) -> str:
    if outcome.state in ("failed", "interrupted"):
        return outcome.sentence
    return failed(outcome.unexpected) if outcome.unexpected else ""


def _next(outcomes: Iterable[Outcome], profile: str, retry: bool) -> list[str]:
    if any(outcome.state == "interrupted" for outcome in outcomes):
        return ["the same command again goes on where this one stopped"]
    again = [outcome.notebook for outcome in outcomes if outcome.tried]
    return [f"edgekit run --profile {profile} --retry {' '.join(again)}  # tries again what failed or was too slow"] \
        if again and not retry else []
