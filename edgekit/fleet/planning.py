"""What only a board can say: who it is and what a study's units are there. Jobs of a fresh process."""

from __future__ import annotations

import dataclasses
import hashlib
import platform
from pathlib import Path

import edgekit
from edgekit import engines, params, studies
from edgekit.catalog import platforms
from edgekit.catalog.engines import ENGINES
from edgekit.compress import foreseen, variant
from edgekit.errors import EdgekitError
from edgekit.studies import needs
from edgekit.studies.local import Local, allowed_of


def kit() -> dict[str, str]:
    """Which kit this is: version, Python, and the hash of its code."""
    digest, home = hashlib.sha256(), Path(edgekit.__file__).parent
    for path in sorted(home.rglob("*.py")):
        digest.update(f"{path.relative_to(home)}\n".encode() + path.read_bytes())
    return dict(edgekit=edgekit.__version__, code=digest.hexdigest()[:16], python=platform.python_version())


def about() -> dict:
    """What this machine is, as it says of itself, and what decides numbers on it."""
    return dict(kit=kit(), platform=platforms.current().slug, runtimes={name: engines.runtime(name) for name in ENGINES})


def plan(study: str, values: dict) -> dict:
    """The units of a study here, with the hashes of what they open and, by chain, the addresses of what is built for it.

    Copies that are made again in seconds are not among those.
    """
    module = studies.module(study)
    config = params.validate(module.Config, values, f"the parameters of {study}")
    with Local() as here:
        units = here.fitting(list(module.plan(config)), allowed_of(config))
    asked = [unit for unit in units if unit.refusal is None]
    opened = dict.fromkeys(chain for unit in asked for chain in (*unit.variants, *sorted(needs.opened(unit))))
    return dict(version=module.VERSION, platform=platforms.current().slug, units=[dataclasses.asdict(unit) for unit in units],
                hashes={chain: variant.content_hash(chain) for unit in asked for chain in unit.variants},
                built={chain: _built(chain) for chain in opened})


def _built(chain: str) -> list[str]:
    try:
        return [link.folder().name for link in foreseen.links(chain) if link.made
                and not link.variant.endswith(variant.DEQUANTIZED)]
    except EdgekitError:
        return []  # it cannot be built, and its job says why
