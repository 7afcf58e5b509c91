"""The numbers that the documents print, as data/published/claims.yaml holds them: for crosses in figures and for audits.

What the claims are judged by is read and checked above the studies, in edgekit.claims.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

from edgekit import store, text_files
from edgekit.catalog import platforms
from edgekit.errors import RunFailed, unknown_name

if TYPE_CHECKING:
    import pandas as pd

FIELDS = ("quantity", "value", "low", "high", "unit", "text", "label", "platform", "parameters", "prompt_tokens",
          "output_tokens", "step_bytes", "locator")


# What a test may expect, as the ends of what it accepts.
EXPECT = {"at_least": lambda value: (value, math.inf), "at_most": lambda value: (-math.inf, value), "between": tuple}


class PublishedError(RunFailed):
    """The file of claims does not hold what was asked for; the message names it."""


def entries() -> list[dict]:
    """Every claim as it is written, with `published`, its printed numbers. Raises PublishedError."""
    path = store.ROOT / "data" / "published" / "claims.yaml"
    return _read(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=2)
def _read(path, _changed) -> list[dict]:
    content = text_files.yaml_of(path, PublishedError)
    claims = content.get("claims") if isinstance(content, dict) else None
    if not isinstance(claims, list) or not all(isinstance(one, dict) and {"id", "locator", "published"} <= one.keys()
                                               for one in claims):
        raise PublishedError(f"{path}: expected `claims`, a list of entries with id, locator and published")
    return claims


def accepted(claim_id: str, quantity: str, *, measured: bool = False) -> tuple[float, float]:
    """What a claim's test or check of a quantity accepts, its tolerance included; an open end is infinite. measured: the test
    of what is measured, where there is a check of the printed numbers too.

    Raises PublishedError for an unknown claim, or a quantity that it does not ask for.
    """
    claim = _claim(claim_id)
    both = claim.get("tests", ()), claim.get("audit", {}).get("checks", ())
    asked = {test["quantity"]: test for tests in (reversed(both) if measured else both) for test in tests}
    if quantity not in asked:
        raise PublishedError(f"{claim_id} does not ask for {quantity!r}; it asks for: {', '.join(asked) or 'nothing'}")
    [(comparison, value)] = asked[quantity]["expect"].items()
    low, high = EXPECT[comparison](value)
    return low - asked[quantity]["tolerance"]["absolute"], high + asked[quantity]["tolerance"]["absolute"]


def _claim(claim_id: str) -> dict:
    claims = {claim["id"]: claim for claim in entries()}
    if claim_id not in claims:
        raise PublishedError(unknown_name("claim", claim_id, claims))
    return claims[claim_id]


def printed() -> list[dict]:
    """All printed numbers, in the file's order."""
    return [number for claim in entries() for number in claim["published"]]


def numbers(claim_id: str, quantity: str | None = None) -> pd.DataFrame:
    """The printed numbers of a claim as a table, `source` = "published", for the crosses in figures.

    Where one gives no locator of its own it has the claim's. Raises PublishedError for an unknown claim.
    """
    import pandas as pd

    claim = _claim(claim_id)
    table = pd.DataFrame([{"locator": claim["locator"], **entry} for entry in claim["published"]], columns=FIELDS)
    table = table.assign(claim=claim_id, source="published")
    return table if quantity is None else table[table.quantity == quantity].reset_index(drop=True)


def speeds() -> pd.DataFrame:
    """Decode speeds that others published (data/published/speeds.yaml), a line each, with `nominal`, the bandwidth of the
    memory by its makers, `source` = "published", and `told`, where it stands. Raises PublishedError."""
    import pandas as pd

    path = store.ROOT / "data" / "published" / "speeds.yaml"
    found = text_files.yaml_of(path, PublishedError)
    for one in found:
        if "platform" in one:
            one["nominal"] = platforms.get(one["platform"]).memory_bandwidth_byte_per_s
    return pd.DataFrame(found).rename(columns={"source": "told"}).assign(source="published")
