"""Published claims as tests on rows and as arithmetic. A verdict is computed from intervals; nobody types one.

`data/published/claims.yaml` says what each document states, which quantity would settle it, and what range is accepted.
For a test (claims/quantities.py) the interval of the measured rows decides: wholly inside the range, wholly outside of it, or
across its edge. For the last the verdict is "undecided", because neither word would be true: more samples would decide. Only
rows whose source is "measured" count. Several tests of a claim judge one artifact, the one that passes most of them. For an
audit (studies/published_claims/quantities.py) the printed numbers decide: "inconsistent" where no reading of them comes into
the range, else "consistent". A verdict is fields; the sentences about it are made in text.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import pandas as pd

from edgekit.analyze.observed import NotMeasured, Observation
from edgekit.analyze.once import remembering
from edgekit.claims.file import Audit, Claim, ClaimsError, Comparison, load
from edgekit.claims.quantities import QUANTITIES
from edgekit.studies.published_claims.printed import Assumptions, NotPrinted, Numbers, printed_numbers
from edgekit.studies.published_claims.quantities import AUDITS

__all__ = ["AUDIT_NOTEBOOK", "VERDICTS", "Audit", "Claim", "ClaimsError", "Comparison", "Outcome", "Verdict", "audited",
           "judge", "load"]

VERDICTS = ("reproduced", "not reproduced", "holds at scale model", "does not hold at scale model", "undecided",
            "inconsistent", "consistent", "not testable here", "not yet run")
AUDIT_NOTEBOOK = "00_published_claims"


@dataclass(frozen=True)
class Outcome:
    """One test or check: what was wanted, what was seen, and how the one lies to the other (inside, outside or across)."""

    wanted: Comparison
    seen: Observation
    word: str


@dataclass(frozen=True)
class Verdict:
    """What the rows of one platform, or printed numbers alone, say about a claim.

    platform: "" for a verdict that no measurement went into. outcomes: of the tests that could be made, for orientation only
    where the verdict is "not testable here". missing: what the others lacked, in words. elsewhere: the claim is about other
    platforms than this one. caveats: what a reader has to know, by the names of text.CAVEATS. beside: the verdict of
    printed numbers where measured rows decided, or the other way round.
    """

    claim: Claim
    verdict: str
    platform: str
    outcomes: tuple[Outcome, ...] = ()
    missing: tuple[str, ...] = ()
    elsewhere: bool = False
    caveats: tuple[str, ...] = ()
    beside: Verdict | None = None

    @property
    def seen(self) -> tuple[Observation, ...]:
        return tuple(outcome.seen for outcome in self.outcomes)

    @property
    def figure(self) -> str:
        """Where the rendered report shows the evidence: page and element, or nothing."""
        arithmetic = self.claim.audit is not None and not self.platform
        page, figure = (AUDIT_NOTEBOOK, self.claim.audit.figure) if arithmetic else (self.claim.study, self.claim.figure)
        return f"{page}.html#fig-{figure}" if figure else ""


def judge(claims: Iterable[Claim], frame: pd.DataFrame, platform: str) -> list[Verdict]:
    """A verdict for each claim from the measured rows of one platform (a frame of `store.to_frame`).

    A claim without tests has the verdict of its audit, or else "not yet run". Where a claim has both, what was measured
    decides; the audit does where this platform cannot decide, and the other stands beside it in any case.
    """
    claims = list(claims)
    measured = frame[frame.source == "measured"] if len(frame) else frame
    arithmetic = {verdict.claim.id: verdict for verdict in audited(claims)}
    with remembering():
        return [_both(claim, _judge(claim, measured, platform) if claim.tests else None, arithmetic.get(claim.id))
                for claim in claims]


def audited(claims: Iterable[Claim], assumed: Assumptions | None = None, numbers: Numbers | None = None) -> list[Verdict]:
    """The verdicts that printed numbers alone give, for the claims that have an audit. Raises ClaimsError.

    `numbers` are those of the whole file unless given, since a claim may rest on what another one prints.
    """
    with_audit = [claim for claim in claims if claim.audit]
    if with_audit and numbers is None:
        numbers = printed_numbers()
    return [_audit(claim, numbers, assumed or Assumptions()) for claim in with_audit]


def _both(claim: Claim, measured: Verdict | None, arithmetic: Verdict | None) -> Verdict:
    if measured is None:
        return arithmetic or Verdict(claim, "not yet run", "")
    if arithmetic is None:
        return measured
    first, second = (arithmetic, measured) if measured.verdict == "not testable here" else (measured, arithmetic)
    return replace(first, beside=second)


def _audit(claim: Claim, numbers: Numbers, assumed: Assumptions) -> Verdict:
    outcomes = []
    for check in claim.audit.checks:
        try:
            reading = AUDITS[check.quantity](numbers, assumed, claim.audit.platform)
        except NotPrinted as error:
            raise ClaimsError(f"claim {claim.id}, {check.quantity}: {error}; add it to the claim that prints it") from error
        outcomes.append(Outcome(check, reading, check.outcome(reading)))
    outside = any(outcome.word == "outside" for outcome in outcomes)
    return Verdict(claim, "inconsistent" if outside else "consistent", "", tuple(outcomes))


def _judge(claim: Claim, frame: pd.DataFrame, platform: str) -> Verdict:
    candidates, missing = [], []
    for test in claim.tests:
        try:
            quantity = QUANTITIES[test.quantity]
            seen = [replace(one, estimate=one.estimate.within(quantity.low, quantity.high))
                    for one in quantity.function(frame, claim.setting, test.accepted)]
        except NotMeasured as error:
            missing.append(str(error))
            continue
        candidates.append([Outcome(test, one, test.outcome(one)) for one in seen])
    outcomes = _of_one_artifact(claim, candidates)
    if candidates and not outcomes:
        missing.append("all of its tests on one artifact (they were made on "
                       + "; on ".join(dict.fromkeys(one[0].seen.artifact for one in candidates)) + ")")
    words = {outcome.word for outcome in outcomes}
    at_scale = [QUANTITIES[outcome.wanted.quantity].about for outcome in outcomes if outcome.seen.scale == "pocket"]
    elsewhere = bool(claim.setting.platforms) and platform not in claim.setting.platforms
    caveats = [f"scale {about}" for about in dict.fromkeys(at_scale)]
    caveats += ["several artifacts"] if len({outcome.seen.artifact for outcome in outcomes}) > 1 else []
    if elsewhere or ("outside" not in words and missing):
        word, caveats = "not testable here", []
    elif "outside" in words:
        word = "does not hold at scale model" if at_scale else "not reproduced"
    elif "across" in words:
        word = "undecided"
    else:
        word = "holds at scale model" if at_scale else "reproduced"
    return Verdict(claim, word, platform, tuple(outcomes), tuple(dict.fromkeys(missing)), elsewhere, tuple(caveats))


def _of_one_artifact(claim: Claim, candidates: list[list[Outcome]]) -> list[Outcome]:
    """An outcome of each test on the same artifact: the one that fails fewest of them and leaves fewest undecided, of equals
    the one that favours the first test most; none where no artifact was seen in every test. Each on its own where the claim
    says why no artifact can pass them all.
    """
    if claim.several_artifacts or len(candidates) < 2:
        return [outcomes[0] for outcomes in candidates]
    of = [{outcome.seen.artifact: outcome for outcome in reversed(outcomes)} for outcomes in candidates]
    common = [artifact for artifact in dict.fromkeys(outcome.seen.artifact for outcome in candidates[0])
              if all(artifact in one for one in of)]
    if not common:
        return []

    def failures(artifact: str) -> tuple[int, int]:
        words = [one[artifact].word for one in of]
        return words.count("outside"), words.count("across")

    best = min(common, key=failures)
    return [one[best] for one in of]
