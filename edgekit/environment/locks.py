"""The lock files beside this module: their pins, and the files that pip may take for each.

Standard library and Python 3.7 syntax, as install.py.
"""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
FILES = HERE / "files.sha256"


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(name):
    """The pinned requirements of a lock file by normalised name, in the file's order."""
    lines = (line.strip() for line in (HERE / (name + ".txt")).read_text(encoding="utf-8").splitlines())
    return {normal(line.split("==")[0]): line for line in lines if line and not line.startswith("#")}


def pin_of(requirement):
    """Normalised name and version of a pinned requirement."""
    name, version = requirement.split(";")[0].split("==")
    return normal(name), version.strip()


def pin_of_file(name):
    """Normalised name and version of a wheel or a source archive, from its file name."""
    if name.endswith(".whl"):
        project, version = name.split("-")[:2]
    else:
        project, version = re.sub(r"\.(tar\.gz|zip)$", "", name).rsplit("-", 1)
    return normal(project), version


def files():
    """File name -> SHA-256 of the files of each pin, by its normalised name and version."""
    found = {}
    for line in FILES.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            digest, name = line.split()
            found.setdefault(pin_of_file(name), {})[name] = digest
    return found


def hashed(requirements):
    """A requirements file for `pip --require-hashes`: each requirement with the hashes of its files."""
    known = files()
    lines = []
    for requirement in requirements:
        hashes = sorted(known.get(pin_of(requirement), {}).values())
        lines.append(" ".join([requirement, *("--hash=sha256:" + digest for digest in hashes)]))
    return "\n".join(lines) + "\n"
