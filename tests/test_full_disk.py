"""A disk that is full ends a run with one sentence, loses nothing that was measured, and lets the next run go on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# A small disk of its own: its size is what is left on a board's. The process sees it, nobody else does.
PROGRAM = """
import os, subprocess, sys
from pathlib import Path
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", {disk!r}], check=True)
os.environ["TMPDIR"] = {temporary!r} or {disk!r}
from edgekit import cli, store
import known_bandwidth, test_runner
known_bandwidth.tell()
store.OUTPUT = Path({disk!r})
units = test_runner.units("jobs:square")
test_runner.run_study(units[:3])
free = lambda: os.statvfs({disk!r}).f_bavail * os.statvfs({disk!r}).f_frsize
filler = Path({disk!r}) / "filler"
filler.write_bytes(b"x" * (free() - {left}))
cli._doctor = lambda options: test_runner.run_study(units)
print("status", cli.main(["doctor"]))
print("kept", len(store.read(store.OUTPUT / "runs/test/toy.jsonl")[0]))
filler.unlink()
result = test_runner.run_study(units)
print("then", result.measured, result.reused, len(result.rows), len(result.skips))
"""


@pytest.mark.parametrize(("left", "temporary"), [(0, "/tmp"), (12288, "")])
def test_a_full_disk_is_one_sentence_and_nothing_is_lost(tmp_path, left, temporary):
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("no user namespaces here, so no disk of its own")
    program = PROGRAM.format(disk=str(tmp_path), left=left, temporary=temporary)
    environment = os.environ | {"PYTHONPATH": f"{HERE}:{HERE.parent}"}
    done = subprocess.run(["unshare", "-rm", sys.executable, "-c", program], capture_output=True, text=True, env=environment,
                          cwd=HERE.parent)
    assert done.returncode == 0, done.stderr
    said = Counter(line.split()[0] for line in done.stdout.splitlines())
    assert said == {"status": 1, "kept": 1, "then": 1}
    lines = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    told = [line for line in done.stderr.splitlines() if line.startswith("edgekit: ")]
    assert lines["status"] == "1" and len(told) == 1 and "No space left on device" in told[0], done.stderr
    assert "Traceback" not in done.stderr
    kept, (measured, reused, rows, skips) = int(lines["kept"]), map(int, lines["then"].split())
    assert kept >= 2 * 3 and kept == 2 * reused, "the three that were measured before are there, whole"
    assert (measured + reused, rows, skips) == (12, 24, 0)
