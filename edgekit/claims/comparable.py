"""Whether the rows of one file may be judged together, by what the manifests of their runs say; where not, why not, in words.

Rows of another version of their study mean something else, and numbers of two protocols do not belong into one column. No
verdict rests on either.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import pandas as pd

from edgekit import studies
from edgekit.analyze import protocol

Kinds = Mapping[tuple[tuple, tuple], Mapping]


def refusal(frame: pd.DataFrame, runs: Mapping[str, Mapping], study: str) -> str:
    """Why the measured rows of a study, of runs with these manifests, are not judged; "" where they are."""
    measured = frame[frame.source == "measured"] if len(frame) else frame
    here = [run for run in runs if len(measured) and (measured.run == run).any()]
    version = studies.module(study).VERSION
    others = {run: runs[run].get("version") for run in here if runs[run].get("version") not in (None, version)}
    if others:
        run = min(others)
        return (f"rows of run {run} are of version {others[run]} of {study}, and this kit judges version {version}: measure "
                "them again, or judge them with the kit that measured them")
    kinds = {run: _kinds(measured[measured.run == run]) for run in here} if len(here) > 1 else {}
    reasons = dict.fromkeys(f"rows of two protocols in one file (A is run {a}, B is run {b}): {difference}"
                            for a, b in itertools.combinations(here, 2)
                            for difference in _between(kinds[a], runs[a], kinds[b], runs[b]))
    return "; ".join(reasons)


def _between(kinds: Kinds, ours: Mapping, others: Kinds, theirs: Mapping) -> Iterator[str]:
    """What differs between the protocols of two runs in rows of a kind that both have, of whatever models."""
    both = {decided for decided, _ in kinds} & {decided for decided, _ in others}
    for (decided, _), condition in kinds.items():
        yield from protocol.differences(condition, ours, theirs) if decided in both else ()


def _kinds(frame: pd.DataFrame) -> Kinds:
    """One condition of each kind of row: by the coordinates that say which parameters decide a row, and by its models."""
    deciding = list(dict.fromkeys(protocol.OF_ROWS.values()))
    frame = frame.reindex(columns=list(dict.fromkeys((*frame.columns, *deciding, *protocol.MODELS))))
    marks = pd.concat([frame[deciding].notna(), frame[list(protocol.MODELS)].astype("string").fillna("")], axis=1)
    return {(tuple(line[deciding]), tuple(line[list(protocol.MODELS)])): frame.loc[place].dropna().to_dict()
            for place, line in marks.drop_duplicates().iterrows()}
