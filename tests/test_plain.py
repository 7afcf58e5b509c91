"""What came out of a model stays a text: in tables, sentences and pages, no markup in it is markup."""

from __future__ import annotations

import base64
import hashlib
import re

import nbformat
import pandas as pd

from edgekit import provenance, store
from edgekit.claims import pages
from edgekit.report import claim as claim_page
from edgekit.report import frame, notebook
from edgekit.report import pages as rendered
from edgekit.report.plain import policy, without_tags

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def test_tags_become_text_and_signs_stay_signs():
    assert without_tags(EVIL) == "&lt;script>alert(1)&lt;/script>&lt;img src=x onerror=alert(2)>"
    assert without_tags("pocket-3m < pocket-200k, p < 0.05, 3<4") == "pocket-3m < pocket-200k, p < 0.05, 3<4"
    assert "<" not in without_tags("<!-- --><?x?>")


def test_an_answer_with_markup_is_text_in_a_table_and_in_a_sentence_and_in_the_rendered_page(tmp_path, monkeypatch):
    """As a notebook shows rows: an answer in a table, a condition in the list of what was skipped, a warning of a job."""
    monkeypatch.setattr(store, "OUTPUT", tmp_path)
    table = notebook.shown(pd.DataFrame({"answer": [EVIL, "7"], "count": [1, 2]}), {"answer": "answer", "count": "n"})
    study = object.__new__(notebook.Experiment)
    study.skipped = [store.Skip("r", "s", {"task": "accuracy", "answer": EVIL}, f"failed at {EVIL}", False, "k")]
    study.path = tmp_path / "90_toy.jsonl"
    monkeypatch.setattr(provenance, "read_manifests", lambda path: {"r": {"warnings": [EVIL]}})
    skips = study.skips()
    outputs = [{"text/html": table._repr_html_(), "text/plain": "table"}, {"text/markdown": skips.data, "text/plain": "skips"}]
    node = nbformat.v4.new_notebook(cells=[
        nbformat.v4.new_markdown_cell("# A study"),
        *(nbformat.v4.new_code_cell("x", outputs=[nbformat.v4.new_output("display_data", data=data)]) for data in outputs),
        nbformat.v4.new_code_cell("x", outputs=[nbformat.v4.new_output("stream", name="stdout", text=EVIL)])])
    executed = tmp_path / "90_toy.ipynb"
    nbformat.write(node, executed)
    page = frame.Frame("ci", "now", ()).page("A study", rendered.page(executed).body)
    assert "<script" not in page and not re.search(r"<img[^>]*onerror", page)
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 5, "cell, condition, reason, warning, print"


def test_a_claims_page_shows_markup_of_rows_as_text():
    part = {"verdict": "undecided", "platform": "here", "on": "", "figure": "", "told": [EVIL], "lines": []}
    cell = {"id": "S1.1", "name": "n", "statement": "s", "document": "d", "locator": "l", "published": "p",
            "study": "02_baseline", "parts": [part]}
    body = claim_page._body(pages.derivation([cell], lambda part, claim: []), [])
    assert "<script" not in body and "&lt;script&gt;" in body


def test_a_page_may_run_its_own_script_and_no_other():
    own = frame.Frame("ci", "now", ()).page("t", "b", current="index")
    other = frame.Frame("ci", "now", ()).page("t", "b")
    digest = base64.b64encode(hashlib.sha256(frame.script().encode()).digest()).decode()
    said = [re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1].replace("&#39;", "'") for page in (own, other)]
    assert f"script-src 'sha256-{digest}';" in said[0] and said[1] == policy()
    assert all(one.startswith("default-src 'none';") and "unsafe-inline" not in one.split("script-src")[1] for one in said)
    text = (frame.TEMPLATES / "index.html.j2").read_text()
    assert "<script>{{ script | safe }}</script>" in text, "the hash is of what stands between the tags"
