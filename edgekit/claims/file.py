"""The file of claims: what an entry holds, and every way in which one can be wrong, told in one sentence.

A claim is judged by `tests` on measured rows, by an `audit` of printed numbers, or by both. It may have neither only while
its study is `planned`, that is, not in the kit yet.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit import store, text_files
from edgekit.analyze.observed import SCALES, Observation, Setting
from edgekit.catalog import published
from edgekit.claims import quantities
from edgekit.errors import RunFailed, unknown_name
from edgekit.studies.published_claims import quantities as audit_quantities


class ClaimsError(RunFailed):
    """The file of claims says something that cannot be judged; the message names the entry and what is known."""


@dataclass(frozen=True)
class Comparison:
    """`quantity` must lie between low and high (infinite where only one end is asked).

    published: which of the claim's printed quantities it is about, "" for none.
    """

    quantity: str
    low: float
    high: float
    tolerance: float
    tolerance_reason: str
    published: str = ""

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
class Audit:
    """What printed numbers alone decide. `platform`: the one that the claim is about; `remark`: another reading."""

    checks: tuple[Comparison, ...]
    figure: str = ""  # the one of the audit's notebook that shows it, where one does
    platform: str = ""
    remark: str = ""


@dataclass(frozen=True)
class Claim:
    id: str
    name: str  # a few words
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
    audit: Audit | None = None
    several_artifacts: str = ""  # why no single artifact can pass all of its tests, where that is so
    planned: str = ""  # what its study will ask, where that study is not in the kit yet


def load(study: str | None = None, path: Path | None = None) -> list[Claim]:
    """The claims of a study (e.g. "02_baseline"), or all of them. Raises ClaimsError."""
    path = path or store.ROOT / "data" / "published" / "claims.yaml"
    content = text_files.yaml_of(path, ClaimsError)
    _check_keys(content, ("documents", "claims"), str(path), ("planned", "units"))
    claims = [_claim(entry, content, f"{path}, claim {position}") for position, entry in enumerate(content["claims"], 1)]
    ids = [claim.id for claim in claims]
    if twice := sorted({name for name in ids if ids.count(name) > 1}):
        raise ClaimsError(f"{path}: claim {twice[0]} stands there twice")
    return [claim for claim in claims if study in (None, claim.study)]


def _check_keys(entry, known: tuple[str, ...], where: str, optional: tuple[str, ...] = ()) -> None:
    if not isinstance(entry, dict):
        raise ClaimsError(f"{where}: expected names and values, got {entry!r}")
    if unknown := [key for key in entry if key not in (*known, *optional)]:
        raise ClaimsError(f"{where}: " + unknown_name("key", unknown[0], (*known, *optional)))
    if missing := [key for key in known if key not in entry]:
        raise ClaimsError(f"{where}: missing key {missing[0]!r}; expected: {', '.join(known)}")


def _check_texts(entry: dict, names: tuple[str, ...], where: str) -> None:
    for name in names:
        if name in entry and not (isinstance(entry[name], str) and entry[name].strip()):
            raise ClaimsError(f"{where}: expected a text for {name!r}, got {entry[name]!r}"
                              + ("; say where in the document it stands" if name == "locator" else ""))


def _claim(entry: dict, content: dict, where: str) -> Claim:
    texts = ("id", "name", "document", "locator", "statement", "study", "needs")
    _check_keys(entry, (*texts, "published"), where, ("figure", "tests", "setting", "audit", "several_artifacts"))
    where = f"{where} ({entry['id']})"
    _check_texts(entry, (*texts, "figure", "several_artifacts"), where)
    documents, planned = content["documents"], content.get("planned", {})
    if entry["document"] not in documents:
        raise ClaimsError(f"{where}: " + unknown_name("document", entry['document'], documents))
    for printed in entry["published"]:
        _published(printed, content.get("units", {}), f"{where}, published")
    domains = {name: (quantity.low, quantity.high) for name, quantity in quantities.QUANTITIES.items()}
    names = tuple(dict.fromkeys(number["quantity"] for number in entry["published"]))
    tests = tuple(_test(test, domains, names, f"{where}, tests") for test in entry.get("tests", ()))
    if tests and entry["study"] in planned:
        raise ClaimsError(f"{where}: has tests although {entry['study']} is planned; take the study out of `planned`")
    if tests:
        _check_keys(entry, (*texts, "published", "tests", "figure", "setting"), where, ("audit", "several_artifacts"))
    elif "tests" in entry or ("audit" not in entry and entry["study"] not in planned):
        raise ClaimsError(f"{where}: expected at least one test, or an audit, or a study that is planned "
                          f"({', '.join(planned) or 'none is'}), got study {entry['study']!r}")
    return Claim(**{name: entry[name] for name in texts}, figure=entry.get("figure", ""),
                 title=documents[entry["document"]]["title"], published=tuple(entry["published"]), tests=tests,
                 setting=_setting(entry["setting"], f"{where}, setting") if tests else Setting(()),
                 audit=_audit(entry["audit"], names, f"{where}, audit") if "audit" in entry else None,
                 several_artifacts=entry.get("several_artifacts", ""), planned=planned.get(entry["study"], ""))


def _published(entry: dict, units: dict, where: str) -> None:
    _check_keys(entry, ("quantity", "unit", "label"), where, published.FIELDS)
    if entry["quantity"] not in units:
        raise ClaimsError(f"{where}: " + unknown_name("quantity", entry['quantity'], units))
    if entry["unit"] != units[entry["quantity"]]:
        raise ClaimsError(f"{where}: expected {entry['quantity']} in {units[entry['quantity']]!r}, got {entry['unit']!r}")
    if ("value" in entry) == ("low" in entry and "high" in entry):
        raise ClaimsError(f"{where}: expected a value, or low and high, got {entry}")
    for end in ("value", "low", "high"):
        if end in entry:
            _finite(entry[end], f"{where}, {end}")


def _setting(entry: dict, where: str) -> Setting:
    _check_keys(entry, ("platforms", "models"), where, tuple(Setting.__dataclass_fields__))
    if unknown := [name for name in entry["models"] if name not in SCALES]:
        raise ClaimsError(f"{where}: " + unknown_name("kind of model", unknown[0], SCALES))
    platforms = () if entry["platforms"] == "any" else entry["platforms"]
    if isinstance(platforms, str):
        raise ClaimsError(f"{where}: platforms are `any` or a list, got {platforms!r}")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}
    return Setting(**(values | {"platforms": tuple(platforms)}))


def _audit(entry: dict, printed: tuple[str, ...], where: str) -> Audit:
    _check_keys(entry, ("checks",), where, ("figure", "platform", "remark"))
    _check_texts(entry, ("figure", "platform", "remark"), where)
    if not entry["checks"]:
        raise ClaimsError(f"{where}: expected at least one check, got none")
    return Audit(tuple(_test(check, audit_quantities.DOMAINS, printed, f"{where}, checks") for check in entry["checks"]),
                 **{name: entry[name] for name in ("figure", "platform", "remark") if name in entry})


def _test(entry: dict, domains: Mapping[str, tuple[float, float]], printed: tuple[str, ...], where: str) -> Comparison:
    """`printed`: the quantities of the claim's printed numbers."""
    _check_keys(entry, ("quantity", "expect", "tolerance"), where, ("published",))
    if entry.get("published", "") not in ("", *printed):
        raise ClaimsError(f"{where}: unknown printed quantity {entry['published']!r}; known: {', '.join(printed) or 'none'}")
    if entry["quantity"] not in domains:
        raise ClaimsError(f"{where}: " + unknown_name("quantity", entry['quantity'], domains))
    _check_keys(entry["tolerance"], ("absolute", "reason"), f"{where}, tolerance")
    _check_texts(entry["tolerance"], ("reason",), f"{where}, tolerance")
    if not isinstance(entry["expect"], dict) or len(entry["expect"]) != 1 or not set(entry["expect"]) <= set(published.EXPECT):
        raise ClaimsError(f"{where}: expected one of {', '.join(published.EXPECT)}, got {entry['expect']}")
    [(comparison, value)] = entry["expect"].items()
    if comparison == "between" and not (isinstance(value, list) and len(value) == 2):
        raise ClaimsError(f"{where}: between takes two numbers, got {value!r}")
    for end in value if comparison == "between" else [value]:
        _finite(end, f"{where}, {comparison}")
    low, high = published.EXPECT[comparison](value)
    test = Comparison(entry["quantity"], float(low), float(high),
                      _finite(entry["tolerance"]["absolute"], f"{where}, tolerance"), entry["tolerance"]["reason"],
                      entry.get("published", ""))
    _can_fail(test, domains[test.quantity], where)
    return test


