"""The front page: claims and verdicts first, then the machine, what was skipped, and the notebooks behind it all."""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path

from edgekit import provenance, store
from edgekit.claims import judged
from edgekit.claims import pages as claim_pages
from edgekit.errors import RunFailed
from edgekit.report import machine, pages

LEAD = ("Each line below is a sentence that somebody published, turned into a test on rows that were measured here, or into "
        "arithmetic on the document's own numbers. A verdict is computed, never typed. Where the setting of the publication is "
        "not at hand, the line says what is missing, or says that it was tested on scale models. Follow a figure link "
        "to the notebook that shows the evidence.")

# Word of a verdict -> class of its badge, and what it means. A badge carries the word: colour is never the only sign.
VERDICTS = {
    "reproduced": ("good", "measured in a comparable setting, and the whole interval lies in the accepted range"),
    "not reproduced": ("bad", "measured in a comparable setting, and the whole interval lies outside of that range"),
    "holds at scale model": ("near", "as reproduced, but on small models that the kit trained itself"),
    "does not hold at scale model": ("off", "as not reproduced, but on small models that the kit trained itself"),
    "undecided": ("open", "the interval lies across the edge of the range: more samples would decide"),
    "inconsistent": ("odd", "the document contradicts itself, physics or the makers' facts, by its own numbers"),
    "consistent": ("even", "the document's own numbers can all be true together; nothing was measured for it"),
    "not testable here": ("none", "a board, a sensor or a model is missing; the line names it"),
    "not yet run": ("later", "the study that measures it is not in the kit yet"),
}
ARITHMETIC = ("inconsistent", "consistent")


class ReportError(RunFailed):
    """There is nothing to render; the message says what to run first."""


def render(profile: str, out: Path | None = None) -> Path:
    """Write one page for each executed notebook of a profile and each claim, and index.html; return the path of the index.

    `out` is reports/ beside runs/ unless given. Raises ReportError when no notebook was executed yet.
    """
    out = Path(out or store.OUTPUT / "reports")
    executed = sorted(store.runs_folder(profile).glob("*.ipynb"))
    if not executed:
        raise ReportError(f"no executed notebook in {store.runs_folder(profile)}; run edgekit run first")
    rendered = [pages.page(path) for path in executed]
    for page in rendered:
        store.write_atomically(out / f"{page.notebook}.html", page.html)
    index, claims = _index(profile, rendered)
    for name, text in claims.items():
        store.write_atomically(out / "claims" / f"{name}.html", text)
    store.write_atomically(out / "index.html", pages.without_paths(index))
    return out / "index.html"


def _index(profile: str, rendered: list[pages.Page]) -> tuple[str, dict[str, str]]:
    """The index, and the page of each claim by its id."""
    from jinja2 import Environment, FileSystemLoader

    templates = Environment(loader=FileSystemLoader(pages.TEMPLATES), autoescape=True)
    files = sorted(store.runs_folder(profile).glob("*.jsonl"))
    figures = {f"{page.notebook}.html#fig-{figure}" for page in rendered for figure in page.figures}
    manifest = _newest_manifest(files)
    packages = manifest.get("packages", {})
    blocks = _blocks(profile, files, manifest, figures)
    around = dict(css=pages.style(), profile=profile, made=time.strftime("%Y-%m-%d %H:%M"))
    claims = _claims(profile, blocks, templates.get_template("claim.html.j2"), around)
    return templates.get_template("index.html.j2").render(
        **around, lead=LEAD, verdicts=VERDICTS,
        failures=[{"notebook": page.notebook, "state": page.notes["state"], "sentence": page.notes["sentence"]}
                  for page in rendered if page.notes.get("state") in ("failed", "interrupted")],
        blocks=blocks, machine=machine.facts(manifest), packages=packages, kit=machine.kit(),
        skips=[("Not planned for", grouped_skips(files, expected=False)),
               ("Known beforehand", grouped_skips(files, expected=True))],
        pages=[_listed(page, profile) for page in rendered]), claims


def _claims(profile: str, blocks: list[dict], template, around: dict) -> dict[str, str]:
    """A page a claim: this run's verdict first, with links to its figure and rows, then those of the reference platforms."""
    from nbconvert.filters import markdown2html

    found: dict[str, list[dict]] = {}
    for block in blocks:
        for line in (line for group in block["groups"] for line in group["lines"]):
            # only this run's pages show what was judged
            parts = [part | {"figure": part["figure"] * (part["figure"] == line["figure"])} for part in line["parts"]]
            rows = f"../../runs/{profile}/{line['study']}.jsonl"
            if block["kind"] == "this" and (store.runs_folder(profile) / f"{line['study']}.jsonl").exists():
                parts = [part | {"rows": f"[rows]({rows})"} if part["platform"] else part for part in parts]
            found.setdefault(line["id"], []).append(line | {"parts": parts})
    pages_of = {name: claim_pages.derivation(cells, figure="[see the figure](../{page}.html#fig-{figure})")
                for name, cells in found.items()}
    bodies = {name: re.sub(r'<a class="anchor-link".*?</a>', "", markdown2html(text)) for name, text in pages_of.items()}
    return {name: template.render(title=f"{name}: {found[name][0]['name']}", body=body, **around)
            for name, body in bodies.items()}


