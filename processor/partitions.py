"""The partitions a worker holds: taken over, processed chunk by chunk, let go.

Faust says which partitions are this worker's and delivers what it fetched; what that means stands
here. One chunk of a partition is under way at a time, in a thread, so that another partition's
frames are reduced while Kafka commits this one's.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import perf_counter
from typing import Final, Protocol, TypeVar

import structlog

from processor import metrics
from processor.chunk import ChunkResult
from processor.restore import RestoreInterruptedError
from processor.rows import PartitionRows
from processor.sequence import Fetched, SourceRecord, due
from processor.writer import Writer

log = structlog.get_logger(__name__)

_MAX_THREADS: Final = 64
_AHEAD: Final = 3
"""Chunks that may wait before the partition is fetched no further."""

T = TypeVar("T")


class Backing(Protocol):
    """What the partitions need of Kafka; the calls block."""

    def writer(self, partition: int) -> Writer:
        """A writer of its own for the partition."""

    def restored(
        self, partitions: Sequence[int], is_wanted: Callable[[], bool]
    ) -> Mapping[int, PartitionRows]:
        """The rows as they were committed last."""

    def committed(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """The source offsets as they were committed last; the first where none was."""


class HeldPartition:
    """One partition of this worker.

    Attributes:
        number: Which.
        generation: The group's last generation in which it was this worker's.
        writer: Writes its chunks.
        rows: Its state, as of `next_offset`.
        next_offset: The offset behind the last frame that was committed.
        waiting: Fetched, not processed.
        task: The chunk under way.
        is_full: Whether it is fetched no further for now.
    """

    def __init__(self, number: int, generation: int, writer: Writer) -> None:
        self.number = number
        self.generation = generation
        self.writer = writer
        self.rows = PartitionRows()
        self.next_offset = 0
        self.waiting: deque[Fetched] = deque()
        self.task: asyncio.Task[None] | None = None
        self.is_full = False

    def next_chunk(self, limit: int) -> list[SourceRecord]:
        """What is waiting, up to about `limit` records, without what was processed before.

        Raises:
            SequenceError: Records are missing.
        """
        records: list[SourceRecord] = []
        expected = self.next_offset
        while self.waiting and len(records) < limit:
            fetched = self.waiting.popleft()
            records += due(fetched, expected)
            expected = max(expected, fetched.records[-1].offset + 1)
        return records


class Assignment:
    """The partitions of this worker.

    Attributes:
        held: The partitions by number.
        fail: As given.
    """

    def __init__(
        self,
        backing: Backing,
        reduce: Callable[[Sequence[SourceRecord], PartitionRows], ChunkResult],
        *,
        chunk_frames: int,
        fail: Callable[[BaseException], None],
    ) -> None:
        """Hold nothing yet.

        Args:
            backing: Kafka.
            reduce: The pure part: a chunk's records and the partition's rows to what they come to.
            chunk_frames: Records in a chunk, at most (about: whole fetches are taken).
            fail: Ends the process. What could not be written must be read again, with the state as
                it was committed; a new process does just that.
        """
        self._backing = backing
        self._reduce = reduce
        self._chunk_frames = chunk_frames
        self.fail = fail
        self._threads = ThreadPoolExecutor(_MAX_THREADS, thread_name_prefix="chunk")
        self._lock = asyncio.Lock()
        self._is_open = False
        self.held: dict[int, HeldPartition] = {}
        # Set by the shell where they are needed.
        self.on_written: Callable[[int, int], Awaitable[None]] | None = None
        self.on_full: Callable[[int], None] = _ignore
        self.on_drained: Callable[[int], None] = _ignore

    def confirm(self, partitions: Iterable[int], generation: int) -> None:
        """Note that partitions were assigned in a generation of the group.

        A worker that keeps a partition from one generation to the next knows that nobody else had
        it; one that missed a generation does not, and takes it over anew.
        """
        for number in partitions:
            held = self.held.get(number)
            if held is not None and held.generation == generation - 1:
                held.generation = generation

    async def hold(
        self, partitions: set[int], generation: int, is_current: Callable[[], bool]
    ) -> None:
        """Hold exactly these partitions, with their state, from now on.

        Args:
            partitions: All that this worker has.
            generation: The group's generation in which they were assigned.
            is_current: Whether they still are; False ends the work early.

        Raises:
            NotWrittenError, RestoreError, RowError: The partitions can't be taken over.
        """
        async with self._lock:
            await self.settle()
            for number, held in list(self.held.items()):
                if number not in partitions or held.generation != generation:
                    del self.held[number]
                    await self._in_thread(held.writer.close)
            new = sorted(partitions - self.held.keys())
            if new and is_current():
                begin = perf_counter()
                try:
                    taken = await self._take_over(new, generation, is_current)
                except RestoreInterruptedError:
                    return
                self.held.update((held.number, held) for held in taken)
                seconds = perf_counter() - begin
                metrics.RECOVERY_SECONDS.set(seconds)
                log.info(
                    "partitions taken over",
                    partitions=new,
                    rows=sum(len(held.rows) for held in taken),
                    seconds=round(seconds, 3),
                )
            self._is_open = is_current()

    async def _take_over(
        self, new: list[int], generation: int, is_current: Callable[[], bool]
    ) -> list[HeldPartition]:
        taken = [HeldPartition(number, generation, self._backing.writer(number)) for number in new]
        # First shut the previous owners out; what is read after that can't change any more.
        await asyncio.gather(*(self._in_thread(held.writer.open) for held in taken))
        offsets = await self._in_thread(partial(self._backing.committed, new))
        rows = await self._in_thread(partial(self._backing.restored, new, is_current))
        for held in taken:
            held.rows = rows[held.number]
            held.next_offset = offsets[held.number]
        return taken

    async def settle(self) -> None:
        """Start no further chunk and wait for those under way: written wholly, or the end."""
        self._is_open = False
        for held in self.held.values():
            held.waiting.clear()
            held.is_full = False
        tasks = [held.task for held in self.held.values() if held.task is not None]
        if tasks:
            await asyncio.wait(tasks)

    def take(self, fetched: Fetched) -> None:
        """Process what was fetched, after what is waiting already."""
        held = self.held.get(fetched.partition)
        if held is None or not self._is_open:
            return  # of a rebalance under way; it is fetched again after it
        held.waiting.append(fetched)
        if held.task is None:
            held.task = asyncio.create_task(self._process(held))
        elif not held.is_full and self._ahead(held):
            held.is_full = True
            self.on_full(held.number)

    def _ahead(self, held: HeldPartition) -> bool:
        return len(held.waiting) >= _AHEAD and (
            sum(len(fetched.records) for fetched in held.waiting) >= self._chunk_frames
        )

    async def _process(self, held: HeldPartition) -> None:
        try:
            while held.waiting and self._is_open:
                records = held.next_chunk(self._chunk_frames)
                if held.is_full and not self._ahead(held):
                    held.is_full = False
                    self.on_drained(held.number)
                if records:
                    await self._process_chunk(held, records)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the process must not go on
            self.fail(error)
        finally:
            held.task = None

    async def _process_chunk(self, held: HeldPartition, records: Sequence[SourceRecord]) -> None:
        next_offset = records[-1].offset + 1
        with metrics.CHUNK_SECONDS.time():
            result = await self._in_thread(partial(self._write, held, records, next_offset))
            held.rows.update(result.rows)
            held.next_offset = next_offset
            if self.on_written is not None:
                await self.on_written(held.number, next_offset)
        metrics.count(len(records), result)
        for letter in result.dead_letters:
            log.error(
                "frame put on the dead letter topic",
                partition=letter.partition,
                offset=letter.offset,
                client_id=letter.client_id,
                reason=letter.reason,
            )

    def _write(
        self, held: HeldPartition, records: Sequence[SourceRecord], next_offset: int
    ) -> ChunkResult:
        result = self._reduce(records, held.rows)
        with metrics.TRANSACTION_SECONDS.time():
            held.writer.write(result, next_offset)
        return result

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _ignore(_: int) -> None:
    """Nobody wants to know."""
