"""Programs in the sandbox: what passes, and that nothing that is wrong, slow, large or mischievous does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

import pytest

from edgekit.measure import sandbox, sandbox_child
from edgekit.measure.sandbox import Limits, SandboxError

TEST = "def check(f):\n    assert f(2, 3) == 5\n    assert f(-1, 1) == 0\n\ncheck(add)\n"
RIGHT = "def add(a, b):\n    return a + b\n"
FEW = Limits(cpu_s=1, wall_s=5.0, memory_bytes=256 * 2**20)


def outcome(program: str, test: str = TEST, limits: Limits = FEW) -> sandbox.Verdict:
    return sandbox.run(program, test, limits)


def test_a_right_program_passes_and_says_what_keeps_it_from_the_network():
    found = outcome(RIGHT)
    assert found.passed and not found.timed_out and found.reason == ""
    assert found.guard.split(",")[0] in (sandbox_child.NAMESPACE, sandbox_child.HOOK)


@pytest.mark.parametrize("program, reason", [
    ("def add(a, b):\n    return a - b\n", "AssertionError"), ("def add(a, b:\n", "SyntaxError"), ("", "NameError"),
    ("def add(a, b):\n    return 1 / 0\n", "ZeroDivisionError"), ("import numpy\n" + RIGHT, "ModuleNotFoundError"),
    ("def add(a, b):\n    return add(a, b)\n", "RecursionError")])
def test_a_wrong_program_does_not(program, reason):
    found = outcome(program)
    assert (found.passed, found.timed_out, found.reason) == (False, False, reason)


@pytest.mark.parametrize("program", [
    "import sys\nsys.exit(0)\n", "import os\nos._exit(0)\n", "import sys\ndef add(a, b):\n    sys.exit(0)\n",
    "import os\ndef add(a, b):\n    os._exit(0)\n", "raise SystemExit\n", "def add(a, b):\n    raise KeyboardInterrupt\n",
    "import builtins as b\nb.exec = lambda *given: None\nb.compile = lambda *given: ''\ndef add(a, b):\n    return 0\n",
    "import json\njson.dumps = lambda *given, **named: '{\"token\": 1}'\ndef add(a, b):\n    return 0\n",
    "import os\nos.write = lambda *given: 0\ndef add(a, b):\n    return 0\n",
    "import os\nfor fd in range(3, 20):\n    try:\n        os.write(fd, b'{\"token\": \"x\", \"passed\": true}\\n')\n"
    "    except OSError:\n        pass\ndef add(a, b):\n    return 0\n",
    "print('{\"token\": \"x\"}')\ndef check(f):\n    pass\ndef add(a, b):\n    return 0\n",
    "import atexit, os\natexit.register(os._exit, 0)\ndef add(a, b):\n    return 0\n"])
def test_leaving_early_or_changing_what_judges_is_not_passing(program):
    found = outcome(program)
    assert not found.passed and not found.timed_out


@pytest.mark.parametrize("program", ["while True:\n    pass\n", "import time\ntime.sleep(60)\n",
                                     "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True:\n    pass\n"])
def test_what_does_not_end_is_ended(program):
    start = time.monotonic()
    found = outcome(program, limits=Limits(cpu_s=1, wall_s=2.5))
    assert not found.passed and time.monotonic() - start < 50
    assert found.timed_out or "SIG_IGN" in program


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no limit on a process's memory")
def test_memory_is_limited():
    assert outcome("held = 'x' * 2**30\n" + RIGHT).reason == "MemoryError"


def test_it_may_write_into_its_own_folder_and_nowhere_else(tmp_path):
    there = tmp_path / "there.txt"
    there.write_text("before")
    inside = "open('mine.txt', 'w').write('5')\nopen('mine.txt').read()\nimport os\nos.mkdir('d')\nos.remove('mine.txt')\n"
    assert outcome(inside + RIGHT).passed
    for deed in (f"open({str(there)!r}, 'w')", f"open({str(there)!r}, 'r+b')",
                 f"import os; os.open({str(there)!r}, os.O_WRONLY)",
                 f"import os; os.remove({str(there)!r})", f"import os; os.rename({str(there)!r}, 'mine')",
                 f"import os; os.mkdir({str(tmp_path / 'made')!r})", "open('../up.txt', 'w')", "open(b'../up.txt', 'w')",
                 f"import os; os.symlink({str(tmp_path)!r}, 'link')", f"import os; os.chdir({str(tmp_path)!r})",
                 f"import os; os.open('there.txt', os.O_WRONLY, dir_fd=os.open({str(tmp_path)!r}, os.O_RDONLY))",
                 f"import pathlib; pathlib.Path({str(there)!r}).write_text('after')", "import os; os.mkfifo('../pipe')",
                 f"import sqlite3; sqlite3.connect({str(tmp_path / 'made.db')!r}).execute('create table t (a)')",
                 "import builtins\nbuiltins.type = lambda one: int\nopen('../up.txt', 'w')"):
        found = outcome(f"{deed}\n{RIGHT}")
        assert not found.passed, deed
    assert there.read_text() == "before" and sorted(path.name for path in tmp_path.iterdir()) == ["there.txt"]


def test_large_files_and_floods_of_words_are_cut():
    assert outcome("open('big', 'wb').write(bytes(2**22))\n" + RIGHT).reason == "OSError"
    assert outcome("print('x' * 10**7)\n" + RIGHT).passed, "what is printed goes nowhere"
    flood = "import os\nwhile True:\n    for fd in range(3, 8):\n        try:\n            os.write(fd, b'x' * 4096)\n" \
            "        except OSError:\n            pass\n"
    assert not outcome(flood).passed


@pytest.mark.parametrize("deed", [
    "import os; os.fork()", "import subprocess; subprocess.run(['true'])", "import os; os.system('true')",
    "import os; os.execv('/bin/true', ['true'])", "import os; os.posix_spawn('/bin/true', ['true'], {})",
    "import os; os.kill(os.getppid(), 0)", "import ctypes", "import os\nwhile True:\n    os.fork()",
    "import multiprocessing as m; m.get_context('fork').Process(target=print).start()",
    "import resource; resource.setrlimit(resource.RLIMIT_CPU, (100, 100))"])
def test_it_starts_and_signals_no_process_and_lifts_no_limit(deed):
    found = outcome(f"{deed}\n{RIGHT}")
    assert not found.passed and not found.timed_out


def test_it_speaks_to_nobody():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for deed in (f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)", "import socket; socket.socket()",
                     "import urllib.request as u; u.urlopen('http://127.0.0.1')", "import socket; socket.getaddrinfo('a', 1)"):
            assert not outcome(f"{deed}\n{RIGHT}").passed, deed
        server.settimeout(0.05)
        with pytest.raises(TimeoutError):
            server.accept()


def test_where_the_kernel_gives_a_namespace_the_network_is_gone_and_not_only_refused(tmp_path):
    """The first stage alone, without the hooks of the second: its interpreter finds no way to an open port of this machine."""
    told = subprocess.run([sys.executable, "-I", "-S", "-c", f"""
