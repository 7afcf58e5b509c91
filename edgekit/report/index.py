"""The report of a profile: a page for each notebook and each claim, and the front page, which says first what came out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from edgekit import params, provenance, store
from edgekit.errors import RunFailed
from edgekit.report import claim, headings, machine, pages, rerun, result, verdicts
from edgekit.report.frame import Entry, Frame, fragment, listed, script

LEAD = ("Each claim below is a sentence that somebody published, turned into a test on rows that were measured here, or into "
        "arithmetic on the document's own numbers. A verdict is computed, never typed.")


class ReportError(RunFailed):
    """There is nothing to render; the message says what to run first."""


def render(profile: str, out: Path | None = None) -> Path:
    """Write one page for each executed notebook of a profile and each claim, and index.html; return the path of the index.

    `out` is reports/ beside runs/ unless given. Raises ParamsError for an unknown profile, and ReportError when no notebook of
    it was executed yet.
    """
    out = Path(out or store.OUTPUT / "reports").resolve()
    executed = sorted(store.runs_folder(profile).glob("*.ipynb"))
    if not executed:
        params.require_profile(profile)
        raise ReportError(f"no executed notebook in {store.runs_folder(profile)}; run edgekit run first")
    rendered = [pages.page(path) for path in executed]
    files = sorted(store.runs_folder(profile).glob("*.jsonl"))
    manifest = _newest_manifest(files)
    shown = frozenset(f"{page.notebook}.html#fig-{figure}" for page in rendered for figure in page.figures)
    blocks = verdicts.blocks(profile, files, manifest, shown, out)
    index, sections = headings.anchored(_index(profile, rendered, files, manifest, blocks, out))
    frame = Frame(profile, time.strftime("%Y-%m-%d %H:%M"), (
        Entry("index", "Claims and verdicts", sections),
        *(Entry(page.notebook, listed(page.title), page.sections) for page in rendered)))
    for page in rendered:
        store.write_atomically(out / f"{page.notebook}.html", frame.page(
            page.title, page.body, current=page.notebook, width="page", facts=page.facts, code=True))
    for name, (title, body) in claim.bodies(blocks, out).items():
        store.write_atomically(out / "claims" / f"{name}.html", frame.page(
            title, headings.anchored(body)[0], up=claim.UP, width="page", code='class="highlight"' in body))
    store.write_atomically(out / "index.html", frame.page(f"edgekit report: {profile}", index, current="index"))
    return out / "index.html"


def _index(profile: str, rendered: list[pages.Page], files: list[Path], manifest: dict, blocks: list[dict], out: Path) -> str:
    read = {store.study_of(path): store.read(path) for path in files}
    return fragment(
        "index.html.j2", script=script(), lead=LEAD, verdicts=verdicts.VERDICTS,
        result=result.result(blocks[0]["lines"], out), blocks=blocks,
        failures=[{"notebook": page.notebook, "state": page.notes["state"], "sentence": page.notes["sentence"]}
                  for page in rendered if page.notes.get("state") in ("failed", "interrupted")],
        reruns=rerun.sections(profile, files, blocks), machine=machine.facts(manifest), packages=manifest.get("packages", {}),
        skips=[(title, grouped_skips({study: skips for study, (_, skips) in read.items()}, expected=expected))
               for title, expected in (("Not planned for", False), ("Known beforehand", True))],
        pages=[_listed(page, profile, len(read.get(page.notebook, ((), ()))[0])) for page in rendered])


def grouped_skips(skips: Mapping[str, list[store.Skip]], *, expected: bool) -> list[dict]:
    """Standing skips by notebook and reason, the most frequent first, each with its conditions in words."""
    groups: dict[tuple[str, str], list[str]] = {}
    for study, standing in skips.items():
        for skip in standing:
            if skip.expected == expected:
                words = " ".join(f"{name}={value}" for name, value in skip.condition.items())
                groups.setdefault((study, skip.reason), []).append(words)
    return [{"notebook": notebook, "reason": reason, "count": len(conditions), "conditions": conditions}
            for (notebook, reason), conditions in sorted(groups.items(), key=lambda group: -len(group[1]))]


def cells_here(profile: str) -> list[dict]:
    """All claims judged on a profile's own rows and on the documents' own numbers (see text.cells)."""
    files = {store.study_of(path): path for path in sorted(store.runs_folder(profile).glob("*.jsonl"))}
    return verdicts.cells(files, _newest_manifest(list(files.values())).get("platform", ""), measured_only=False)


def _newest_manifest(files: list[Path]) -> dict:
    runs = [run for path in files for run in provenance.read_manifests(path).values()]
    return max(runs, key=lambda run: run["started"], default={})


def _listed(page: pages.Page, profile: str, count: int) -> dict:
    rows = store.runs_folder(profile) / f"{page.notebook}.jsonl"
    seconds = page.notes.get("seconds")
    state = page.notes.get("state", "executed outside of edgekit")
    made_of = page.notes.get("made_of")
    if made_of and rows.exists() and made_of[1] != store.hash_files([rows]):
        state += ", before the newest rows were measured: run it again"
    return {"notebook": page.notebook, "title": page.title,
            "state": state,
            "seconds": "" if seconds is None else f"{seconds:.0f} s", "finished": page.notes.get("finished", "")[:16],
            "rows": f"{count:,}" if rows.exists() else "none"}
