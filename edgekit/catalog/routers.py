"""What others measured of trained routers (data/published/routers.yaml), for marks in figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit import store, text_files
from edgekit.catalog.published import PublishedError

if TYPE_CHECKING:
    import pandas as pd

FIELDS = ("set", "features", "apgr", "label", "source")


def published() -> pd.DataFrame:
    """A line a router: set, features, apgr, label and source. Raises PublishedError for a file that is not what it should
    be."""
    import pandas as pd

    path = store.ROOT / "data/published/routers.yaml"
    content = text_files.yaml_of(path, PublishedError)
    found = content.get("routers") if isinstance(content, dict) else None
    if not isinstance(found, list) or not all(isinstance(one, dict) and set(one) == set(FIELDS) for one in found):
        raise PublishedError(f"{path}: expected `routers`, a list of entries with {', '.join(FIELDS)}")
    return pd.DataFrame(found, columns=list(FIELDS)).rename(columns={"source": "locator"}).assign(source="published")
