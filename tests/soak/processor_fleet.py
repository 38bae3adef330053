"""Workers as processes under a supervisor, which starts again what ended."""

import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import msgspec

from devstack.process import free_port
from devstack.service import Service

_LOOK_S: Final = 0.2
_KILLED: Final = -9


class Worker:
    """One place in the fleet; its process ends and is started again.

    Attributes:
        service: The process.
        is_wanted: Whether it is started again.
        is_paused: Whether it is stopped by SIGSTOP just now.
        was_paused: Whether this process was paused once: a zombie, if it lives.
    """

    def __init__(self, number: int, directory: Path, variables: dict[str, str]) -> None:
        self.number = number
        port = free_port()
        own = {"PROCESSOR_WEB_PORT": str(port), "PROCESSOR_CANONICAL_HOST": "localhost"}
        self.port = port
        self.service = Service("processor", directory / f"worker-{number}", port, variables | own)
        self.is_wanted = True
        self.is_paused = False
        self.was_paused = False
        self._read = 0

    def reasons(self) -> list[str]:
        """Kinds of the critical lines that were logged since the last call."""
        with self.service.log_path.open("rb") as log:
            log.seek(self._read)
            text = log.read()
            self._read = log.tell()
        return [kind for line in text.splitlines() if (kind := _kind(line)) is not None]


def _kind(line: bytes) -> str | None:
    try:
        entry: Any = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return None
    if not isinstance(entry, dict) or entry.get("level") != "critical":
        return None
    return str(entry.get("kind", "unknown"))


class Fleet:
    """The workers.

    Attributes:
        ends: How processes ended by themselves: the error's kind, or the exit code.
        zombies: What became of paused processes: `fenced`, `ended` otherwise, or `rejoined`.
    """

    def __init__(self, directory: Path, variables: dict[str, str]) -> None:
        self._directory = directory
        self._variables = variables
        self._lock = threading.RLock()
        self._workers: list[Worker] = []
        self._number = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="supervisor")
        self.ends: Counter[str] = Counter()
        self.zombies: Counter[str] = Counter()

    def start(self, workers: int) -> None:
        """Start so many."""
        for _ in range(workers):
            self.add()
        self._thread.start()

    def add(self) -> None:
        """One more."""
        with self._lock:
            worker = Worker(self._number, self._directory, self._variables)
            self._number += 1
            worker.service.spawn()
            self._workers.append(worker)

    def remove(self, pick: float) -> None:
        """One less, by SIGTERM."""
        with self._lock:
            worker = self._pick(pick)
            worker.is_wanted = False
        self._terminate(worker)

    def term(self, pick: float) -> None:
        """SIGTERM; it is started again."""
        self._terminate(self._pick(pick))

    def kill(self, pick: float) -> None:
        """SIGKILL; it is started again."""
        with self._lock:
            worker = self._pick(pick)
            self._note_end(worker, None)
            worker.service.kill()
            worker.service.spawn()

    def pause(self, pick: float, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after some time, in the background."""
        with self._lock:
            worker = self._pick(pick)
            worker.is_paused = worker.was_paused = True
            worker.service.pause()

        def resume() -> None:
            time.sleep(seconds)
            with self._lock:
                worker.is_paused = False
                worker.service.resume()

        threading.Thread(target=resume, name="resume").start()

    def stop(self) -> None:
        """SIGTERM to all."""
        self._stopped.set()
        self._thread.join()
        for worker in self._workers:
            self._note_end(worker, None)
            worker.service.stop()

    @property
    def is_one_paused(self) -> bool:
        """Whether a worker is stopped by SIGSTOP just now."""
        with self._lock:
            return any(worker.is_paused for worker in self._workers)

    def _pick(self, pick: float) -> Worker:
        with self._lock:
            free = [w for w in self._workers if w.is_wanted and not w.is_paused]
            return free[int(pick * len(free))]

    def _terminate(self, worker: Worker) -> None:
        with self._lock:
            self._note_end(worker, None)
            worker.service.stop()
            if worker.is_wanted:
                worker.service.spawn()
            else:
                self._workers.remove(worker)

    def _supervise(self) -> None:
        while not self._stopped.wait(_LOOK_S):
            with self._lock:
                for worker in self._workers:
                    code = worker.service.exit_code
                    if code is not None:
                        self._note_end(worker, code)
                        worker.service.spawn()

    def _note_end(self, worker: Worker, code: int | None) -> None:
        """Count how it ended; without a code we are about to end it."""
        kinds = worker.reasons()
        if code is not None:
            self.ends.update(kinds or [f"exit {code}: {worker.service.log_tail(1)[-200:]}"])
        if worker.was_paused:
            became = "rejoined" if code is None else "ended"
            self.zombies["fenced" if "FencedError" in kinds else became] += 1
            worker.was_paused = False
