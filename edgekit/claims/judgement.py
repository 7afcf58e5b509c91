"""Published claims as tests on rows and as arithmetic. A verdict is computed from intervals; nobody types one.

`data/published/claims.yaml` says what each document states, which quantity would settle it, and what range is accepted.
For a test (claims/quantities.py) the interval of the measured rows decides: wholly inside the range, wholly outside of it, or
across its edge. For the last the verdict is "undecided", because neither word would be true: more samples would decide. Only
rows whose source is "measured" count. What they were measured on names the word, and models of different kinds are judged apart
(sides.py). Several tests of a claim judge one artifact, the one that passes most of them. For an audit
(studies/published_claims/quantities.py) the printed numbers decide: "inconsistent" where no reading of them comes into the
range, else "consistent". A verdict is fields; the sentences about it are made in text.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import pandas as pd

from edgekit.analyze.doubts import accepted, throttled
from edgekit.analyze.observed import NotMeasured, Observation, base, kind, weakest
from edgekit.analyze.once import remembering
from edgekit.analyze.origin import Origin, origin
from edgekit.claims.file import Audit, Claim, ClaimsError, Comparison, load
from edgekit.claims.quantities import QUANTITIES
from edgekit.claims.sides import Side, sides
from edgekit.studies.published_claims.printed import Assumptions, NotPrinted, Numbers, printed_numbers
from edgekit.studies.published_claims.quantities import AUDITS

__all__ = ["AUDIT_NOTEBOOK", "VERDICTS", "WORDS", "Audit", "Claim", "ClaimsError", "Comparison", "Outcome", "Verdict",
           "audited", "judge", "load"]

# By the weakest evidence that a verdict rests on (observed.SCALES): the words for wholly inside and wholly outside.
WORDS = {
    "real": ("reproduced", "not reproduced"),
    "small": ("holds on small real models", "does not hold on small real models"),
    "shape": ("holds on a shape", "does not hold on a shape"),
    "pocket": ("holds at scale model", "does not hold at scale model"),
}
NOT_TESTABLE, NOT_COMPARABLE, NOT_RUN = WITHOUT_ROWS = ("not testable here", "not comparable", "not yet run")
VERDICTS = (*(word for words in WORDS.values() for word in words), "undecided", "inconsistent", "consistent", *WITHOUT_ROWS)
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
    platforms than this one. caveats: what a reader has to know, by the names of text.CAVEATS. origins: how the weights of its
    small models came. accepted: how the boards that its rows were measured on were not as they should be. others: what rows of
    the same platform with models of other kinds say. beside: the verdict of printed numbers where measured rows decided, or the
    other way round.
    """

    claim: Claim
    verdict: str
    platform: str
    outcomes: tuple[Outcome, ...] = ()
    missing: tuple[str, ...] = ()
    elsewhere: bool = False
    caveats: tuple[str, ...] = ()
    origins: tuple[Origin, ...] = ()
    accepted: tuple[str, ...] = ()
    others: tuple[Verdict, ...] = ()
    beside: Verdict | None = None

    @property
    def seen(self) -> tuple[Observation, ...]:
        return tuple(outcome.seen for outcome in self.outcomes)

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that its outcomes rest on, once."""
        return tuple(dict.fromkeys(model for seen in self.seen for model in seen.models))

    @property
    def scale(self) -> str:
        """The weakest evidence that it rests on, one of observed.SCALES; "" where nothing was measured."""
        return weakest(map(kind, self.models))

    @property
    def figure(self) -> str:
        """Where the rendered report shows the evidence: page and element, or nothing."""
        arithmetic = self.claim.audit is not None and not self.platform
        page, figure = (AUDIT_NOTEBOOK, self.claim.audit.figure) if arithmetic else (self.claim.study, self.claim.figure)
        return f"{page}.html#fig-{figure}" if figure else ""


def judge(claims: Iterable[Claim], frame: pd.DataFrame | None, platform: str, refused: str = "") -> list[Verdict]:
    """A verdict for each claim from the measured rows of one platform (a frame of `store.to_frame`; None: nobody ran it).

    A claim without tests has the verdict of its audit, or else "not yet run"; so has one that nobody ran where it can be run.
    Where a claim has both, what was measured decides; the audit does where this platform cannot decide, and the other stands
    beside it in any case. refused: why these rows may not be judged (see comparable.py), "" where they may.
    """
    claims = list(claims)
    ran = frame is not None
    frame = frame if ran else pd.DataFrame()
    measured = frame[frame.source == "measured"] if len(frame) and (frame.source != "measured").any() else frame
    arithmetic = {verdict.claim.id: verdict for verdict in audited(claims)}
    with remembering():
        parts = sides(measured)
        return [_both(claim, _unjudged(claim, ran, platform, refused) or _judge(claim, measured, parts, platform)
                      if claim.tests else None, arithmetic.get(claim.id)) for claim in claims]


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
        return arithmetic or Verdict(claim, NOT_RUN, "")
    if arithmetic is None:
        return measured
    first, second = (arithmetic, measured) if measured.verdict in WITHOUT_ROWS else (measured, arithmetic)
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


def _unjudged(claim: Claim, ran: bool, platform: str, refused: str) -> Verdict | None:
    """What is said in place of a verdict where rows may not be judged, or where there are none on a platform that would do."""
    if refused:
        return Verdict(claim, NOT_COMPARABLE, platform, missing=(refused,))
    return None if ran or _is_elsewhere(claim, platform) else Verdict(claim, NOT_RUN, "")


def _judge(claim: Claim, frame: pd.DataFrame, parts: list[Side], platform: str) -> Verdict:
    """The verdict on the strongest side that can be decided, with those on the others that something was seen on."""
    found = [verdict for side in parts if (verdict := _on_side(claim, side, platform))]
    if not found:
        return _on_rows(claim, parts[0].frames[-1] if parts else frame, platform)
    first = next((verdict for verdict in found if verdict.verdict != NOT_TESTABLE), found[0])
    return first if first.elsewhere else replace(first, others=tuple(verdict for verdict in found if verdict is not first))


def _on_side(claim: Claim, side: Side, platform: str) -> Verdict | None:
    """The verdict on the first of a side's frames that decide, else on the first; none where nothing was seen on its models."""
    undecided = None
    for frame in side.frames:
        verdict = _on_rows(claim, frame, platform)
        if any(kind(model) in side.kinds for model in verdict.models):
            if verdict.verdict != NOT_TESTABLE:
                return verdict
            undecided = undecided or verdict
    return undecided


