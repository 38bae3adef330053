"""A process's share of a run: some lanes, from where they stand to the history's end."""

import time
from collections.abc import Callable, Iterator
from itertools import islice
from multiprocessing.connection import Connection
from typing import Final, TypeAlias

import msgspec

from processor.replay.dealt import received
from processor.replay.job import Folder, FromFiles, FromKafka, Job
from processor.replay.kafka_source import Bounds, KafkaSource
from processor.replay.lane import Lane
from processor.replay.lanes import LaneOf
from processor.replay.logs.merge import History, Log
from processor.replay.logs.recognise import logs_of
from processor.replay.registry import registry_at
from schemas.codec import frame_codec

REPORT_S: Final = 0.25
_ENTRIES_BETWEEN_LOOKS: Final = 256


class Status(msgspec.Struct, frozen=True):
    """Where a process stands.

    Attributes:
        done: Of the source's size: bytes, or records.
        frames: Frames reduced.
        events: Events made.
        positions: By lane, for Kafka.
    """

    done: int
    frames: int
    events: int
    positions: dict[int, int]


Report: TypeAlias = Callable[[Status], None]
Stopping: TypeAlias = Callable[[], bool]


class Worker:
    """The share.

    Args:
        job: The run.
        folder: Its folder.
        numbers: The lanes.
        report: Told now and then where this process stands.
        stopping: Whether to stop; asked often.
        checkpoint_s: Seconds between checkpoints.
        dealt: Where its entries come from, if another process reads the files.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a process is given
        self,
        job: Job,
        folder: Folder,
        numbers: tuple[int, ...],
        report: Report,
        stopping: Stopping,
        checkpoint_s: float,
        dealt: Connection | None = None,
    ) -> None:
        self._job = job
        self._lanes = {number: Lane(number, job, folder) for number in numbers}
        self._report = report
        self._stopping = stopping
        self._checkpoint_s = checkpoint_s
        self._dealt = dealt
        self._reported = self._stored = time.monotonic()

    def run(self) -> bool:
        """Work; whether the end was reached. If not, the lanes' checkpoints are where it stopped.

        Raises:
            ReplayError: The source or the target is not as it must be.
            EOFError: The process that reads the files is gone.
        """
        source = self._job.source
        work = self._kafka(source) if isinstance(source, FromKafka) else self._files(source)
        for done in work:
            now = time.monotonic()
            if now - self._reported > REPORT_S:
                self._reported = now
                self._tell(done)
            if self._stopping():
                for lane in self._lanes.values():
                    lane.checkpoint()
                    lane.close()
                return False
            if now - self._stored > self._checkpoint_s:
                for lane in self._lanes.values():
                    lane.checkpoint()
                self._stored = time.monotonic()
        for lane in self._lanes.values():
            lane.finish()
        self._tell(source.size)
        return True

    @property
    def lanes(self) -> list[Lane]:
        """The lanes."""
        return list(self._lanes.values())

    def _kafka(self, source: FromKafka) -> Iterator[int]:
        codec = frame_codec(registry_at(source.schema_registry_url), source.topic)
        bounds = {
            number: Bounds(
                max(lane.position, source.bounds[number].start), source.bounds[number].end
            )
            for number, lane in self._lanes.items()
            if not lane.done
        }
        records = KafkaSource(source.kafka, source.topic, bounds)
        starts = sum(source.bounds[number].start for number in self._lanes)
        try:
            for number, chunk in records.records():
                lane = self._lanes[number]
                lane.records(source.topic, chunk, codec)
                lane.position = chunk[-1].offset + 1
                yield sum(lane.position for lane in self._lanes.values()) - starts
        finally:
            records.close()

    def _files(self, source: FromFiles) -> Iterator[int]:
        logs = logs_of(source.paths, source.form, source.zone)
        return self._read(logs) if self._dealt is None else self._received(logs, self._dealt)

    def _read(self, logs: list[Log]) -> Iterator[int]:
        history, lanes, lane_of = History(logs), self._lanes, LaneOf(self._job.lanes)
        entries = enumerate(history, 1)
        while part := list(islice(entries, _ENTRIES_BETWEEN_LOOKS)):
            for order, entry in part:
                client_id = entry.client_id
                # What tells no charge point is lane 0's.
                lane = lanes[0 if client_id is None else lane_of[client_id]]
                if order > lane.position:
                    lane.entry(order, entry, logs)
            self._come_to(part[-1][0])
            yield history.bytes_read

    def _received(self, logs: list[Log], pipe: Connection) -> Iterator[int]:
        done = 0
        try:
            for block in received(pipe):
                for number, part in block.parts.items():
                    self._lanes[number].dealt(part, block.log, logs)
                self._come_to(block.upto)
                done = block.bytes_read
                yield done
        except EOFError:
            if not self._stopping():
                raise
            yield done

    def _come_to(self, order: int) -> None:
        for lane in self._lanes.values():
            lane.position = max(lane.position, order)

    def _tell(self, done: int) -> None:
        lanes = self._lanes.values()
        self._report(
            Status(
                done=done,
                frames=sum(lane.tally.frames for lane in lanes),
                events=sum(lane.tally.total_events for lane in lanes),
                positions={lane.number: lane.position for lane in lanes},
            )
        )