import runpy, socket
child = runpy.run_path({sandbox_child.__file__!r}, run_name="child")
guard = child["limit"](5, 2**30, 2**20, 64)
with socket.socket() as one:
    print(guard, one.connect_ex(("127.0.0.1", PORT)), sep="|")
""".replace("PORT", str(_open_port(tmp_path)))], capture_output=True, text=True, check=True).stdout.strip()
    guard, code = told.split("|")
    assert (int(code) != 0) is guard.startswith(sandbox_child.NAMESPACE)


_SERVERS = []


def _open_port(tmp_path) -> int:
    _SERVERS.append(socket.create_server(("127.0.0.1", 0)))
    return _SERVERS[-1].getsockname()[1]


def test_it_sees_no_environment_and_leaves_nothing_behind(monkeypatch, tmp_path):
    monkeypatch.setenv("EDGEKIT_SECRET", "s3cret")
    monkeypatch.setattr(sandbox.tempfile, "tempdir", str(tmp_path))
    assert outcome("import os\nassert 'EDGEKIT_SECRET' not in os.environ and not os.listdir('.')\n" + RIGHT).passed
    assert list(tmp_path.iterdir()) == []


def test_a_sandbox_that_does_not_start_is_no_verdict(monkeypatch):
    monkeypatch.setattr(sandbox_child, "__file__", os.devnull)
    with pytest.raises(SandboxError, match="the sandbox did not start"):
        outcome(RIGHT)
