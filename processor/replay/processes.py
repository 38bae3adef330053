"""The processes of a run: started, listened to, stopped, and missed if one dies."""

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, Final, NamedTuple

from processor.replay.dealing import deal
from processor.replay.errors import ReplayError, UsageError, said_by
from processor.replay.job import Folder, FromFiles, Job
from processor.replay.lanes import shares
from processor.replay.tally import Tally, sum_of
from processor.replay.worker import Status, Worker
from schemas.errors import ChargelogError

_LISTEN_S: Final = 0.2
_STOP_S: Final = 120.0

_Message = tuple[int, str, Any]


class Pace(NamedTuple):
    """How a run goes about it; none of it changes what comes out.

    Attributes:
        processes: How many at the most.
        checkpoint_s: Seconds between checkpoints.
    """

    processes: int
    checkpoint_s: float


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, in place of ending the program."""
    stop = threading.Event()
    # Only the main thread may do so; elsewhere (a notebook's thread) nobody signals.
    here = threading.current_thread() is threading.main_thread()
    previous = {}
    if here:
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, lambda *_: stop.set())
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def run(
    job: Job,
    folder: Folder,
    pace: Pace,
    stop: threading.Event,
    tell: Callable[[dict[int, Status]], None],
) -> Tally | None:
    """Do the job; one process does it here, several are started.

    Args:
        job: The run.
        folder: Its folder.
        pace: How many processes, and how often they make checkpoints.
        stop: Set it to stop the run.
        tell: Told where each process stands.

    Returns:
        What was counted; None if `stop` was set. The checkpoints are made then.

    Raises:
        ReplayError: A process failed.
    """
    parts = shares(job.lanes, pace.processes)
    if len(parts) == 1:
        worker = Worker(
            job, folder, parts[0], lambda status: tell({0: status}), stop.is_set, pace.checkpoint_s
        )
        return sum_of(lane.tally for lane in worker.lanes) if worker.run() else None
    return _Processes(job, folder, pace, stop, tell).run()


class _Processes:
    def __init__(
        self,
        job: Job,
        folder: Folder,
        pace: Pace,
        stop: threading.Event,
        tell: Callable[[dict[int, Status]], None],
    ) -> None:
        # Not forked: librdkafka's threads would not come along.
        context = multiprocessing.get_context("spawn")
        self._job = job
        parts = shares(job.lanes, pace.processes)
        # Only files are read here, for all; of Kafka each reads its own partitions.
        from_files = isinstance(job.source, FromFiles)
        self._pipes = [context.Pipe(duplex=False) for _ in parts if from_files]
        self._stop = stop
        self._stop_all = context.Event()
        self._tell = tell
        self._messages: multiprocessing.Queue[_Message] = context.Queue()
        self._processes = [
            context.Process(
                target=_share,
                args=(
                    number,
                    job,
                    folder.path,
                    lanes,
                    self._messages,
                    self._stop_all,
                    pace.checkpoint_s,
                    self._pipes[number][0] if from_files else None,
                ),
                name=f"replay-{number}",
            )
            for number, lanes in enumerate(parts)
        ]
        self._status: dict[int, Status] = {}
        self._tallies: dict[int, dict[int, Tally]] = {}
        self._ended: set[int] = set()
        self._failure: ReplayError | None = None

    def run(self) -> Tally | None:
        # Ctrl-C reaches every process of the group; this one decides what it means. What is blocked
        # here is blocked in the processes from their first moment on.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            for process in self._processes:
                process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        try:
            self._deal()
            while len(self._ended) < len(self._processes):
                self._stop_if_need_be()
                self._listen()
        finally:
            self._stop_all.set()
            for process in self._processes:
                process.join(_STOP_S)
                if process.is_alive():
                    process.kill()
        if self._failure:
            raise self._failure
        if len(self._tallies) < len(self._processes):
            return None
        by_lane = {n: tally for part in self._tallies.values() for n, tally in part.items()}
        return sum_of(by_lane[number] for number in sorted(by_lane))

    def _deal(self) -> None:
        """Read the files for the processes, as long as all of them go on."""
        source = self._job.source
        if not isinstance(source, FromFiles):
            return
        for end, _ in self._pipes:
            end.close()  # the process has its own: without it, nobody reads
        pipes = [pipe for _, pipe in self._pipes]
        lanes = shares(self._job.lanes, len(pipes))
        try:
            for _ in deal(source, self._job.lanes, list(zip(pipes, lanes, strict=True))):
                with suppress(queue.Empty):
                    while True:
                        self._take(self._messages.get_nowait())
                if self._stop_if_need_be():
                    break
        except BrokenPipeError:
            # Its last word, or that there was none, comes by `_listen`.
            self._stop_all.set()
        except ReplayError as error:
            self._failure = error
            self._stop_all.set()
        finally:
            # A process that is told to stop must not wait for more.
            for pipe in pipes:
                pipe.close()

    def _stop_if_need_be(self) -> bool:
        if self._stop.is_set() or self._failure:
            self._stop_all.set()
        return self._stop_all.is_set()

    def _listen(self) -> None:
        try:
            self._take(self._messages.get(timeout=_LISTEN_S))
        except queue.Empty:
            self._miss()

    def _take(self, message: _Message) -> None:
        number, kind, content = message
        if kind == "status":
            self._status[number] = content
            self._tell(self._status)
            return
        self._ended.add(number)
        if kind in {"failed", "usage"}:
            error = UsageError if kind == "usage" else ReplayError
            self._failure = self._failure or error(content)
        elif kind == "done":
            self._tallies[number] = content

    def _miss(self) -> None:
        for number, process in enumerate(self._processes):
            if number in self._ended or process.exitcode is None:
                continue
            try:
                # Its last word may still be on its way.
                self._take(self._messages.get(timeout=1))
            except queue.Empty:
                self._ended.add(number)
                self._failure = self._failure or ReplayError(
                    f"process {number} of the run ended with exit code {process.exitcode} before "
                    "its work was done (out of memory?); what it did until its last checkpoint is "
                    "kept"
                )
            return


def _share(  # noqa: PLR0913, PLR0917 - what a process is given
    number: int,
    job: Job,
    folder: Path,
    lanes: tuple[int, ...],
    messages: "multiprocessing.Queue[_Message]",
    stop: Event,
    checkpoint_s: float,
    dealt: Connection | None,
) -> None:
    parent = os.getppid()

    def stopping() -> bool:
        if os.getppid() != parent:
            # The parent was killed. A checkpoint made now could race the run that goes on.
            os._exit(1)
        return stop.is_set()

    def report(status: Status) -> None:
        messages.put((number, "status", status))

    try:
        worker = Worker(job, Folder(folder), lanes, report, stopping, checkpoint_s, dealt)
        if worker.run():
            messages.put((number, "done", {lane.number: lane.tally for lane in worker.lanes}))
        else:
            messages.put((number, "stopped", None))
    except EOFError:
        os._exit(1)  # the parent was killed, as above
    except UsageError as error:
        messages.put((number, "usage", str(error)))
    except ChargelogError as error:
        messages.put((number, "failed", str(error)))
    except OSError as error:
        messages.put((number, "failed", said_by(error)))
    except BaseException as error:
        messages.put((number, "failed", f"process {number} of the run failed: {error!r}"))
        raise
