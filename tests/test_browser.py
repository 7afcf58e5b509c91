"""The rendered report in a real browser, from file://: figures load, nothing errs, a phone need not scroll sidewise, and
axe-core finds nothing that would keep a reader out."""

from __future__ import annotations

import html
import importlib.resources
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.notebook]

PHONE_PX, DESKTOP_PX = 390, 1200
CLAIMS = ("S1.10", "S1.19", "S2.2")  # judged both ways, not yet run, several tests: one page of each kind
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--enable-logging=stderr",
         "--virtual-time-budget=4000", "--window-size=1400,900", "--dump-dom")

# Runs inside of a copied page, and tells the page around its frame what a reader would see. Browsers refuse windows as
# narrow as a phone, but not frames; one browser opens many of them.
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
FRAMES = """<!DOCTYPE html><title>frames</title><style>iframe {{ border: 0; position: absolute; top: 0; left: 0 }}</style>
<pre id="seen"></pre><script>
const seen = {{}};
addEventListener("message", event => {{
  const frame = [...document.querySelectorAll("iframe")].find(one => one.contentWindow === event.source);
  seen[frame.name] = JSON.parse(event.data);
  document.getElementById("seen").textContent = JSON.stringify(seen);
}});
</script>
{frames}"""


# Presses a badge of this run's table, notes which claims are left, and lets go of it.
FILTER = """<script>
window.addEventListener("load", () => {
  const visible = () => [...document.querySelectorAll("#here [data-claim]")]
    .filter(row => row.checkVisibility() && row.getBoundingClientRect().height > 0).map(row => row.dataset.verdict);
  const seen = {before: visible()};
  for (const word of PRESSED) {
    const button = document.querySelector(`#here button[data-show="${word}"]`);
    button.click();
    seen[word] = {left: visible(), pressed: button.getAttribute("aria-pressed"),
                  told: document.querySelector("#here .told").textContent};
    button.click();
  }
  seen.after = visible();
  parent.postMessage(JSON.stringify(seen), "*");
});
</script></body>"""
PRESSED = ("not testable here", "inconsistent")
# Runs on the page itself, with all that is folded opened, and leaves what was found in its place.
AXE = """<script src="axe.min.js"></script><script>
window.addEventListener("load", async () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
  const found = await axe.run(document, {resultTypes: ["violations", "passes"]});
  const seen = document.createElement("pre");
  seen.id = "seen";
  seen.textContent = JSON.stringify({
    dark: matchMedia("(prefers-color-scheme: dark)").matches, passed: found.passes.map(rule => rule.id),
    wrong: found.violations.flatMap(rule => rule.nodes.map(
      node => `${rule.id}: ${node.html.slice(0, 160)}: ${node.failureSummary.replace(/\\s+/g, " ").slice(0, 300)}`))});
  document.body.replaceChildren(seen);
});
</script></body>"""


@pytest.fixture(scope="session")
def browser() -> str:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        message = f"no browser found (looked for {', '.join(NAMES)}); install one, or put it on PATH"
        if os.environ.get("EDGEKIT_REQUIRE_BROWSER") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return found


