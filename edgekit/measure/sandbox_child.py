"""What runs inside of the sandbox (see sandbox.py): the standard library alone, and nothing of the kit imports it.

Two stages, each a fresh interpreter. `limit` leaves the network and lowers the limits, which outlive it; ctypes, which it needs
for that, ends with it. `run` closes what Python's audit hooks can close, runs the program, then its test, and only then writes
the token. What the hook uses is bound beforehand, so that a program that changes modules or builtins changes nothing in it.
"""

from __future__ import annotations

import json
import os
import sys

JOB = "job.json"  # in the working directory, and gone before the program runs
NAMESPACE, HOOK = "network namespace", "audit hook"
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000  # of linux/sched.h
# Beginnings of the names of audit events
REFUSED = ("socket.", "os.fork", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.startfile", "os.kill", "os.chdir",
           "os.fchdir", "os.link", "os.symlink", "os.chmod", "os.lchmod", "os.chown", "os.lchown", "os.chflags", "os.utime",
           "os.setxattr", "os.removexattr", "subprocess.", "pty.", "ctypes.", "resource.", "sqlite3.", "shutil.", "syslog.",
           "signal.pthread_kill", "sys.addaudithook")
CHANGED = {"open": (0,), "os.remove": (0,), "os.rename": (0, 1), "os.mkdir": (0,), "os.rmdir": (0,), "os.truncate": (0,)}
FOREIGN = {"ctypes", "_ctypes", "_dbm", "_gdbm", "_testcapi", "_testinternalcapi"}  # modules that reach past the hooks
# Functions that reach outside, and of which no hook hears
UNHEARD = {"posix": ("kill", "killpg", "mkfifo", "mknod", "setsid", "setpgid", "setpgrp", "setpriority", "chroot", "unshare",
                     "setns"), "signal": ("pidfd_send_signal",)}


def limit(cpu_s: int, memory_bytes: int, file_bytes: int, files: int) -> str:
    """Leave the network where the kernel lets us, and lower the limits of this process and what it becomes. Returns what keeps
    programs from the network, with the limits that this system does not have."""
    import resource

    guard = _leave_network()
    wanted = dict(CPU=cpu_s, AS=memory_bytes, FSIZE=file_bytes, NOFILE=files, NPROC=0, CORE=0)
    for name, most in wanted.items():
        number = getattr(resource, f"RLIMIT_{name}", None)
        try:
            hard = resource.getrlimit(number)[1]
            # A second more before the kernel kills what does not heed the signal of the first limit.
            both = (most, most + (name == "CPU"))
            resource.setrlimit(number, both if hard == resource.RLIM_INFINITY else tuple(min(one, hard) for one in both))
        except (TypeError, ValueError, OSError):
            guard += f", no limit {name}"
    return guard


def _leave_network() -> str:
    try:
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        for flags in (CLONE_NEWNET, CLONE_NEWUSER | CLONE_NEWNET):  # who may not do the one may do the other
            if libc.unshare(flags) == 0:
                return NAMESPACE
    except (ImportError, OSError, AttributeError):
        pass
    return HOOK


def _close_doors(root: str) -> None:
    """Refuse, by an audit hook, to write anywhere but below `root`, to start or signal processes, and to speak to anybody."""
    kind, text, number, raw, nothing, error = type, str, int, bytes, type(None), PermissionError
    stat, unreadable, below = os.stat, (OSError, ValueError, TypeError), f"{root}/"
    refused, changed, foreign, writing = REFUSED, dict(CHANGED), frozenset(FOREIGN), frozenset("wax+")
    flags_of_writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

    def inside(path: object) -> bool:
        if kind(path) is number:  # of a file that is open
            return True
        path = raw.decode(path, "utf-8", "surrogateescape") if kind(path) is raw else path
        if kind(path) is not text or ".." in path.split("/"):
            return False
        return not path.startswith("/") or path.startswith(below)

    def is_folder(path: object) -> bool:
        try:
            return stat(path).st_mode & 0o170000 == 0o040000
        except unreadable:
            return False

    def hook(event: str, args: tuple) -> None:
        if event.startswith(refused) or (event == "import" and args[0] in foreign):
            raise error(f"the sandbox refuses {event}")
        if event == "open":
            path, mode, flags = args
            if kind(mode) is nothing and is_folder(path):  # os.open: a way to name files from elsewhere
                raise error("the sandbox refuses to open a folder")
            if not (flags & flags_of_writing or (kind(mode) is text and not writing.isdisjoint(mode))):
                return
        for place in changed.get(event, ()):
            if not inside(args[place]):
                raise error(f"the sandbox refuses {event} outside of its folder")

    import _posixsubprocess
    import signal  # noqa: F401, so that it is among the modules below

    def refuse(*args, **kwargs):
        raise error("the sandbox refuses to start a process")

    _posixsubprocess.fork_exec = refuse
    for module, names in UNHEARD.items():
        for one in (sys.modules[module], *([os] if module == "posix" else [])):
            for name in names:
                one.__dict__.pop(name, None)
    sys.addaudithook(hook)


def run(guard: str) -> None:
    """Run the job, and say what came of it, a JSON object a line: that it begins, then an error or the token."""
    with open(JOB, encoding="utf-8") as file:
        job = json.load(file)
    os.remove(JOB)
    out, null = os.dup(1), os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)
    write, leave, named = os.write, os._exit, {"__name__": "answer"}
    program, test = (compile_later(job[name]) for name in ("program", "test"))
    passed = (json.dumps({"token": job.pop("token")}) + "\n").encode()
    write(out, (json.dumps({"guard": guard}) + "\n").encode())
    _close_doors(os.getcwd())
    try:
        program(named)
        test(named)
    except BaseException as error:  # SystemExit too: whoever leaves before the end has not passed
        write(out, b'{"error": "' + type(error).__name__.encode("ascii", "replace") + b'"}\n')
        leave(1)
    write(out, passed)
    leave(0)


def compile_later(source: str):
    """A function that compiles a program and runs it with the names given."""
    compiled, execute = compile, exec

    return lambda names: execute(compiled(source, "answer.py", "exec"), names)


if __name__ == "__main__":
    if sys.argv[1] == "limit":
        told = limit(*map(int, sys.argv[2:]))
        os.execv(sys.executable, [sys.executable, "-I", "-S", os.path.abspath(__file__), "run", told])
    run(sys.argv[2])
