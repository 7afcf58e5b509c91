"""Tables of verdicts: this run's first, then one for each platform and profile with committed rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from edgekit import committed, provenance, store, studies
from edgekit.claims import judged
from edgekit.report.links import Source, missing

# Word of a verdict -> class of its badge, and what it means. A badge carries the word: colour is never the only sign.
VERDICTS = {
    "reproduced": ("good", "measured in a comparable setting, and the whole interval lies in the accepted range"),
    "not reproduced": ("bad", "measured in a comparable setting, and the whole interval lies outside of that range"),
    "holds on small real models": ("near", "as reproduced, but on trained models below the document's size that came rounded"),
    "does not hold on small real models": ("off", "as not reproduced, but on trained models below its size that came rounded"),
    "holds on a shape": ("near", "as reproduced, but on random weights of a published size, which have no quality"),
    "does not hold on a shape": ("off", "as not reproduced, but on random weights of a published size, which have no quality"),
    "holds at scale model": ("near", "as reproduced, but on small models that the kit trained itself"),
    "does not hold at scale model": ("off", "as not reproduced, but on small models that the kit trained itself"),
    "undecided": ("open", "the interval lies across the edge of the range: more samples would decide"),
    "inconsistent": ("odd", "the document contradicts itself, physics or the makers' facts, by its own numbers"),
    "consistent": ("even", "the document's own numbers can all be true together; nothing was measured for it"),
    "not testable here": ("none", "a board, a sensor or a model is missing; the line names it"),
    "not comparable": ("none", "the rows are of another version of their study, or of two protocols; the line says which"),
    "not yet run": ("later", "there are no rows of the study that measures it, or it is not in the kit yet"),
}
ARITHMETIC = ("inconsistent", "consistent")


def blocks(profile: str, files: list[Path], manifest: Mapping, shown: frozenset[str], out: Path) -> list[dict]:
    """This run's table, then the platforms'; every line has its links, as they are written in the folder `out`."""
    here = manifest.get("platform", "")
    note = f"Measured by the profile {profile} on this machine, or computed from what the documents print."
    own = {store.study_of(path): path for path in files}
    source = Source(own, store.runs_folder(profile) / "figures", shown, ", in this run")
    found = [_block("this", "here", f"This run: {here or 'nothing measured yet'}", "Here", note, source, here, out)]
    platforms: dict[tuple[str, str, str], dict[str, Path]] = {}
    for one in committed.files():
        platforms.setdefault((one.platform, one.profile, one.of), {})[one.study] = one.path
    judged.ahead((path, study, platform) for (platform, _, _), paths in platforms.items() for study, path in paths.items()
                 if study in studies.STUDIES)
    for (platform, of_profile, of), paths in platforms.items():
        note = f"Judged anew from the rows that are committed with the project{_when(paths)}; nothing of this run is in it."
        name = f"reference-{platform}" + f"-{of_profile}" * bool(of)
        found.append(_block("reference", name, f"Reference: {platform}{of}", "Reference", note,
                            Source(paths, committed.figures(of_profile), of=of), platform, out))
    return found


def _when(rows: Mapping[str, Path]) -> str:
    dates = sorted(run["started"][:10] for path in rows.values() for run in provenance.read_manifests(path).values())
    if not dates:
        return ""
    return f", measured {dates[0]}" + f" to {dates[-1]}" * (dates[0] != dates[-1])


def _block(kind: str, name: str, title: str, ours: str, note: str, source: Source, platform: str, out: Path) -> dict:
    lines = [_line(cell, source, out) for cell in cells(source.rows, platform, measured_only=kind == "reference")]
    count = Counter(line["verdict"] for line in lines)
    return {"kind": kind, "id": name, "title": title, "note": note, "groups": _groups(lines, f"{ours}, 95 % interval"),
            "tally": [(word, badge, count[word]) for word, (badge, _) in VERDICTS.items() if count[word]], "source": source,
            "lines": lines}


def _line(cell: dict, source: Source, out: Path) -> dict:
    """A cell with its badge and links: its page, which says why, then those of the part that its verdict is."""
    links = [("why", f"claims/{cell['id']}.html"), *source.links(cell["parts"][0], cell["study"], out)]
    if cell["quantities"]:
        links.append(("code", f"claims/{cell['id']}.html#code"))
    return cell | {"kind": VERDICTS[cell["verdict"]][0], "links": links, "missing": missing(cell)}


def _groups(lines: list[dict], ours: str) -> list[dict]:
    """What was measured first, then what was computed from printed numbers, then, folded, what is still to come."""
    computed = [line for line in lines if line["verdict"] in ARITHMETIC]
    waiting = [line for line in lines if line["verdict"] == "not yet run"]
    measured = [line for line in lines if line not in computed and line not in waiting]
    groups = [{"title": "", "ours": ours, "lines": measured, "folded": False},
              {"title": "By arithmetic on the published numbers", "ours": "Computed, with the range of its readings",
               "lines": computed, "folded": False},
              {"title": "Not yet run", "ours": ours, "lines": waiting, "folded": True}]
    return [group for group in groups if group["lines"]]


def cells(rows: Mapping[str, Path], platform: str, *, measured_only: bool) -> list[dict]:
    """Claims judged on the rows of their own study, in the order of their file; one whose study left no rows here is judged on
    none, or left out with `measured_only`."""
    judged_here = {cell["id"]: cell for study, path in rows.items() for cell in judged.cells(path, study, platform)}
    found = []
    for cell in judged.cells(None, None, platform):
        if cell["study"] not in rows:
            found += [] if measured_only else [cell]
        elif cell["tests"] or not measured_only:
            found.append(judged_here[cell["id"]])
    return found