def _on_rows(claim: Claim, frame: pd.DataFrame, platform: str) -> Verdict:
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
    elsewhere = _is_elsewhere(claim, platform)
    found = Verdict(claim, NOT_TESTABLE, platform, tuple(outcomes), tuple(dict.fromkeys(missing)), elsewhere)
    if elsewhere or ("outside" not in words and missing):
        return found
    holds, fails = WORDS[found.scale]
    word = fails if "outside" in words else "undecided" if "across" in words else holds
    caveats = (*_caveats(found), *["board"] * bool(accepted(frame)), *["throttled"] * bool(throttled(frame)))
    return replace(found, verdict=word, caveats=caveats, accepted=accepted(frame), origins=tuple(
        origin(frame, model) for model in dict.fromkeys(map(base, found.models)) if kind(model) == "small"))


def _is_elsewhere(claim: Claim, platform: str) -> bool:
    return bool(claim.setting.platforms) and platform not in claim.setting.platforms


def _caveats(found: Verdict) -> tuple[str, ...]:
    """By what it rests on: in what scale models are unlike by what was asked, what shapes and small models are, and whether
    several artifacts were judged."""
    at_scale = [QUANTITIES[outcome.wanted.quantity].about for outcome in found.outcomes if outcome.seen.scale == "pocket"]
    kinds = set(map(kind, found.models))
    caveats = [f"scale {about}" for about in dict.fromkeys(at_scale)] + [one for one in ("shape", "small") if one in kinds]
    return (*caveats, *(["several artifacts"] if len({seen.artifact for seen in found.seen}) > 1 else ()))


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
