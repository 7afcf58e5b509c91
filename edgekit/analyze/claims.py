"""Published claims as tests on rows. A verdict is computed from intervals; nobody types one.

`data/published/claims.yaml` says what each document states, which quantity (quantities.py) would settle it, and
what range is accepted. The interval decides: wholly inside the range, wholly outside of it, or across its edge.
For the last the verdict is "undecided", because neither word would be true: more repeats would decide, and the
reason says so. Only rows whose source is "measured" count.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from edgekit import store
from edgekit.analyze.quantities import QUANTITIES, NotMeasured, Observation, Setting

VERDICTS = ("reproduced", "not reproduced", "holds at scale model", "does not hold at scale model", "inconsistent",
            "not testable here", "undecided")
KINDS = ("real", "shape", "pocket")
PUBLISHED = ("quantity", "value", "low", "high", "unit", "text", "label", "platform", "parameters", "prompt_tokens",
             "output_tokens", "step_bytes", "locator")


class ClaimsError(ValueError):
    """The file of claims says something that cannot be judged; the message names the entry and what is known."""


@dataclass(frozen=True)
class Comparison:
    """`quantity` must lie between low and high (infinite where only one end is asked)."""

    quantity: str
    low: float
    high: float
    tolerance: float
    tolerance_reason: str

    @property
    def accepted(self) -> tuple[float, float]:
        return self.low - self.tolerance, self.high + self.tolerance

    @property
    def wanted(self) -> str:
        margin = f", give or take {self.tolerance:g}" if self.tolerance else ""
        margin += f" ({self.tolerance_reason})"
        if math.isinf(self.high):
            return f"at least {self.low:g}{margin}"
        return f"at most {self.high:g}{margin}" if math.isinf(self.low) else f"{self.low:g} to {self.high:g}{margin}"

    def outcome(self, seen: Observation) -> str:
        """inside, outside or across, by the whole interval; across when one run left no interval."""
        low, high = self.accepted
        if seen.estimate.low is None:
            return "across"
        if low <= seen.estimate.low and seen.estimate.high <= high:
            return "inside"
        return "outside" if seen.estimate.high < low or seen.estimate.low > high else "across"


@dataclass(frozen=True)
class Claim:
    id: str
    document: str
    title: str
    locator: str
    statement: str
    study: str
    figure: str
    published: tuple[Mapping, ...]
    tests: tuple[Comparison, ...]
    setting: Setting
    needs: str


@dataclass(frozen=True)
class Verdict:
    """What the rows of one platform say about a claim. `seen` may hold values for orientation only."""

    claim: Claim
    verdict: str
    platform: str
    reason: str
    seen: tuple[Observation, ...] = ()


def load(study: str | None = None, path: Path | None = None) -> list[Claim]:
    """The claims of a study (e.g. "02_baseline"), or all of them. Raises ClaimsError."""
    path = path or store.ROOT / "data" / "published" / "claims.yaml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ClaimsError(f"cannot read {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ClaimsError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    _check_keys(content, ("documents", "claims"), str(path))
    claims = [_claim(entry, content["documents"], f"{path}, claim {position}")
              for position, entry in enumerate(content["claims"], 1)]
    ids = [claim.id for claim in claims]
    if twice := sorted({name for name in ids if ids.count(name) > 1}):
        raise ClaimsError(f"{path}: claim {twice[0]} stands there twice")
    return [claim for claim in claims if study in (None, claim.study)]


def judge(claims: Iterable[Claim], frame: pd.DataFrame, platform: str) -> list[Verdict]:
    """A verdict for each claim from the measured rows of one platform (a frame of `store.to_frame`)."""
    measured = frame[frame.source == "measured"] if len(frame) else frame
    return [_judge(claim, measured, platform) for claim in claims]


def published(claim_id: str, quantity: str | None = None, path: Path | None = None) -> pd.DataFrame:
    """The printed numbers of a claim as a table, `source` = "published", for the crosses in figures.

    Where an entry gives no locator of its own it has the claim's. Raises ClaimsError for an unknown claim.
    """
    claims = {claim.id: claim for claim in load(path=path)}
    if claim_id not in claims:
        raise ClaimsError(f"unknown claim {claim_id!r}; known: {', '.join(claims)}")
    claim = claims[claim_id]
    table = pd.DataFrame([{"locator": claim.locator, **entry} for entry in claim.published], columns=PUBLISHED)
    table = table.assign(claim=claim.id, source="published")
    return table if quantity is None else table[table.quantity == quantity].reset_index(drop=True)


def cells(verdicts: Iterable[Verdict]) -> list[dict[str, str]]:
    """One dictionary of texts a verdict, for tables: `figure` is the link to the figure in the rendered report."""
    return [{
        "id": verdict.claim.id, "document": verdict.claim.title, "locator": verdict.claim.locator,
        "statement": verdict.claim.statement, "published": _printed(verdict.claim),
        "ours": "; ".join(f"{seen.estimate.what}: {seen.estimate}" for seen in verdict.seen) or "none",
        "where": "; ".join(dict.fromkeys(seen.where for seen in verdict.seen)), "platform": verdict.platform,
        "verdict": verdict.verdict, "reason": verdict.reason,
        "figure": f"{verdict.claim.study}.html#fig-{verdict.claim.figure}",
    } for verdict in verdicts]


def markdown_table(verdicts: Iterable[Verdict]) -> str:
    """The verdicts as a Markdown table: claim, published, ours, verdict and why."""
    lines = ["| claim | published | ours (95 % interval) | verdict | why |", "|---|---|---|---|---|"]
    for cell in cells(verdicts):
        texts = (f"{cell['id']} {cell['statement']}", cell["published"], cell["ours"],
                 f"**{cell['verdict']}** on {cell['platform']}", cell["reason"])
        lines.append("| " + " | ".join(text.replace("|", "\\|").replace("\n", " ") for text in texts) + " |")
    return "\n".join(lines) + "\n"


def _judge(claim: Claim, frame: pd.DataFrame, platform: str) -> Verdict:
    seen, missing, outcomes, sentences = [], [], [], []
    for test in claim.tests:
        try:
            observation = QUANTITIES[test.quantity](frame, claim.setting, test.accepted)
        except NotMeasured as error:
            missing.append(str(error))
            continue
        seen.append(observation)
        outcomes.append(test.outcome(observation))
        sentences.append(_sentence(test, observation, outcomes[-1]))

    def verdict(word: str, *reasons: str) -> Verdict:
        reason = " ".join(text[0].upper() + text[1:] + "." for text in reasons)
        return Verdict(claim, word, platform, reason, tuple(seen))

    absent = f"not measured in this run: {'; '.join(dict.fromkeys(missing))}"
    if claim.setting.platforms and platform not in claim.setting.platforms:
        shown = [f"For orientation, here {observation.where}: {observation.estimate.what} {observation.estimate}"
                 + _also(observation) for observation in seen]
        return verdict("not testable here", f"needs {claim.needs}; these rows are from {platform}",
                       *shown, *([absent] if missing else []))
    if "outside" not in outcomes and missing:
        return verdict("not testable here", absent, f"Needs {claim.needs}", *sentences)
    at_scale = any(observation.scale == "pocket" for observation in seen)
    sentences = [*([absent] if missing else []), *sentences,
                 *(["A scale model is smaller, so overhead and caches count for more than in the document's models"]
                   if at_scale else [])]
    if "outside" in outcomes:
        return verdict("does not hold at scale model" if at_scale else "not reproduced", *sentences)
    if "across" in outcomes:
        return verdict("undecided", *sentences)
    return verdict("holds at scale model" if at_scale else "reproduced", *sentences)


def _sentence(test: Comparison, seen: Observation, outcome: str) -> str:
    said = {"inside": "wholly inside of", "outside": "wholly outside of", "across": "not decided against"}[outcome]
    more = ""
    if outcome == "across":
        more = "; one run has no interval" if seen.estimate.low is None else "; more repeats would narrow the interval"
    return (f"{seen.estimate.what} is {seen.estimate}, {said} what is accepted: {test.wanted}{more}. "
            f"Measured on {seen.where}{_also(seen)}")


def _also(seen: Observation) -> str:
    return f"; {seen.note}" if seen.note else ""


def _printed(claim: Claim) -> str:
    """The document's numbers in one line: its own words where they are given, else value and label."""
    def one(entry: Mapping) -> str:
        if "text" in entry:
            return entry["text"]
        value = f"{entry['value']:g}" if "value" in entry else f"{entry['low']:g} to {entry['high']:g}"
        return f"{value}{' ' if entry['unit'] else ''}{entry['unit']} ({entry['label']})"

    return "; ".join(map(one, claim.published))


