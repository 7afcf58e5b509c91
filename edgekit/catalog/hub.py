"""Repositories of the hub: the folder of one, whether it is here whole, and what fetching it would be."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit import store, text_files
from edgekit.catalog import weight_files, weights
from edgekit.catalog.architecture import Architecture
from edgekit.catalog.hf_config import ModelError

WANTED = ["*.safetensors", "*.json", "*.model", "*.txt", "*.jinja"]
PUBLISHED = "data/published/architectures.yaml"
LOGIN = "accept its licence on its page and log in (`hf auth login`)"


@dataclass(frozen=True, slots=True)
class Download:
    """What fetching a repository would be. nbytes: what is left to fetch, None where nobody says; gated: whether its owner
    wants a licence accepted and a token shown, None where nobody says; said: how the size is known, or why it is not."""

    name: str
    nbytes: int | None
    gated: bool | None
    said: str


@dataclass(frozen=True, slots=True)
class Published:
    """What PUBLISHED has of an architecture: its numbers, the repository that they were read in, and whether that is gated.
    also: further repositories, with the numbers of each."""

    architecture: Architecture
    repository: str
    gated: bool
    also: Mapping[str, Architecture]


def published() -> Mapping[str, Published]:
    """Published architectures by name. Raises ModelError for a file that is damaged."""
    path = store.ROOT / PUBLISHED
    return _published(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _published(path: Path, changed: int) -> Mapping[str, Published]:
    """Read once for each process and time of change: a plan names shapes hundreds of times."""
    fields = Architecture.__dataclass_fields__
    found = {}
    for name, facts in text_files.yaml_of(path, ModelError).items():
        known = Architecture(**{fact: value for fact, value in facts.items() if fact in fields})
        found[name] = Published(known, facts["source"].split()[0], facts.get("gated", False),
                                {other: dataclasses.replace(known, source=f"{other} config.json", **own)
                                 for other, own in facts.get("also", {}).items()})
    return found


def published_as(name: str) -> Published | None:
    """What is published of a repository; None where nothing is."""
    for one in published().values():
        if name in one.also:
            return Published(one.also[name], name, one.gated, {})
        if name == one.repository:
            return one
    return None


def had(call: Callable[[], str]) -> tuple[Path | None, str]:
    """What a call of the hub's library gives, in its cache; None, and why not, in a few words."""
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(call()), ""
    except GatedRepoError:
        return None, f"it is gated: {LOGIN}"
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        return None, first_line(error)


def fetch(name: str) -> Path:
    """The folder of a repository, downloaded where it is not here. Raises ModelError where it cannot be had."""
    from huggingface_hub import snapshot_download

    folder, why = had(lambda: snapshot_download(name, allow_patterns=WANTED))
    if folder is None:
        known = published_as(name)
        if known and known.gated and LOGIN not in why:
            why += f"; it is gated too: {LOGIN}"
        raise ModelError(f"{name}: not in the local hub cache and not to be had from the hub ({why}); connect to the network, "
                         "run `hf download` beforehand, or name a local folder")
    return folder


def fetch_file(repository: str, file: str) -> Path:
    """A file of a repository, downloaded where it is not here. Raises ModelError where it cannot be had."""
    from huggingface_hub import hf_hub_download

    found, why = had(lambda: hf_hub_download(repository, file))
    if found is None:
        raise ModelError(f"{repository}:{file}: not in the local hub cache and not to be had from the hub ({why}); connect to "
                         f"the network, run `hf download {repository} {file}` beforehand, or name the path of a file")
    return found


def file_here(repository: str, file: str) -> Path | None:
    """A file of a repository in the local cache; None where it is not there. Asks nobody."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, file)
    return Path(found) if isinstance(found, str) else None


def here(name: str) -> Path | None:
    """The folder of a repository that is in the local cache with all its weights; None for any other. Asks nobody."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, allow_patterns=WANTED, local_files_only=True))
        weight_files.files_of(folder)
    except (LocalEntryNotFoundError, HFValidationError, ModelError):
        return None
    return folder


def download(name: str) -> Download:
    """What fetching a repository would be, or weights that are listed: of a repository the hub is asked for the sizes of its
    files, and where it does not say, PUBLISHED is."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    if name in weights.listed():
        one = weights.named(name)
        return Download(name, one.nbytes, False, f"as {weights.LISTED} says; {one.licence}")
    known = published_as(name)
    gated = known and known.gated
    try:
        files = snapshot_download(name, allow_patterns=WANTED, dry_run=True)
        return Download(name, sum(file.file_size or 0 for file in files if file.will_download), False, "as the hub says")
    except GatedRepoError:
        gated, why = True, "the hub shows it to those who may have it"
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        why = f"the hub was not reached: {first_line(error)}"
    if known is None:
        return Download(name, None, gated, why)
    return Download(name, 2 * known.architecture.parameters, gated, f"its published sizes at 16 bits; {why}")


def first_line(error: Exception) -> str:
    """What an error says first, in a sentence; its class where it says nothing."""
    return str(error).splitlines()[0].split(". ")[0] if str(error) else type(error).__name__