def opened(browser: str, page: Path, folder: Path, *flags: str) -> tuple[dict | list, list[str]]:
    """What a page's script left in its element `seen`, and what the console said."""
    done = subprocess.run([browser, *QUIET, *flags, f"--user-data-dir={folder / 'browser'}", page.as_uri()], timeout=120,
                          capture_output=True, text=True, check=True)
    found = re.search(r'<pre id="seen">(.+?)</pre>', done.stdout, flags=re.S)
    assert found, f"the browser did not load {page.name}:\n{done.stderr[-2000:]}"
    return json.loads(html.unescape(found.group(1))), [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def with_script(page: Path, script: str, copy: Path) -> Path:
    """A copy of a page that ends in a script, without the policy that would not let it run."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text(encoding="utf-8"))
    assert text.count("</body>") == 1
    copy.write_text(text.replace("</body>", script), encoding="utf-8")
    return copy


def see(browser: str, pages: list[Path], width: int, folder: Path, script: str = PROBE) -> tuple[dict[str, dict], list[str]]:
    """What a reader of each of `pages`, by stem, gets in a window of `width` pixels, and what the console said of all."""
    frames = [f'<iframe name="{page.stem}" src="{with_script(page, script, folder / f"{page.stem}-{width}.html").name}" '
              f'width="{width}" height="900"></iframe>' for page in pages]
    page = folder / f"frames-{width}.html"
    page.write_text(FRAMES.format(frames="\n".join(frames)), encoding="utf-8")
    seen, console = opened(browser, page, folder)
    assert seen.keys() == {page.stem for page in pages}, "a page did not load"
    return seen, console


def violations(browser: str, page: Path, folder: Path, dark: bool) -> list[str]:
    """What axe-core finds wrong with a page in light or in dark."""
    copy = with_script(page, AXE, folder / page.name)
    (folder / "axe.min.js").write_text((importlib.resources.files("axe_playwright_python") / "axe.min.js").read_text("utf-8"))
    found, _ = opened(browser, copy, folder, f"--blink-settings=preferredColorScheme={0 if dark else 1}")
    assert found["dark"] == dark and len(found["passed"]) > 5, "axe-core did not look at the page"
    return found["wrong"]


def complaints(seen: dict, console: list[str]) -> list[str]:
    """What a reader would complain about. Empty for a good page."""
    wrong = [f"figure {alt!r} did not load" for alt, width in seen["images"] if not width]
    wrong += [f"loads {name} from outside of the page" for name in seen["outside"]]
    wrong += [f"link to #{name}, which is not there" for name in seen["broken"]]
    wrong += [f"console: {line}" for line in console]
    if seen["scrollWidth"] > seen["innerWidth"]:
        wrong.append(f"scrolls sidewise: {seen['scrollWidth']} px of content in {seen['innerWidth']} px")
    return wrong


@pytest.fixture(scope="module", params=[PHONE_PX, DESKTOP_PX])
def read(request, site, browser, tmp_path_factory):
    """A width, what a reader sees of every page in it, and what the console said."""
    pages = [*sorted(site.reports.glob("*.html")), *(site.reports / f"claims/{name}.html" for name in CLAIMS)]
    return request.param, *see(browser, pages, request.param, tmp_path_factory.mktemp("pages"))


def test_every_page_reads_well(read):
    width, pages, console = read
    assert len(pages) > len(CLAIMS) + 2
    for name, seen in pages.items():
        assert seen["innerWidth"] == width
        assert complaints(seen, console) == [], name


def test_index_shows_each_claim_once(read):
    from edgekit.claims import judgement as claims

    seen = read[1]["index"]
    assert sorted(name for name, _, _ in seen["claims"]) == sorted(claim.id for claim in claims.load())
    assert all(verdict in claims.VERDICTS and visible == (verdict != "not yet run") for _, verdict, visible in seen["claims"])


def test_notebook_pages_show_figures(site, read):
    for outcome in site.outcomes:
        images = read[1][outcome.notebook]["images"]
        assert images and all(width > 100 for _, width in images), outcome.notebook


def pressing(*words: str) -> str:
    return FILTER.replace("PRESSED", json.dumps(words))


def test_the_badge_of_what_is_not_yet_run_unfolds_it_as_long_as_it_is_pressed(browser, tmp_path):
    """On a front page of three claims, one of which nobody ran: a report of whole runs has none."""
    from edgekit.report import frame, verdicts

    lines = [dict(id=f"T.{number}", verdict=verdict, kind=verdicts.VERDICTS[verdict][0], statement="A toy.", short="1",
                  ours_short="2", also="", links=[], missing="")
             for number, verdict in enumerate(("reproduced", "inconsistent", "not yet run"))]
    block = dict(kind="this", id="here", title="This run", note="", lines=lines, groups=verdicts._groups(lines, "Here"),
                 tally=[(line["verdict"], line["kind"], 1) for line in lines])
    nothing = dict(lead="", failures=[], reruns=[], machine={}, skips=[], pages=[],
                   result=dict(decided="", numbers=[], misses=[], figure=""))
    body = frame.fragment("index.html.j2", script=frame.script(), verdicts=verdicts.VERDICTS, blocks=[block], **nothing)
    page = tmp_path / "index.html"
    page.write_text(frame.Frame("toy", "now", (frame.Entry("index", "Claims", ()),)).page("Toy", body, current="index"))
    pages, console = see(browser, [page], DESKTOP_PX, tmp_path, pressing("not yet run", "reproduced"))
    seen = pages["index"]
    assert not console and seen["before"] == seen["after"] == ["reproduced", "inconsistent"]
    assert seen["not yet run"] == {"left": ["not yet run"], "pressed": "true", "told": "1 of 3 claims shown"}
    assert seen["reproduced"]["left"] == ["reproduced"], "and what was unfolded is folded again"


def test_a_badge_leaves_the_claims_of_its_verdict(site, browser, tmp_path):
    pages, console = see(browser, [site.reports / "index.html"], DESKTOP_PX, tmp_path, pressing(*PRESSED))
    seen = pages["index"]
    assert not console and seen["before"] == seen["after"] and "not yet run" not in seen["before"]
    for word in PRESSED:
        assert set(seen[word]["left"]) == {word} and seen[word]["pressed"] == "true"
        assert seen[word]["told"].startswith(f"{len(seen[word]['left'])} of ")


def test_a_page_runs_its_own_script_and_none_that_came_with_what_it_shows(site, browser, tmp_path):
    """As from an executed notebook of strangers, in which a table holds markup."""
    planted = '<script>document.title = "ran"</script><img src="nothing" onerror="document.title = \'ran\'">'
    for name in ("index", "02_baseline"):
        page = tmp_path / f"{name}.html"
        page.write_text((site.reports / page.name).read_text(encoding="utf-8").replace("</main>", f"{planted}</main>"))
        done = subprocess.run([browser, *QUIET, f"--user-data-dir={tmp_path / 'browser'}", page.as_uri()], timeout=120,
                              capture_output=True, text=True, check=True)
        assert planted[:20] in done.stdout and "<title>ran</title>" not in done.stdout
        assert "Content Security Policy" in done.stderr
        assert ("data-show" in done.stdout) == (name == "index") and not re.search(r"<button[^>]*disabled", done.stdout)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("page", ["index", "02_baseline", "claims/S2.2"])
def test_axe_finds_nothing_wrong(site, browser, tmp_path, page, dark):
    pytest.importorskip("axe_playwright_python", reason="axe-core comes with the extra dev")
    assert violations(browser, site.reports / f"{page}.html", tmp_path, dark) == []


def test_axe_finds_what_is_wrong(browser, tmp_path):
    pytest.importorskip("axe_playwright_python", reason="axe-core comes with the extra dev")
    page = tmp_path / "bad.html"
    page.write_text('<!DOCTYPE html><html lang="en"><title>bad</title><body><main><h1>bad</h1><p style="color: #bbb">pale</p>'
                    '<img src="data:,"></main></body></html>')
    found = violations(browser, page, tmp_path / "seen", False)
    assert {sentence.split(":")[0] for sentence in found} == {"color-contrast", "image-alt"}


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
    pages, console = see(browser, [page], PHONE_PX, tmp_path / "seen")
    wrong = complaints(pages["page"], console)
    assert bool(wrong) == bool(complaint) and all(complaint in sentence for sentence in wrong[:1]), wrong