def _check_keys(entry, known: tuple[str, ...], where: str, optional: tuple[str, ...] = ()) -> None:
    if not isinstance(entry, dict):
        raise ClaimsError(f"{where}: expected names and values, got {entry!r}")
    if unknown := [key for key in entry if key not in (*known, *optional)]:
        raise ClaimsError(f"{where}: unknown key {unknown[0]!r}; known: {', '.join((*known, *optional))}")
    if missing := [key for key in known if key not in entry]:
        raise ClaimsError(f"{where}: missing key {missing[0]!r}; expected: {', '.join(known)}")


def _claim(entry: dict, documents: dict, where: str) -> Claim:
    texts = ("id", "document", "locator", "statement", "study", "figure", "needs")
    _check_keys(entry, (*texts, "published", "tests", "setting"), where)
    where = f"{where} ({entry['id']})"
    if entry["document"] not in documents:
        raise ClaimsError(f"{where}: unknown document {entry['document']!r}; known: {', '.join(documents)}")
    for printed in entry["published"]:
        _check_keys(printed, ("quantity", "unit", "label"), f"{where}, published", PUBLISHED)
        if ("value" in printed) == ("low" in printed and "high" in printed):
            raise ClaimsError(f"{where}, published: expected a value, or low and high, got {printed}")
    if not entry["tests"]:
        raise ClaimsError(f"{where}: expected at least one test")
    return Claim(**{name: entry[name] for name in texts}, title=documents[entry["document"]]["title"],
                 published=tuple(entry["published"]), setting=_setting(entry["setting"], f"{where}, setting"),
                 tests=tuple(_test(test, f"{where}, tests") for test in entry["tests"]))