def _blocks(profile: str, files: list[Path], manifest: dict, figures: set[str]) -> list[dict]:
    """This run's claims table, then one for each platform with committed rows."""
    here = manifest.get("platform", "")
    note = f"Measured by the profile {profile} on this machine, or computed from what the documents print."
    blocks = [_block("this", "here", f"This run: {here or 'nothing measured yet'}", "Here", note, files, here, figures)]
    committed: dict[str, list[Path]] = {}
    for platform, _, path in store.committed():
        committed.setdefault(platform, []).append(path)
    for platform, paths in committed.items():
        dates = sorted(run["started"][:10] for path in paths for run in provenance.read_manifests(path).values())
        when = f", measured {dates[0]} to {dates[-1]}" if dates and dates[0] != dates[-1] else \
            f", measured {dates[0]}" if dates else ""
        blocks.append(_block("reference", f"reference-{platform}", f"Reference: {platform}", "Reference",
                             f"Judged anew from the rows that are committed with the project{when}; "
                             "nothing of this run is in it.", paths, platform, set()))
    return blocks


def _block(kind: str, name: str, title: str, ours: str, note: str, files: list[Path], platform: str,
           figures: set[str]) -> dict:
    lines = [cell | {"kind": VERDICTS[cell["verdict"]][0], "figure": cell["figure"] * (cell["figure"] in figures)}
             for cell in _cells(files, platform, measured_only=kind == "reference")]
    count = Counter(line["verdict"] for line in lines)
    return {"kind": kind, "id": name, "title": title, "note": note, "groups": _groups(lines, f"{ours}, 95 % interval"),
            "tally": [(word, badge, count[word]) for word, (badge, _) in VERDICTS.items() if count[word]]}


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


def _cells(files: list[Path], platform: str, *, measured_only: bool) -> list[dict]:
    """Claims judged on the rows of their own study, in the order of their file; one whose study left no rows here is judged on
    none, or left out with `measured_only`."""
    here = {store.study_of(path): judged.cells(path, store.study_of(path), platform) for path in files}
    judged_here = {cell["id"]: cell for cells in here.values() for cell in cells}
    found = []
    for cell in judged.cells(None, None, platform):
        if cell["study"] not in here:
            found += [] if measured_only else [cell]
        elif cell["tests"] or not measured_only:
            found.append(judged_here[cell["id"]])
    return found


def grouped_skips(files: list[Path], *, expected: bool) -> list[dict]:
    """Standing skips by notebook and reason, the most frequent first, each with its conditions in words."""
    groups: dict[tuple[str, str], list[str]] = {}
    for path in files:
        for skip in store.read(path)[1]:
            if skip.expected == expected:
                words = " ".join(f"{name}={value}" for name, value in skip.condition.items())
                groups.setdefault((store.study_of(path), skip.reason), []).append(words)
    return [{"notebook": notebook, "reason": reason, "count": len(conditions), "conditions": conditions}
            for (notebook, reason), conditions in sorted(groups.items(), key=lambda group: -len(group[1]))]


def cells_here(profile: str) -> list[dict]:
    """All claims judged on a profile's own rows and on the documents' own numbers (see text.cells)."""
    files = sorted(store.runs_folder(profile).glob("*.jsonl"))
    return _cells(files, _newest_manifest(files).get("platform", ""), measured_only=False)


def _newest_manifest(files: list[Path]) -> dict:
    runs = [run for path in files for run in provenance.read_manifests(path).values()]
    return max(runs, key=lambda run: run["started"], default={})


def _listed(page: pages.Page, profile: str) -> dict:
    rows = store.runs_folder(profile) / f"{page.notebook}.jsonl"
    seconds = page.notes.get("seconds")
    state = page.notes.get("state", "executed outside of edgekit")
    made_of = page.notes.get("made_of")
    if made_of and rows.exists() and made_of[1] != store.hash_files([rows]):
        state += ", before the newest rows were measured: run it again"
    return {"notebook": page.notebook, "title": page.title,
            "state": state,
            "seconds": "" if seconds is None else f"{seconds:.0f} s", "finished": page.notes.get("finished", "")[:16],
            "rows": f"{len(store.read(rows)[0]):,}" if rows.exists() else "none"}
