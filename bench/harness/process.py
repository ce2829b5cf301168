"""Run one program: wall time, peak memory, output. Timed runs hold the machine's lock where one is given, and have busy
loops beside them where that is asked for."""
import contextlib
import fcntl
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass


class Failed(Exception):
    """A program ended with an error; the message holds the command and the end of its output."""


@dataclass
class Result:
    seconds: float  # wall time of the whole process, start-up included
    peak_rss: int  # bytes
    stdout: str
    stderr: str


@contextlib.contextmanager
def locked(path):
    """Hold an exclusive lock on `path` (nothing to hold: path is None)."""
    if path is None:
        yield
        return
    with open(path, "a") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(f, fcntl.LOCK_UN)


@contextlib.contextmanager
def busy(loops):
    """So many processes that want a core each and do nothing, while the body runs."""
    others = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(loops)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def run(command, *, stdin=None, lock=None, beside=0, env=None):
    """Run `command` (a list) to its end, `beside` so many busy loops; `stdin` is a path. Raises Failed on a non-zero
    exit."""
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open(stdin if stdin else os.devnull, "rb"))
        out = stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf8"))
        err = stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf8", errors="replace"))
        stack.enter_context(locked(lock))
        stack.enter_context(busy(beside))
        start = time.perf_counter()
        child = subprocess.Popen(
            command, stdin=source, stdout=out, stderr=err, env={**os.environ, "PYTHONWARNINGS": "ignore", **(env or {})}
        )
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        result = Result(seconds, usage.ru_maxrss * 1024, out.read(), err.read())
    if child.returncode != 0:
        raise Failed(f"exit code {child.returncode} from: {' '.join(command)}\n{result.stderr[-2000:]}")
    return result
