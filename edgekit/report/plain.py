"""Texts that came out of a model or another machine, as texts: nothing in them is taken for markup.

Answers, file names and reasons stand in tables and sentences of notebooks and pages; one of them may hold a tag.
"""

from __future__ import annotations

import base64
import hashlib
import re


def without_tags(markdown: str) -> str:
    """Markdown in which nothing begins an HTML tag, a comment or a processing instruction; a lone "<" stays."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", markdown)


def policy(*scripts: str) -> str:
    """The content security policy of a page that runs these scripts, by their hashes, and nothing else from anywhere: what gets
    into a page as markup, from an executed notebook of strangers too, cannot run."""
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    run = " ".join(f"'sha256-{one}'" for one in hashes) or "'none'"
    return (f"default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; script-src {run}; base-uri 'none'; "
            "form-action 'none'")
