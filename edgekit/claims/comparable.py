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
    reasons = dict.fromkeys(reason for one, other in itertools.combinations(here, 2)
                            for reason in _between(measured, one, runs[one], other, runs[other]))
    return "; ".join(reasons)


def _between(frame: pd.DataFrame, a: str, ours: Mapping, b: str, theirs: Mapping) -> Iterator[str]:
    """What differs between the protocols of two runs in rows of a kind that both have, of whatever models."""
    kinds = [_kinds(frame[frame.run == run]) for run in (a, b)]
    both = {decided for decided, _ in kinds[0]} & {decided for decided, _ in kinds[1]}
    for (decided, _), condition in kinds[0].items():
        for difference in protocol.differences(condition, ours, theirs) if decided in both else ():
            yield f"rows of two protocols in one file (A is run {a}, B is run {b}): {difference}"


def _kinds(frame: pd.DataFrame) -> dict[tuple[tuple, tuple], Mapping]:
    """One condition of each kind of row: by the coordinates that say which parameters decide a row, and by its models."""
    deciding = list(dict.fromkeys(protocol.OF_ROWS.values()))
    frame = frame.reindex(columns=list(dict.fromkeys((*frame.columns, *deciding, *protocol.MODELS))))
    marks = pd.concat([frame[deciding].notna(), frame[list(protocol.MODELS)].astype("string").fillna("")], axis=1)
    return {(tuple(line[deciding]), tuple(line[list(protocol.MODELS)])): frame.loc[place].dropna().to_dict()
            for place, line in marks.drop_duplicates().iterrows()}