def _finite(value, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ClaimsError(f"{where}: expected a finite number, got {value!r}")
    return float(value)


def _can_fail(test: Comparison, domain: tuple[float, float], where: str) -> None:
    """Raise ClaimsError unless some possible value passes the test, some fails it, and each stated end counts.

    A tolerance may not reach from a stated end to where the quantity stops by nature: that end could then never fail.
    Where nothing stops it on the failing side, the way to the stop on the other side is the measure.
    """
    where = f"{where}, {test.quantity}"
    possible = "{:g} to {:g}".format(*domain)
    if test.tolerance < 0 or test.low > test.high:
        raise ClaimsError(f"{where}: expected low <= high and a tolerance of at least 0, got {test.low:g} to {test.high:g} and "
                          f"{test.tolerance:g}")
    low, high = test.accepted
    if high < domain[0] or low > domain[1]:
        raise ClaimsError(f"{where}: accepts {low:g} to {high:g}, where it cannot be ({possible}); no row could pass")
    if low <= domain[0] and high >= domain[1]:
        raise ClaimsError(f"{where}: accepts {low:g} to {high:g}, which is all that it can be ({possible}); no row could fail: "
                          "narrow the range or the tolerance")
    for end, ahead, behind in ((test.low, *domain), (test.high, *reversed(domain))):
        room = abs(end - (ahead if math.isfinite(ahead) else behind))
        if math.isfinite(end) and room and test.tolerance >= room:
            raise ClaimsError(f"{where}: expected a tolerance below {room:g}, the way from {end:g} to the end of what is "
                              f"possible ({possible}), got {test.tolerance:g}: that end could never fail")
