"""Kills what a dead parent left behind. Run by `devstack.process`, standard library only.

The parent holds the write end of this process's stdin and writes a line for each child's process
group: `+<pgid>` when it starts, `-<pgid>` when it ended. End of file means that the parent is gone,
however it went (a SIGKILL too), and whatever is still registered is ended.

Why not PR_SET_PDEATHSIG: Linux has it alone, and it fires when the *thread* that forked ends, so a
broker started from a worker thread would die with the thread.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator

GRACE_SECONDS = 5.0


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _signal(groups: Iterable[int], number: int) -> None:
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)


def end(groups: set[int], grace: float = GRACE_SECONDS) -> None:
    """SIGTERM to every group, then SIGKILL to those still there after `grace` seconds."""
    _signal(groups, signal.SIGTERM)
    _signal(groups, signal.SIGCONT)  # a paused process acts on SIGTERM only once it runs again
    deadline = time.monotonic() + grace
    while any(_alive(group) for group in groups) and time.monotonic() < deadline:
        time.sleep(0.05)
    _signal(groups, signal.SIGKILL)


def registered(lines: Iterator[bytes]) -> set[int]:
    """The groups that are registered when the input ends."""
    groups: set[int] = set()
    for line in lines:
        group = int(line[1:])
        (groups.add if line.startswith(b"+") else groups.discard)(group)
    return groups


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    end(registered(iter(sys.stdin.buffer.readline, b"")))
