"""What tokens cost in the cloud, by the dated prices of data/published/cloud_prices.yaml."""

from __future__ import annotations

import datetime
import functools
from dataclasses import dataclass

from edgekit import store, text_files
from edgekit.errors import InvalidRequest, unknown_name

FILE = store.ROOT / "data" / "published" / "cloud_prices.yaml"
FIELDS = {"model": str, "from": str, "input_usd_per_mtok": float, "output_usd_per_mtok": float, "source": str}
MILLION = 1e6


class PriceError(InvalidRequest):
    """There is no such price, or the table of them cannot be used."""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a token of a query (`input_usd`) and of an answer, as printed for the day `since` (ISO)."""

    name: str
    model: str
    since: str
    input_usd: float
    output_usd: float
    source: str

    def usd(self, prompt_tokens, output_tokens):
        """The cost of queries and answers; numbers, or arrays of them."""
        return self.input_usd * prompt_tokens + self.output_usd * output_tokens


def names() -> list[str]:
    """The prices there are, in the file's order. Raises PriceError."""
    return list(_read(FILE, FILE.stat().st_mtime_ns))


def load(name: str) -> Price:
    """Raises PriceError for an unknown price (with the known ones) and for a table that is not one."""
    known = _read(FILE, FILE.stat().st_mtime_ns)
    if name not in known:
        raise PriceError(unknown_name("price", name, known, "; add one with its day and source to "
                                      "data/published/cloud_prices.yaml"))
    return known[name]


@functools.lru_cache(maxsize=2)
def _read(path, _changed) -> dict[str, Price]:
    content = text_files.yaml_of(path, PriceError)
    if not isinstance(content, dict) or not content:
        raise PriceError(f"{path}: expected prices by name")
    return {name: _price(path, name, entry) for name, entry in content.items()}


def _price(path, name: str, entry) -> Price:
    if not isinstance(entry, dict) or set(entry) != set(FIELDS) or not all(
            isinstance(entry[field], kind) for field, kind in FIELDS.items()):
        raise PriceError(f"{path}, {name}: expected {', '.join(FIELDS)}, texts and numbers with a point")
    rates = entry["input_usd_per_mtok"], entry["output_usd_per_mtok"]
    if min(rates) < 0:
        raise PriceError(f"{path}, {name}: expected prices of at least 0, got {rates}")
    try:
        datetime.date.fromisoformat(entry["from"])
    except ValueError as error:
        raise PriceError(f"{path}, {name}: expected a day as 2024-07-18, got {entry['from']!r}") from error
    return Price(name, entry["model"], entry["from"], *(rate / MILLION for rate in rates), entry["source"])
