"""Many logs → one history.

The order within a file is kept as it is: it is the order in which the frames came, whatever the
clock said. Files are put into each other by time: a file's next entry is due at the latest time
seen in the file so far. Files that follow one another are open one at a time.
"""

import heapq
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from processor.replay.errors import Rejected, ReplayError
from processor.replay.logs.entries import Content, Entry, LogReader, Other, Source
from processor.replay.logs.files import BROKEN, LogFile

_NEVER: Final = 1 << 63


class Log(NamedTuple):
    """A file and how to read it."""

    path: str
    reader: LogReader


class _Open:
    """A file whose turn has come."""

    def __init__(self, number: int, log: Log, *, all_wanted: bool) -> None:
        self.number = number
        self.log = log
        self.file = _opened(log.path)
        self.entries = _whole(number, log, self.file, all_wanted=all_wanted)
        self.due = self.last_due = 0
        self.next: Entry | None = None
        self.advance()

    def advance(self) -> None:
        self.next = next(self.entries, None)
        if self.next is None:
            self.file.close()
        elif self.next.at_ns is not None and self.next.at_ns > self.due:
            self.due = self.next.at_ns

    def rest(self) -> Iterator[Entry]:
        """All that is left."""
        if self.next is not None:
            yield self.next
        yield from self.entries
        self.next = None
        self.file.close()

    def alone(self, until: tuple[int, int]) -> Iterator[Entry]:
        """The entries that are due before another file's."""
        while self.next is not None and (self.due, self.number) <= until:
            entry = self.next
            self.last_due = self.due
            self.advance()
            yield entry


class History:
    """The entries of all logs in the order of the history.

    Args:
        logs: The logs; an entry's `log` is the place among them.
        all_wanted: Whether every entry's frame will be asked for.
    """

    def __init__(self, logs: Sequence[Log], *, all_wanted: bool = True) -> None:
        self._logs = logs
        self._all_wanted = all_wanted
        self._open: list[_Open] = []
        self._read = 0
        self._seen: dict[tuple[str, int | None, Content], dict[int, int]] = {}
        self._seen_due = 0

    @property
    def bytes_read(self) -> int:
        """Bytes read of all files as they lie on the disk."""
        return self._read + sum(one.file.position for one in self._open)

    def __iter__(self) -> Iterator[Entry]:
        waiting = sorted(
            ((_start(log), number) for number, log in enumerate(self._logs)), reverse=True
        )
        heap: list[tuple[int, int, _Open]] = []
        while waiting or heap:
            while waiting and (not heap or waiting[-1][0] <= heap[0][0]):
                _, number = waiting.pop()
                one = _Open(number, self._logs[number], all_wanted=self._all_wanted)
                if one.next is not None:
                    heapq.heappush(heap, (one.due, number, one))
                    self._open.append(one)
                else:
                    self._read += _size(self._logs[number].path)
            if not heap:
                continue
            _, number, one = heapq.heappop(heap)
            # This file's turn lasts until another one's next entry is due before its own.
            until = min(
                (heap[0][0], heap[0][1]) if heap else (_NEVER, 0),
                # Strictly before it: what both have at that time has to meet.
                (waiting[-1][0], -1) if waiting else (_NEVER, 0),
            )
            if heap:
                yield from self._without_repeats(one, until)
            else:
                if self._seen:
                    # Another file had this time too, and ended with it.
                    yield from self._without_repeats(one, (self._seen_due, number))
                    self._seen.clear()
                yield from one.rest() if until[0] == _NEVER else one.alone(until)
            if one.next is None:
                self._open.remove(one)
                self._read += _size(one.log.path)
            else:
                heapq.heappush(heap, (one.due, number, one))

    def _without_repeats(self, one: _Open, until: tuple[int, int]) -> Iterator[Entry]:
        """As `alone`, but what another file has at the same time too is marked."""
        number = one.number
        for entry in one.alone(until):
            if self._seen_due != one.last_due:
                self._seen_due = one.last_due
                self._seen.clear()
            if entry.client_id is None:
                yield entry
                continue
            counts = self._seen.setdefault((entry.client_id, entry.at_ns, entry.content), {})
            counts[number] = counts.get(number, 0) + 1
            others = max((n for file, n in counts.items() if file != number), default=0)
            repeated = counts[number] <= others
            yield entry._replace(content=Other.REPEATED) if repeated else entry


def _start(log: Log) -> int:
    """The first time in the file, Unix nanoseconds."""
    file = _opened(log.path)
    try:
        for entry in _whole(0, log, file, all_wanted=False):
            if entry.at_ns is not None:
                return entry.at_ns
    finally:
        file.close()
    return 0


def _whole(number: int, log: Log, file: LogFile, *, all_wanted: bool) -> Iterator[Entry]:
    """The file's entries; the last one says if the file breaks off."""
    entry = None
    try:
        for entry in log.reader.entries(
            file.stream, Source(number, log.path), all_wanted=all_wanted
        ):
            yield entry
    except BROKEN as error:
        line = 1 if entry is None else entry.line + 1
        yield Entry(number, line, None, None, Rejected("file broken off", str(error)))


def _opened(path: str) -> LogFile:
    try:
        return LogFile(path)
    except OSError as error:
        raise ReplayError(f"{path} can't be read: {error.strerror}") from error


def _size(path: str) -> int:
    return Path(path).stat().st_size
