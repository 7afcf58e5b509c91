"""One archive of what a profile measured: rows and skips, manifests, plans, parameters and executed notebooks.

A plain tar of regular files in name order, without times, owners or modes, so that the same files are the same bytes. Its first
member, `contents.json`, names the kit's version, profile and platform, and every other member with its SHA-256. Reading one
believes nothing else: any member that is not named there, not a regular file, or not the same bytes, is refused before
anything is written.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import edgekit
from edgekit.errors import InvalidRequest

CONTENTS = "contents.json"
FORM = 1  # of archives, a number that changes with what is in them
# What may be in one: nothing lies deeper, and no name leads out of a folder.
MEMBERS = re.compile(r"(rows|notebooks|params)/[A-Za-z0-9][A-Za-z0-9_-]*\.(jsonl|manifest\.json|plan\.json|ipynb|yaml)")
MOST_BYTES = 4 << 30  # of all members together; what is more is no archive of rows


class ArchiveError(InvalidRequest):
    """An archive cannot be trusted or read here; the message names the member or the version."""


@dataclass(frozen=True)
class Archive:
    """What was packed: members by name, and what the contents say of them all."""

    kit: str
    profile: str
    platform: str
    members: Mapping[str, bytes]

    def rows(self) -> dict[str, bytes]:
        """The rows of each study."""
        return {name.removeprefix("rows/").removesuffix(".jsonl"): content for name, content in self.members.items()
                if name.endswith(".jsonl")}


def written(archive: Archive) -> bytes:
    """The bytes of an archive."""
    contents = {"form": FORM, "kit": archive.kit, "profile": archive.profile, "platform": archive.platform,
                "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in sorted(archive.members.items())}}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in ((CONTENTS, (json.dumps(contents, indent=1) + "\n").encode()), *sorted(archive.members.items())):
            member = tarfile.TarInfo(name)  # mode 644, no owner, time 0
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def read(path: Path) -> Archive:
    """An archive with every checksum compared. Raises ArchiveError for one that was changed, of another kit, or none."""
    members = _members(path)
    if next(iter(members), "") != CONTENTS:
        raise ArchiveError(f"{path}: expected an archive of edgekit pack, whose first member is {CONTENTS}, got "
                           f"{next(iter(members), 'an empty one')}")
    try:
        contents = json.loads(members.pop(CONTENTS))
        form, kit, hashes = contents["form"], contents["kit"], contents["sha256"]
        profile, platform = str(contents["profile"]), str(contents["platform"])
    except (ValueError, KeyError, TypeError) as error:
        raise ArchiveError(f"{path}, {CONTENTS}: cannot be read ({error}); pack it again") from error
    if (form, kit) != (FORM, edgekit.__version__):
        raise ArchiveError(f"{path} was packed by edgekit {kit} (form {form}), this is edgekit {edgekit.__version__} "
                           f"(form {FORM}); unpack it with the version that packed it: the same words may mean other things")
    if different := sorted(hashes.keys() ^ members.keys()):
        where = "in the archive and not in its contents" if different[0] in members else "in its contents and not there"
        raise ArchiveError(f"{path}: {different[0]} is {where}; get the archive again")
    for name, content in members.items():
        if hashlib.sha256(content).hexdigest() != hashes[name]:
            raise ArchiveError(f"{path}: {name} is not what was packed (another SHA-256); get the archive again")
    return Archive(kit, profile, platform, members)


def _members(path: Path) -> dict[str, bytes]:
    """The members by name, in their order, of which each is a regular file with a name that may be there."""
    found: dict[str, bytes] = {}
    total = 0
    try:
        with tarfile.open(path, mode="r:") as tar:
            for member in tar:
                if not member.isreg() or member.issparse():
                    raise ArchiveError(f"{path}: {member.name!r} is a link, a folder or a device; only regular files "
                                       "are unpacked")
                if member.name != CONTENTS and not MEMBERS.fullmatch(member.name):
                    raise ArchiveError(f"{path}: {member.name!r} is no name of a member (rows/, notebooks/ or params/ and a "
                                       "file); nothing is written outside of runs/")
                if member.name in found:
                    raise ArchiveError(f"{path}: {member.name} is in it twice")
                total += member.size
                if total > MOST_BYTES:
                    raise ArchiveError(f"{path}: more than {MOST_BYTES / 2**30:.0f} GiB; that is no archive of rows")
                found[member.name] = tar.extractfile(member).read()
    except FileNotFoundError as error:
        raise ArchiveError(f"no archive at {path}") from error
    except (tarfile.TarError, IsADirectoryError, EOFError) as error:
        raise ArchiveError(f"{path}: not an archive of edgekit pack ({error})") from error
    return found
