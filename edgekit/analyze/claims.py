"""Published claims as tests on rows and as arithmetic. A verdict is computed from intervals; nobody types one.

`data/published/claims.yaml` says what each document states, which quantity would settle it, and what range is accepted.
For a test (quantities.py) the interval of the measured rows decides: wholly inside the range, wholly outside of it, or
across its edge. For the last the verdict is "undecided", because neither word would be true: more repeats would decide, and
the reason says so. Only rows whose source is "measured" count. For an audit (audit_quantities.py) the printed numbers
decide: "inconsistent" where no reading of them comes into the range, else "consistent".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from edgekit.analyze import verdict_text
from edgekit.analyze.audit_quantities import AUDITS
from edgekit.analyze.claims_file import PUBLISHED, Audit, Claim, ClaimsError, Comparison, load
from edgekit.analyze.observed import NotMeasured, Observation
from edgekit.analyze.once import remembering
from edgekit.analyze.printed import Assumptions, NotPrinted, Numbers
from edgekit.analyze.quantities import QUANTITIES

__all__ = ["AUDIT_NOTEBOOK", "VERDICTS", "Audit", "Claim", "ClaimsError", "Comparison", "Verdict", "audited", "judge",
           "load", "markdown_table", "published"]

VERDICTS = ("reproduced", "not reproduced", "holds at scale model", "does not hold at scale model", "undecided",
            "inconsistent", "consistent", "not testable here", "not yet run")
AUDIT_NOTEBOOK = "00_published_claims"


@dataclass(frozen=True)
class Verdict:
    """What the rows of one platform say about a claim. `seen` may hold values for orientation only.

    `platform` is "" for a verdict that no measurement went into.
    """

    claim: Claim
    verdict: str
    platform: str
    reason: str
    seen: tuple[Observation, ...] = ()

    @property
    def figure(self) -> str:
        """Where the rendered report shows the evidence: page and element, or nothing."""
        arithmetic = self.claim.audit is not None and not self.platform
        page, figure = (AUDIT_NOTEBOOK, self.claim.audit.figure) if arithmetic else (self.claim.study, self.claim.figure)
        return f"{page}.html#fig-{figure}" if figure else ""


def judge(claims: Iterable[Claim], frame: pd.DataFrame, platform: str) -> list[Verdict]:
    """A verdict for each claim from the measured rows of one platform (a frame of `store.to_frame`).

    A claim without tests has the verdict of its audit, or else "not yet run". Where a claim has both, what was measured
    decides; the audit does where this platform cannot decide, and its word is in the reason in any case.
    """
    claims = list(claims)
    measured = frame[frame.source == "measured"] if len(frame) else frame
    arithmetic = {verdict.claim.id: verdict for verdict in audited(claims)}
    with remembering():
        return [_both(claim, _judge(claim, measured, platform) if claim.tests else None, arithmetic.get(claim.id))
                for claim in claims]


def printed_numbers() -> Numbers:
    """All printed numbers of data/published/claims.yaml."""
    return Numbers(entry for claim in load() for entry in claim.published)


def audited(claims: Iterable[Claim], assumed: Assumptions | None = None, numbers: Numbers | None = None) -> list[Verdict]:
    """The verdicts that printed numbers alone give, for the claims that have an audit. Raises ClaimsError.

    `numbers` are those of the whole file unless given, since a claim may rest on what another one prints.
    """
    with_audit = [claim for claim in claims if claim.audit]
    if with_audit and numbers is None:
        numbers = printed_numbers()
    return [_audit(claim, numbers, assumed or Assumptions()) for claim in with_audit]


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


def markdown_table(verdicts: Iterable[Verdict]) -> str:
    """The verdicts as a Markdown table: claim, published, ours (or computed), verdict and why."""
    return verdict_text.markdown_table(verdict_text.cells(verdicts))


def _both(claim: Claim, measured: Verdict | None, arithmetic: Verdict | None) -> Verdict:
    if measured is None:
        return arithmetic or Verdict(claim, "not yet run", "", _reason(_to_come(claim)))
    if arithmetic is None:
        return measured
    first, second = (arithmetic, measured) if measured.verdict == "not testable here" else (measured, arithmetic)
    return replace(first, reason=f"{first.reason} {second.verdict.capitalize()}: {second.reason}")


def _to_come(claim: Claim) -> str:
    return f"to be measured in {claim.study} ({claim.planned}); needs {claim.needs}"


def _reason(*sentences: str) -> str:
    return " ".join(text[0].upper() + text[1:] + "." for text in sentences if text)


def _audit(claim: Claim, numbers: Numbers, assumed: Assumptions) -> Verdict:
    seen, outcomes, sentences = [], [], []
    for check in claim.audit.checks:
        try:
            reading = AUDITS[check.quantity](numbers, assumed, claim.audit.platform)
        except NotPrinted as error:
            raise ClaimsError(f"claim {claim.id}, {check.quantity}: {error}; add it to the claim that prints it") from error
        seen.append(reading)
        outcomes.append(check.outcome(reading))
        fits = {"inside": "wholly inside of", "outside": "in no reading inside of", "across": "in some readings inside of"}
        sentences.append(f"{reading.estimate.what} is {reading.estimate}, {fits[outcomes[-1]]} what is accepted: "
                         f"{check.wanted}. Computed from {reading.where}{_also(reading)}")
    return Verdict(claim, "inconsistent" if "outside" in outcomes else "consistent", "",
                   _reason(*sentences, claim.audit.remark, _to_come(claim) if claim.planned else ""), tuple(seen))


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
        return Verdict(claim, word, platform, _reason(*reasons), tuple(seen))

    absent = f"not measured in this run: {'; '.join(dict.fromkeys(missing))}"
    if claim.setting.platforms and platform not in claim.setting.platforms:
        shown = [f"For orientation, here {observation.where}: {observation.estimate.what} {observation.estimate}"
                 + _also(observation) for observation in seen]
        here = f"these rows are from {platform}" if platform else "no row was measured yet"
        return verdict("not testable here", f"needs {claim.needs}; {here}", *shown, *([absent] if missing else []))
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
