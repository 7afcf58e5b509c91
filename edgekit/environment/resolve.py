#!/usr/bin/env python3
"""Write files.sha256: which file pip takes for each pin, for every supported Python and platform, and its SHA-256.

    python3 -m pip install --target FOLDER pip
    PYTHONPATH=FOLDER .venv/bin/python edgekit/environment/resolve.py

Asks the index of pip's own configuration and installs nothing. The pip must be 23.3 or newer, since an older one fetches whole
files where their metadata would do; the Python is that of .venv, because source packages are asked for their metadata without
isolation. gpu.txt is left out: it is installed with dependencies, which pip takes without hashes.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

import locks  # beside this file, which is run by path

LOCKS = ("cpu", "mlx", "onnx", "openvino", "quantize", "vllm-cpu")
PYTHONS = ("3.11", "3.12", "3.13")
BATCH = 20  # a batch is asked for again without the pin that has no file
OLD_NAMES = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}  # of the platform with this glibc 2.x


def manylinux(machine):
    """Tags of Linux with a glibc of up to 2.35, oldest first: pip then takes the file that most machines can use."""
    names = [name for minor in range(5, 36) for name in (OLD_NAMES.get(minor), f"manylinux_2_{minor}") if name]
    return tuple(f"{name}_{machine}" for name in names)


PLATFORMS = {"linux-x86_64": manylinux("x86_64"), "linux-aarch64": manylinux("aarch64"),
             "macos-arm64": tuple(f"macosx_{major}_0_arm64" for major in range(11, 15))}
HEAD = """\
# Written by resolve.py beside this file: SHA-256 and name of the files that pip takes for {locks},
# on Python {pythons}, for {platforms}.
# install.py has pip check them (--require-hashes), but for torch, of which an index may offer a build for CPU under the
# same version. What gpu.txt pins is not here. A pin without a wheel on a platform:
"""


def ask(pins, *arguments):
    """(SHA-256 by file name, pins without a file) of what pip would install for these pins."""
    found, lacking = {}, []
    for start in range(0, len(pins), BATCH):
        batch = list(pins[start:start + BATCH])
        while batch:
            command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet",
                       "--use-feature=fast-deps", "--report", "-", *arguments, *batch]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                for item in json.loads(done.stdout)["install"]:
                    name = PurePosixPath(unquote(urlsplit(item["download_info"]["url"]).path)).name
                    found[name] = item["download_info"]["archive_info"]["hashes"]["sha256"]
                break
            without = re.search(r"No matching distribution found for (\S+)", done.stderr)
            if not without or without.group(1) not in batch:
                sys.exit(f"pip failed: {done.stderr.strip()}")
            batch.remove(without.group(1))
            lacking.append(without.group(1))
    return found, lacking


def wheels_for(python, pins):
    """(SHA-256 by file name, pins without a wheel by platform) for one Python."""
    found, lacking = {}, {}
    anywhere = set()  # pins with a file for every platform, found on the first one
    for platform, tags in PLATFORMS.items():
        chosen = [argument for tag in tags for argument in ("--platform", tag)]
        new, lacking[platform] = ask([pin for pin in pins if locks.pin_of(pin) not in anywhere], "--only-binary=:all:",
                                     "--implementation", "cp", "--python-version", python, *chosen)
        found.update(new)
        anywhere |= {locks.pin_of_file(name) for name in new if name.endswith("-none-any.whl")}
        print(f"Python {python}, {platform}: {len(new)} files, no wheel of {' '.join(lacking[platform])}", flush=True)
    return found, lacking


def resolve():
    """The text of files.sha256."""
    # Without markers, which pip would judge by this machine; tests hold the answer against them.
    pins = sorted({line.split(";")[0].strip() for lock in LOCKS for line in locks.pins(lock).values()}, key=str.lower)
    found, lacking = {}, {}
    with ThreadPoolExecutor() as pool:  # the index's answers are what takes time
        answers = pool.map(lambda python: wheels_for(python, pins), PYTHONS)
        for python, (new, missing) in zip(PYTHONS, answers, strict=True):
            found.update(new)
            lacking.update((f"{python} {platform}", names) for platform, names in missing.items())
    wheels = {locks.pin_of_file(name) for name in found}
    sources = [pin for pin in pins if locks.pin_of(pin) not in wheels]
    new, missing = ask(sources, "--no-build-isolation")
    if missing:
        sys.exit(f"no file of {', '.join(missing)} in the index")
    found.update(new)
    print(f"from source: {', '.join(sources)}")
    head = HEAD.format(locks=", ".join(LOCKS), pythons=", ".join(PYTHONS),
                       platforms=", ".join(PLATFORMS))
    lines = [f"# {target}: {' '.join(missing)}" for target, missing in lacking.items()]
    lines += [f"{found[name]}  {name}" for name in sorted(found, key=str.lower)]
    return head + "\n".join(lines) + "\n"


if __name__ == "__main__":
    locks.FILES.write_text(resolve(), encoding="utf-8")
