"""The rendered report in a real browser, from file://: figures load, nothing errs, a phone need not scroll sidewise."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.notebook]

PHONE_PX, DESKTOP_PX = 390, 1200
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--enable-logging=stderr",
         "--virtual-time-budget=4000", "--window-size=1400,900", "--dump-dom")

# Runs inside of the copied page, and tells the frame around it what a reader would see. Browsers refuse windows as
# narrow as a phone, but not frames.
PROBE = """<script>
window.addEventListener("load", () => parent.postMessage(JSON.stringify({
  scrollWidth: document.documentElement.scrollWidth, innerWidth: window.innerWidth,
  title: document.title, claims: [...document.querySelectorAll("#here [data-claim]")].map(
    row => [row.dataset.claim, row.dataset.verdict, row.checkVisibility() && row.getBoundingClientRect().height > 0]),
  images: [...document.images].map(image => [image.alt, image.naturalWidth]),
  outside: [...performance.getEntriesByType("resource").map(entry => entry.name),
            ...[...document.querySelectorAll("[src], link[href]")].map(element => element.src || element.href)]
    .filter(name => !name.startsWith("data:")),
  broken: [...document.querySelectorAll('a[href^="#"]')].map(a => a.hash.slice(1))
    .filter(id => id && !document.getElementById(decodeURIComponent(id)))
}), "*"));
</script></body>"""
FRAME = """<!DOCTYPE html><title>frame</title>
<iframe src="{page}" width="{width}" height="900" style="border:0"></iframe>
<pre id="seen"></pre><script>
addEventListener("message", event => document.getElementById("seen").textContent = event.data);
</script>"""


@pytest.fixture(scope="session")
def browser() -> str:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        message = f"no browser found (looked for {', '.join(NAMES)}); install one, or put it on PATH"
        if os.environ.get("EDGEKIT_REQUIRE_BROWSER") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return found


def see(browser: str, page: Path, width: int, folder: Path) -> tuple[dict, list[str]]:
    """What a reader of `page` gets in a window of `width` pixels, and what the console said."""
    folder.mkdir(parents=True, exist_ok=True)
    probed = folder / f"{page.stem}-{width}.html"
    text = page.read_text(encoding="utf-8")
    assert text.count("</body>") == 1
    probed.write_text(text.replace("</body>", PROBE), encoding="utf-8")
    frame = folder / f"{page.stem}-{width}-frame.html"
    frame.write_text(FRAME.format(page=probed.name, width=width), encoding="utf-8")
    done = subprocess.run([browser, *QUIET, f"--user-data-dir={folder / 'browser'}", frame.as_uri()], timeout=120,
                          capture_output=True, text=True, check=True)
    found = re.search(r'<pre id="seen">(.+?)</pre>', done.stdout, flags=re.S)
    assert found, f"the browser did not load {page.name}:\n{done.stderr[-2000:]}"
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(html.unescape(found.group(1))), console


def complaints(seen: dict, console: list[str]) -> list[str]:
    """What a reader would complain about. Empty for a good page."""
    wrong = [f"figure {alt!r} did not load" for alt, width in seen["images"] if not width]
    wrong += [f"loads {name} from outside of the page" for name in seen["outside"]]
    wrong += [f"link to #{name}, which is not there" for name in seen["broken"]]
    wrong += [f"console: {line}" for line in console]
    if seen["scrollWidth"] > seen["innerWidth"]:
        wrong.append(f"scrolls sidewise: {seen['scrollWidth']} px of content in {seen['innerWidth']} px")
    return wrong


@pytest.mark.parametrize("width", [PHONE_PX, DESKTOP_PX])
def test_every_page_reads_well(site, browser, width, tmp_path):
    for page in sorted(site.reports.glob("*.html")):
        seen, console = see(browser, page, width, tmp_path)
        assert seen["innerWidth"] == width
        assert complaints(seen, console) == [], page.name


def test_index_shows_each_claim_once(site, browser, tmp_path):
    from edgekit.claims import judgement as claims

    seen, _ = see(browser, site.reports / "index.html", DESKTOP_PX, tmp_path)
    assert sorted(name for name, _, _ in seen["claims"]) == sorted(claim.id for claim in claims.load())
    assert all(verdict in claims.VERDICTS and visible == (verdict != "not yet run") for _, verdict, visible in seen["claims"])


def test_notebook_pages_show_figures(site, browser, tmp_path):
    for outcome in site.outcomes:
        seen, _ = see(browser, site.reports / f"{outcome.notebook}.html", DESKTOP_PX, tmp_path)
        assert seen["images"] and all(width > 100 for _, width in seen["images"]), outcome.notebook


@pytest.mark.parametrize(("defect", "complaint"), [
    ('<img alt="torn" src="data:image/png;base64,AAAA">', "figure 'torn' did not load"),
    ('<img alt="gone" src="gone.svg">', "figure 'gone' did not load"),
    ('<link rel="stylesheet" href="gone.css">', "gone.css from outside of the page"),
    ('<div style="width: 900px">wide</div>', "scrolls sidewise"),
    ("", ""),
    ("<script>missing()</script>", "console: "),
    ('<a href="#nowhere">nowhere</a>', "link to #nowhere"),
])
def test_the_same_check_catches_a_broken_page(browser, tmp_path, defect, complaint):
    page = tmp_path / "page.html"
    head = '<!DOCTYPE html><meta charset="utf-8"><link rel="icon" href="data:,">'
    page.write_text(f"{head}<body><p>fine</p>{defect}</body>")
    wrong = complaints(*see(browser, page, PHONE_PX, tmp_path / "seen"))
    assert bool(wrong) == bool(complaint) and all(complaint in sentence for sentence in wrong[:1]), wrong
