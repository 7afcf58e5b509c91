"""Work on several files, split over processes of their own, each of which begins with the largest it has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edgekit import store

MOST = 4  # processes, of which each holds the rows of one file
PROGRAM = """
import importlib, json, sys
module, name = sys.argv[1].split(":")
function = getattr(importlib.import_module(module), name)
for arguments in json.load(sys.stdin): function(*arguments)
"""


def run(function: str, calls: Sequence[Sequence[str]]) -> None:
    """Call `function` ("module:function") with each of these arguments, the first of which is a file.

    What fails is told by whoever asks for its result in this process, which then does it again.
    """
    count = min(os.cpu_count() or 1, MOST, len(calls))
    order = sorted(calls, key=lambda call: -Path(call[0]).stat().st_size)
    code = str(Path(__file__).parents[1])
    environment = os.environ | {"EDGEKIT_HOME": str(store.ROOT), "EDGEKIT_OUTPUT": str(store.OUTPUT),
                                "PYTHONPATH": os.pathsep.join(filter(None, (code, os.environ.get("PYTHONPATH"))))}
    running = []
    for number in range(count):
        one = subprocess.Popen([sys.executable, "-c", PROGRAM, function], env=environment, stdin=subprocess.PIPE, text=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        one.stdin.write(json.dumps(order[number::count]))
        one.stdin.close()
        running.append(one)
    for one in running:
        one.wait()