def _setting(entry: dict, where: str) -> Setting:
    _check_keys(entry, ("platforms", "models"), where, tuple(Setting.__dataclass_fields__))
    if unknown := [name for name in entry["models"] if name not in KINDS]:
        raise ClaimsError(f"{where}: unknown kind of model {unknown[0]!r}; known: {', '.join(KINDS)}")
    platforms = () if entry["platforms"] == "any" else entry["platforms"]
    if isinstance(platforms, str):
        raise ClaimsError(f"{where}: platforms are `any` or a list, got {platforms!r}")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}
    return Setting(**(values | {"platforms": tuple(platforms)}))


def _test(entry: dict, where: str) -> Comparison:
    _check_keys(entry, ("quantity", "expect", "tolerance"), where)
    if entry["quantity"] not in QUANTITIES:
        raise ClaimsError(f"{where}: unknown quantity {entry['quantity']!r}; known: {', '.join(QUANTITIES)}")
    _check_keys(entry["tolerance"], ("absolute", "reason"), f"{where}, tolerance")
    ranges = {"at_least": lambda value: (value, math.inf), "at_most": lambda value: (-math.inf, value),
              "between": tuple}
    if len(entry["expect"]) != 1 or not set(entry["expect"]) <= set(ranges):
        raise ClaimsError(f"{where}: expected one of {', '.join(ranges)}, got {entry['expect']}")
    [(comparison, value)] = entry["expect"].items()
    low, high = ranges[comparison](value)
    return Comparison(entry["quantity"], float(low), float(high), float(entry["tolerance"]["absolute"]),
                entry["tolerance"]["reason"])
