"""An OpenAI-compatible server on loopback: llama-cpp-python's own, in a process of its own, with a key that nobody knows.

The child ends with the block that it serves, and with the process that started it, however that ends: its standard input
closes then, and it leaves.
"""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edgekit.errors import RunFailed

HOST = "127.0.0.1"
READY_S = 120.0  # to read a model of gigabytes from a slow disk
LEAVE_S = 5.0
POLL_S = 0.05
PORTS = 3  # another process may take a free port before the server does
OWN = {"repeat_penalty": 1.0}  # else it penalises repetitions by a tenth, and no answer is greedy
READ_BY_IT = ("CONFIG_FILE", "HOST", "PORT")  # variables that would change what it serves, and where


class ServerError(RunFailed):
    """The server did not come up; the message has its last words."""


@dataclass(frozen=True, slots=True)
class Served:
    """Where it listens, what the model is called there, and the key, which no representation shows."""

    url: str
    model: str
    key: str = field(repr=False)


@contextlib.contextmanager
def serve(file: Path, *, context: int, threads: int, gpu: bool = False) -> Iterator[Served]:
    """Serve the model of a GGUF file while the block runs. context: tokens of a query and its answer together. Raises
    ServerError."""
    with tempfile.TemporaryDirectory(prefix="edgekit-server-") as name:
        for attempt in range(PORTS):
            # A name that nobody else serves: who answers on that port is then known to be this child.
            served = Served(f"http://{HOST}:{_free_port()}/v1", f"model-{secrets.token_hex(4)}", secrets.token_hex(24))
            child = _start(Path(name), file, served, context, threads, gpu)
            try:
                came, words = _ready(child, served, Path(name) / "log.txt")
                if came:
                    yield served
                    return
            finally:
                _stop(child)
            if "address already in use" not in words or attempt == PORTS - 1:
                raise ServerError(f"the loopback server of {file.name} did not come up; it last said: {words or 'nothing'}")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind((HOST, 0))
        return one.getsockname()[1]


def _start(folder: Path, file: Path, served: Served, context: int, threads: int, gpu: bool) -> subprocess.Popen:
    """The key goes by a file that only this user reads: others see a command line."""
    port = int(served.url.rsplit(":", 1)[1].removesuffix("/v1"))
    settings = dict(host=HOST, port=port, api_key=served.key, models=[dict(
        model=str(file), model_alias=served.model, n_ctx=context, n_threads=threads, n_threads_batch=threads,
        n_gpu_layers=-1 if gpu else 0, verbose=False)])
    config = folder / "config.json"
    config.unlink(missing_ok=True)
    with open(os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        json.dump(settings, out)
    environment = {name: value for name, value in os.environ.items() if name not in READ_BY_IT}
    with open(folder / "log.txt", "wb") as log:
        return subprocess.Popen([sys.executable, "-m", "edgekit.route.server", str(config)], stdin=subprocess.PIPE,
                                stdout=log, stderr=subprocess.STDOUT, env=environment)


def _ready(child: subprocess.Popen, served: Served, log: Path) -> tuple[bool, str]:
    """Whether it answers, and else its last words."""
    import httpx2

    until = time.monotonic() + READY_S
    while child.poll() is None and time.monotonic() < until:
        with contextlib.suppress(httpx2.TransportError):
            answer = httpx2.get(f"{served.url}/models", headers={"Authorization": f"Bearer {served.key}"}, trust_env=False)
            if answer.status_code == 200 and served.model in answer.text:
                return True, ""
        time.sleep(POLL_S)
    lines = log.read_text(encoding="utf-8", errors="replace").replace(served.key, "[key]").strip().splitlines()
    return False, next((line for line in reversed(lines) if "error" in line.lower()), lines[-1] if lines else "")


def _stop(child: subprocess.Popen) -> None:
    child.stdin.close()  # it leaves by itself
    try:
        child.wait(LEAVE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _leave_with_the_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    """The child: the server of the settings that the command line names."""
    threading.Thread(target=_leave_with_the_parent, daemon=True).start()
    sys.argv = ["llama_cpp.server", "--config_file", sys.argv[1]]
    runpy.run_module("llama_cpp.server", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
