"""The author's machine against this run: what both were made on and of, and which verdicts came out otherwise.

What the rows themselves say is told by `edgekit compare`, which reads all of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from edgekit import committed, provenance, store
from edgekit.claims.judgement import WITHOUT_ROWS
from edgekit.compare.environment import checklist
from edgekit.compare.text import SAME, counted

PARAMETERS = "a params file"  # what holds those lines of a checklist that another profile changes on purpose


def sections(profile: str, files: Iterable[Path], blocks: Sequence[Mapping]) -> list[dict]:
    """One for each platform whose reference rows share a study with this run. blocks: the tables of verdicts."""
    here = {store.study_of(path): list(provenance.read_manifests(path).values()) for path in files}
    there: dict[str, dict[str, list[Mapping]]] = {}
    for one in committed.files():
        if one.profile == committed.REFERENCE and here.get(one.study):
            there.setdefault(one.platform, {})[one.study] = list(provenance.read_manifests(one.path).values())
    return [_section(profile, platform, studies, here, blocks) for platform, studies in there.items() if any(studies.values())]


def _section(profile: str, platform: str, studies: Mapping[str, list[Mapping]], here: Mapping[str, list[Mapping]],
             blocks: Sequence[Mapping]) -> dict:
    author = [run for runs in studies.values() for run in runs]
    rerun = [run for study in studies for run in here[study]]
    lines = [line for line in checklist(author, rerun) if line.held != PARAMETERS]
    told = [dataclasses.asdict(line) | {"word": SAME[line.same].lower()} for line in lines]
    return {"platform": platform, "studies": list(studies), "command": f"edgekit compare {platform} {profile}",
            "counted": counted(lines), "different": [line for line in told if not line["same"]],
            "equal": [line for line in told if line["same"]], "verdicts": _moved(platform, blocks)}


def _moved(platform: str, blocks: Sequence[Mapping]) -> list[dict]:
    """Claims that rows of both decided otherwise, with the values."""
    here, *others = blocks
    ours = {line["id"]: line for line in here["lines"]}
    [theirs] = [block["lines"] for block in others if block["id"] == f"reference-{platform}"] or [[]]
    pairs = [(line, ours[line["id"]]) for line in theirs if line["id"] in ours]
    return [{"id": there["id"], "name": there["name"], "there": there["verdict"], "there_value": there["ours_short"],
             "here": now["verdict"], "here_value": now["ours_short"]} for there, now in pairs
            if there["verdict"] != now["verdict"] and not {there["verdict"], now["verdict"]} & set(WITHOUT_ROWS)]
