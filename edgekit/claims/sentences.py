"""What became of each sentence of the documents: the claims that judge it, or why none does.

`data/published/sentences.yaml` goes through the documents sentence by sentence, so that what no claim judges is named too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from edgekit import store, text_files
from edgekit.catalog import published
from edgekit.claims.file import ClaimsError
from edgekit.errors import unknown_name

PLACE = re.compile(r"(\w+) (\d+(?:\.\d+)?) p(\d+) s(\d+)([a-z]?)")


@dataclass(frozen=True)
class Sentence:
    """One sentence in our words. at: document, section, paragraph and sentence. section: the section's heading in our words.
    Either `claims` judge it, or it is `excluded` for a reason."""

    at: str
    section: str
    says: str
    claims: tuple[str, ...] = ()
    excluded: str = ""

    @property
    def order(self) -> tuple:
        """Its place within its document."""
        _, section, paragraph, number, part = PLACE.fullmatch(self.at).groups()
        return tuple(map(int, section.split("."))), int(paragraph), int(number), part

    @property
    def document(self) -> str:
        return self.at.partition(" ")[0]


def load(path: Path | None = None) -> list[Sentence]:
    """All sentences in the documents' order. Raises ClaimsError for one with a place that is none or out of its order, without
    one of claims and reason, or with a claim that is not in the ledger; and for a claim that no sentence leads to."""
    path = path or store.ROOT / "data" / "published" / "sentences.yaml"
    content = text_files.yaml_of(path, ClaimsError)
    known = [entry["id"] for entry in published.entries()]
    found = [_sentence(entry, content["sections"], known, f"{path}, sentence {number}")
             for number, entry in enumerate(content["sentences"], 1)]
    documents = list(content["sections"])
    places = [(documents.index(one.document), *one.order) for one in found]
    for one, before, here in zip(found[1:], places, places[1:], strict=False):
        if before >= here:
            raise ClaimsError(f"{path}: {one.at} stands behind a later sentence, or twice; put it into the documents' order")
    if missed := [claim for claim in known if not any(claim in one.claims for one in found)]:
        raise ClaimsError(f"{path}: no sentence leads to claim {missed[0]}; name the sentence that states it")
    return found


def _sentence(entry, sections: dict, known: Sequence[str], where: str) -> Sentence:
    if not isinstance(entry, dict) or not {"at", "says"} <= entry.keys() <= {"at", "says", "claims", "excluded"}:
        raise ClaimsError(f"{where}: expected `at`, `says` and one of `claims` and `excluded`, got {entry!r}")
    place = PLACE.fullmatch(str(entry["at"]))
    if place is None or place[1] not in sections or place[2] not in sections[place[1]]:
        raise ClaimsError(f"{where}: expected a document of {', '.join(sections)}, one of its sections, paragraph and "
                          f"sentence, as `S1 3.2 p1 s2`, got {entry['at']!r}")
    where = f"{where} ({entry['at']})"
    if not isinstance(entry["says"], str) or not entry["says"].strip():
        raise ClaimsError(f"{where}: expected what it says, got {entry['says']!r}")
    if ("claims" in entry) == ("excluded" in entry) or not (entry.get("claims") or entry.get("excluded")):
        raise ClaimsError(f"{where}: expected either the claims that judge it or the reason why none does, one of the two")
    if unknown := [claim for claim in entry.get("claims", ()) if claim not in known]:
        raise ClaimsError(f"{where}: " + unknown_name("claim", unknown[0], known))
    return Sentence(entry["at"], sections[place[1]][place[2]], entry["says"], tuple(entry.get("claims", ())),
                    entry.get("excluded", ""))


def table(found: Iterable[Sentence]) -> pd.DataFrame:
    """A line a sentence: where, what it says in our words, and what judges it or why nothing does."""
    return pd.DataFrame([{"at": one.at, "section": one.section, "says": one.says,
                          "judged": ", ".join(one.claims) or f"not judged: {one.excluded}"} for one in found])


def counted(found: Sequence[Sentence]) -> str:
    """How many sentences there are, how many lead to a claim, and how many are left out."""
    judged = sum(bool(one.claims) for one in found)
    return f"{len(found)} sentences: {judged} lead to claims, {len(found) - judged} are left out, each with its reason"
