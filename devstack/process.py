"""Child processes that never outlive their parent: brokers and services of the local stack."""

import atexit
import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from devstack import guard
from devstack.errors import StartError

LOCALHOST: Final = "127.0.0.1"
_POLL_SECONDS: Final = 0.05
_LOG_TAIL_LINES: Final = 15


class _Guard:
    """This process's end of the pipe to `devstack.guard`; started with the first child."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def tell(self, line: str) -> None:
        with self._lock:
            if self._process is None:
                # Isolated and without site-packages: it starts in some 10 ms and stays small.
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", guard.__file__],
                    stdin=subprocess.PIPE,
                    start_new_session=True,
                )
                atexit.register(self._end, self._process)
            if self._process.stdin is not None:
                # Someone may have killed the guard; stopping in order must still work.
                with contextlib.suppress(BrokenPipeError):
                    self._process.stdin.write(line.encode())
                    self._process.stdin.flush()

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        # Left to the interpreter's end, an open pipe and a running child are complained about.
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(2 * guard.GRACE_SECONDS)


_guard: Final = _Guard()

_PORTS: Final = range(20_000, 32_000)
"""Below those that outgoing connections get (Linux: from 32,768, macOS and Windows: from 49,152):
one of them would take a port between its being found free and its server's start."""


def free_port() -> int:
    """A TCP port of the loopback interface that was free a moment ago, and is likely to stay so.

    Raises:
        OSError: All that may be given are taken.
    """
    for port in secrets.SystemRandom().sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((LOCALHOST, port))
            return port
    raise OSError(f"no port of {_PORTS.start} to {_PORTS.stop - 1} is free")


def accepts_connections(port: int, host: str = LOCALHOST) -> bool:
    """Whether something accepts TCP connections there."""
    try:
        with socket.create_connection((host, port), timeout=0.5):
            return True
    except OSError:
        return False


class LocalProcess(ABC):
    """One program of the local stack with its log file; restarts keep ports and data.

    The child leads a process group of its own, so that Ctrl-C in the terminal reaches only the
    parent, which then stops everything in order; and it is registered with the guard, so that it
    ends even if the parent is killed.

    Used as a context manager it is started, and closed at the end.

    Args:
        name: What it is called in messages, e.g. "Kafka"; lower-cased, the log file's name too.
        directory: Where its log, configuration and data go; a temporary directory, which `close`
            removes, where none is given.

    Attributes:
        name: As given.
        directory: As given, or the temporary one.
        log_path: File with everything the program printed, over all restarts.
    """

    start_timeout: float = 60.0
    stop_timeout: float = 15.0

    def __init__(self, name: str, directory: Path | None) -> None:
        self.name = name
        self._temporary = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix=f"chargelog-{name.lower()}-"))
        self.log_path = self.directory / f"{name.lower()}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Program and arguments."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether it does its work; asked while it starts."""

    def environment(self) -> Mapping[str, str]:
        """Environment variables of the program; this process's own unless overridden."""
        return os.environ

    def prepare(self) -> None:  # noqa: B027  # a program without configuration needs none
        """What has to be done before each start, e.g. writing the configuration file."""

    @property
    def pid(self) -> int:
        """Process id of the running program.

        Raises:
            StartError: It is not running.
        """
        if self._process is None:
            raise StartError(f"{self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the program was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How it ended by itself, as in `subprocess`; None while it runs or once it was stopped."""
        return None if self._process is None else self._process.poll()

    def start(self) -> Self:
        """Start the program and wait until it is ready.

        Raises:
            StartError: It ended early, or is not ready within `start_timeout` seconds.
        """
        self.spawn()
        self.wait_ready()
        return self

    def spawn(self) -> None:
        """Start the program without waiting for it; does nothing where it runs already."""
        if self.running:
            return
        self._forget()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.prepare()
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                list(self.command()),
                env=dict(self.environment()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        _guard.tell(f"+{self._process.pid}\n")

    def wait_ready(self) -> None:
        """Wait until the program is ready; stops it where it isn't in time.

        Raises:
            StartError: As in `start`.
        """
        deadline = time.monotonic() + self.start_timeout
        while not self.is_ready():
            if not self.running:
                code = self.exit_code
                self._forget()
                raise StartError(self._failure(f"ended with exit code {code} while starting"))
            if time.monotonic() > deadline:
                self.kill()
                raise StartError(
                    self._failure(f"was not ready within {self.start_timeout:.0f} seconds")
                )
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """SIGTERM, then SIGKILL after `stop_timeout` seconds. Safe to call twice."""
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)  # a paused process acts on SIGTERM only once it runs again
        try:
            self._process.wait(self.stop_timeout)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.kill()

    def kill(self) -> None:
        """SIGKILL to the program and its children, as a crash or a lost machine would."""
        if self._process is None:
            return
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._forget()

    def wait_ended(self, timeout: float) -> int:
        """Wait until the program ends by itself; its exit code, as in `subprocess`.

        Raises:
            StartError: It is not running.
            subprocess.TimeoutExpired: It still runs after `timeout` seconds.
        """
        if self._process is None:
            raise StartError(f"{self.name} is not running")
        return self._process.wait(timeout)

    def close(self) -> None:
        """Stop for good; a temporary directory goes, with the data and the log."""
        self.stop()
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    def restart(self) -> None:
        """Stop (where it runs) and start again, on the same ports and data."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: the program hangs with its connections open, as a long GC pause would."""
        self._signal(signal.SIGSTOP)
        if self._process is not None:
            # The signal is only pending until every thread has seen it; WNOWAIT leaves the
            # child's state for Popen to collect.
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """SIGCONT after `pause`."""
        self._signal(signal.SIGCONT)

    def log_tail(self, lines: int = _LOG_TAIL_LINES) -> str:
        """The last lines of the log file."""
        try:
            text = self.log_path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def _forget(self) -> None:
        if self._process is not None:
            _guard.tell(f"-{self._process.pid}\n")
            self._process = None

    def _failure(self, what: str) -> str:
        return f"{self.name} {what}; its log {self.log_path} ends with:\n{self.log_tail()}"
