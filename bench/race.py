"""One contender, as a process of its own, on a backlog; how fast it commits the source offsets."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple
from uuid import uuid4

import msgspec
from confluent_kafka import Consumer, ConsumerGroupState, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from bench.backlog import Backlog
from devstack.existing import kafka_broker, named_kafka
from devstack.process import free_port
from runtime.kafka_access import KafkaAccess
from schemas.topic_admin import ensure_topics
from schemas.topics import TopicNames

ROOT: Final = Path(__file__).parents[1]
_POLL_S: Final = 0.02
_STALL_S: Final = 90.0
_TIMEOUT_S: Final = 30.0
_ASK_S: Final = 5.0
_LOG_TAIL: Final = 3000


class Program(msgspec.Struct, frozen=True):
    """A contender.

    Attributes:
        command: Its arguments, the program first.
        environment: Variables besides KAFKA_BOOTSTRAP_SERVERS, TOPIC_PREFIX and PARTITIONS.
        workers: How many processes of it.
        makes_events: Whether it does the work, or only reads.
    """

    command: Sequence[str]
    environment: Mapping[str, str] = {}
    workers: int = 1
    makes_events: bool = True


class Run(NamedTuple):
    """A contender that runs."""

    log: Path
    processes: list[subprocess.Popen[bytes]]

    def check(self) -> None:
        """Raise, with the log's end, where a process has ended."""
        for process in self.processes:
            if process.poll() is not None:
                raise ContenderError(f"ended with exit code {process.returncode}", self)


class ContenderError(Exception):
    """A contender did not do its work."""

    def __init__(self, what: str, run: Run) -> None:
        tail = run.log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL:]
        super().__init__(f"the contender {what}; its log ends with:\n{tail}")


class Track(msgspec.Struct, frozen=True):
    """Where contenders run.

    Attributes:
        servers: Kafka.
        partitions: Of every topic.
    """

    servers: str
    partitions: int


@contextmanager
def track(partitions: int) -> Iterator[Track]:
    """On the Kafka of KAFKA_BOOTSTRAP_SERVERS, or else on one of the benchmark's own."""
    broker = kafka_broker(named_kafka())
    try:
        yield Track(broker.start().bootstrap_servers, partitions)
    finally:
        broker.close()


def python(module: str, *arguments: str, interpreter: str = sys.executable) -> list[str]:
    """The command that runs one of our modules."""
    return [interpreter, "-m", module, *arguments]


@contextmanager
def running(program: Program, names: TopicNames, place: Track) -> Iterator["Run"]:
    """The contender's processes."""
    with tempfile.TemporaryDirectory(prefix="chargelog-bench-") as directory, ExitStack() as stack:
        log = Path(directory, "log")
        out = stack.enter_context(log.open("wb"))
        run = Run(log, [])
        for number in range(program.workers):
            state = Path(directory, f"state-{number}")
            process = subprocess.Popen(  # noqa: S603 - the cases' own commands
                program.command,
                cwd=directory,
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    "KAFKA_BOOTSTRAP_SERVERS": place.servers,
                    "TOPIC_PREFIX": names.prefix,
                    "PARTITIONS": str(place.partitions),
                    "PROCESSOR_WEB_PORT": str(free_port()),
                    "BENCH_STATE_DIR": str(state),
                    **program.environment,
                },
                stdout=out,
                stderr=subprocess.STDOUT,
            )
            stack.callback(_end, process)
            run.processes.append(process)
        yield run


def new_topics(place: Track) -> TopicNames:
    """Topics under a prefix of their own."""
    names = TopicNames(f"bench-{uuid4().hex[:8]}.")
    ensure_topics(KafkaAccess(place.servers), names, place.partitions)
    return names


def frames_per_second(
    program: Program,
    backlog: Backlog,
    place: Track,
    *,
    window_s: float = 20.0,
    joined_first: bool = False,
) -> float:
    """Frames a second from the first committed offset to the last, or to the window's end.

    Start-up is left out: before the first commit a contender joins its group and makes ready.

    Args:
        program: What is measured.
        backlog: Its work.
        place: Kafka.
        window_s: How long a slow one is watched.
        joined_first: Append the frames when every worker has joined the group; else before.
    """
    names = new_topics(place)
    if not joined_first:
        backlog.append(place.servers, names)
    progress = Progress(place, names)
    with running(program, names, place) as run:
        if joined_first:
            wait_for_members(program.workers, place, names, run)
            backlog.append(place.servers, names)
        rate = _watched(progress, backlog.frames, window_s, run)
        whole = progress.done() == backlog.frames
    progress.close()
    backlog.check(place.servers, names, place.partitions, whole=whole and program.makes_events)
    return rate


class Progress:
    """How far a consumer group has come."""

    def __init__(self, place: Track, names: TopicNames) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": place.servers,
                "group.id": names.processor_app_id,
                "log_level": 0,
            }
        )
        self._wanted = [TopicPartition(names.frames, n) for n in range(place.partitions)]

    def done(self) -> int:
        """Frames committed."""
        try:
            found = self._consumer.committed(self._wanted, timeout=_TIMEOUT_S)
        except KafkaException:
            return 0  # a new group's coordinator is still being found
        return sum(max(entry.offset, 0) for entry in found)

    def wait_for(self, frames: int, run: Run) -> int:
        """Wait until more than that many, or all of them, are committed; how many are.

        Raises:
            ContenderError: It ended or does not go on.
        """
        end = time.perf_counter() + _STALL_S
        while (done := self.done()) < frames:
            run.check()
            if time.perf_counter() > end:
                raise ContenderError(f"got no further than {done} frames", run)
            time.sleep(_POLL_S)
        return done

    def close(self) -> None:
        """Let go of Kafka."""
        self._consumer.close()


def wait_for_members(workers: int, place: Track, names: TopicNames, run: Run) -> None:
    """Wait until the group has so many members, and each its partitions.

    Raises:
        ContenderError: One ended, or they are never so many.
    """
    admin = AdminClient({"bootstrap.servers": place.servers, "log_level": 0})
    group = names.processor_app_id
    end = time.perf_counter() + _STALL_S
    while time.perf_counter() < end:
        run.check()
        # There is no such group yet, or its coordinator is still loading.
        with suppress(KafkaException, TimeoutError):
            asked = admin.describe_consumer_groups([group], request_timeout=_ASK_S)
            found = asked[group].result(_TIMEOUT_S)
            if len(found.members) == workers and found.state == ConsumerGroupState.STABLE:
                return
        time.sleep(_POLL_S)
    raise ContenderError(f"did not come to {workers} members of its group", run)


def _watched(progress: Progress, frames: int, window_s: float, run: Run) -> float:
    started = time.perf_counter()
    first = last = progress.wait_for(progress.done() + 1, run)
    begin = end = time.perf_counter()
    while last < frames and end - begin < window_s:
        last = progress.wait_for(last + 1, run)
        end = time.perf_counter()
    if last == first:  # all at the first look, as at the quick size: then start-up counts as well
        return last / (end - started)
    return (last - first) / (end - begin)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
