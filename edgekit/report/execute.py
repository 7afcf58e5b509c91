"""One notebook executed by papermill: its end is a state and a sentence.

papermill takes whatever kernel is called python3 and ends in a traceback of pages; here the kernel is the running
interpreter.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TextIO

from edgekit import store
from edgekit.console import PROGRESS, Console
from edgekit.report.check import source_path


def execute(notebook: str, profile: str, values: dict, executed: Path) -> tuple[str, str]:
    """State and sentence of one execution by papermill. The executed notebook is there whatever the end."""
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillException, PapermillExecutionError

    log_path = executed.with_suffix(".log")
    log_path.parent.mkdir(parents=True, exist_ok=True)
    log_path.unlink(missing_ok=True)
    kept = (f"the notebook with its error is {shown(executed)}, the log {shown(log_path)}; what was measured is kept")
    _orphans_to(log_path)
    console = Console(sys.stderr)
    try:
        # appending: the kernel writes to the same file, and neither may overwrite the other
        with open(log_path, "a", encoding="utf-8") as log:
            papermill.execute_notebook(
                source_path(notebook), executed, parameters=values, kernel_name="python3", cwd=store.ROOT,
                kernel_manager_class=_kernel_manager(log), progress_bar=False, stdout_file=log,
                stderr_file=_Told(log, console))
    except KeyboardInterrupt:
        return "interrupted", "stopped; what was measured is kept: run the same command again to go on"
    except PapermillExecutionError as error:
        return "failed", f"failed: {error.ename}: {_first_line(error.evalue)}; {kept}"
    except DeadKernelError:
        return "failed", f"failed: its process died (killed for its memory, or crashed); {kept}"
    except (PapermillException, RuntimeError, OSError) as error:
        return "failed", f"failed: {type(error).__name__}: {_first_line(str(error))}; {kept}"
    finally:
        console.clear()
    return "executed", "done"


def _orphans_to(log_path: Path) -> None:
    """What asyncio says of tasks that nobody waits for goes to the log.

    Ctrl-C leaves nbclient's wait for the kernel's reply behind; it ends in DeadKernelError when the kernel is shut down, and
    asyncio would print that traceback after our sentence.
    """
    from jupyter_core.utils import ensure_event_loop

    def note(_loop, context: dict) -> None:
        with open(log_path, "a", encoding="utf-8") as log:
            print(context["message"], repr(context.get("exception", "")), file=log)

    ensure_event_loop().set_exception_handler(note)


def _kernel_manager(log: TextIO) -> type:
    """A kernel manager whose kernel is this interpreter, whatever kernelspec called python3 the user has installed.

    What the kernel's process and its children write to stderr past Python goes to `log`.
    """
    from ipykernel.kernelspec import get_kernel_dict
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager
    from traitlets import default

    folders = {"EDGEKIT_HOME": str(store.ROOT), "EDGEKIT_OUTPUT": str(store.OUTPUT)}

    class ThisPython(AsyncKernelManager):
        @property
        def kernel_spec(self):
            return KernelSpec(**get_kernel_dict(), env=folders)  # its argv starts with sys.executable

        @default("transport_encryption")
        def _encrypt_where_possible(self):
            return "auto"

        async def start_kernel(self, **kwargs):
            await super().start_kernel(stderr=log, **kwargs)

    return ThisPython


class _Told:
    """Keeps what a notebook says on stderr in the log, and shows it, line by line."""

    def __init__(self, log: TextIO, console: Console):
        self._log, self._console, self._rest = log, console, ""

    def write(self, text: str) -> None:
        self._log.write(text)
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            (self._console.now if PROGRESS.match(line) else self._console.stays)(line)

    def flush(self) -> None:
        self._log.flush()


def _first_line(text: str, limit: int = 300) -> str:
    return text.strip().splitlines()[0][:limit] if text.strip() else "(no message)"


def shown(path: Path) -> str:
    return str(path.relative_to(store.OUTPUT) if path.is_relative_to(store.OUTPUT) else path)
