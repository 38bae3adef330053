"""Many logs → one history.

The order within a file is kept as it is: it is the order in which the frames came, whatever the
clock said. Files are put into each other by time: a file's next entry is due at the latest time
seen in the file so far. Files that follow one another are open one at a time.
"""

import heapq
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias, cast

from processor.replay.errors import Rejected, ReplayError
from processor.replay.logs.entries import (
    Content,
    Entry,
    Limit,
    LogReader,
    Other,
    SkimmingReader,
    Source,
    Stretch,
)
from processor.replay.logs.export_lines import as_read
from processor.replay.logs.files import BROKEN, LogFile

Piece: TypeAlias = Entry | Stretch

_NEVER: Final = 1 << 64
"""Later than any entry's time."""


class Log(NamedTuple):
    """A file and how to read it."""

    path: str
    reader: LogReader


class _Open:
    """A file whose turn has come.

    Attributes:
        due: The latest time seen so far, when the next entry is due.
        last_due: When the entry before was.
        next: The next entry; None at the end.
    """

    def __init__(self, number: int, log: Log, *, skims: bool) -> None:
        self.number = number
        self.log = log
        self.file = _opened(log.path)
        self._limit = Limit()
        self._pieces = _whole(number, log, self.file, self._limit if skims else None)
        self.due = self.last_due = 0
        self.next: Entry | None = None
        self.advance()

    def advance(self) -> None:
        # Without a limit there are no stretches.
        self._is_next(cast("Entry | None", next(self._pieces, None)))

    def _is_next(self, entry: Entry | None) -> None:
        self.next = entry
        if entry is None:
            self.file.close()
        elif entry.at_ns is not None and entry.at_ns > self.due:
            self.due = entry.at_ns

    def rest(self) -> Iterator[Piece]:
        """All that is left."""
        self._limit.lift()
        if self.next is not None:
            yield self.next
        yield from self._pieces
        self.next = None
        self.file.close()

    def alone(self, until: tuple[int, int]) -> Iterator[Entry]:
        """The entries that are due before another file's."""
        while self.next is not None and (self.due, self.number) <= until:
            entry = self.next
            self.last_due = self.due
            self.advance()
            yield entry

    def alone_before(self, until_ns: int) -> Iterator[Piece]:
        """What is due before that time, in stretches where the reader skims."""
        self._limit.set(until_ns)
        while self.next is not None and self.due < until_ns:
            yield self.next
            piece = next(self._pieces, None)
            # It lies before that time, so when the file is due next does not depend on it.
            while isinstance(piece, Stretch):
                yield piece
                piece = next(self._pieces, None)
            self._is_next(piece)
        self._limit.set(0)


class History:
    """The entries of all logs in the order of the history.

    Args:
        logs: The logs; an entry's `log` is the place among them.
    """

    def __init__(self, logs: Sequence[Log]) -> None:
        self._logs = logs
        self._open: list[_Open] = []
        self._read = 0
        self._seen: dict[tuple[str, int | None, Content], dict[int, int]] = {}
        self._seen_due = 0

    @property
    def bytes_read(self) -> int:
        """Bytes read of all files as they lie on the disk."""
        return self._read + sum(one.file.position for one in self._open)

    def __iter__(self) -> Iterator[Entry]:
        """Their frames are read as far as the log alone tells them."""
        return cast("Iterator[Entry]", self._merged(skims=False))

    def skimmed(self) -> Iterator[Piece]:
        """The same, but where it can be told without, nothing is read but whose an entry is."""
        return self._merged(skims=True)

    def _merged(self, *, skims: bool) -> Iterator[Piece]:
        waiting = sorted(
            ((_start(log), number) for number, log in enumerate(self._logs)), reverse=True
        )
        heap: list[tuple[int, int, _Open]] = []
        while waiting or heap:
            while waiting and (not heap or waiting[-1][0] <= heap[0][0]):
                _, number = waiting.pop()
                one = _Open(number, self._logs[number], skims=skims)
                if one.next is not None:
                    heapq.heappush(heap, (one.due, number, one))
                    self._open.append(one)
                else:
                    self._read += _size(self._logs[number].path)
            if not heap:
                continue
            _, number, one = heapq.heappop(heap)
            # This file's turn lasts until another one's next entry is due before its own.
            # Strictly before a file that waits: what both have at that time has to meet.
            opens = waiting[-1][0] if waiting else _NEVER
            if heap:
                until = min((heap[0][0], heap[0][1]), (opens, -1))
                yield from self._without_repeats(one, until)
            else:
                if self._seen:
                    # Another file had this time too, and ended with it.
                    yield from self._without_repeats(one, (self._seen_due, number))
                    self._seen.clear()
                yield from one.alone_before(opens) if waiting else one.rest()
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
            content = as_read(entry.content)
            counts = self._seen.setdefault((entry.client_id, entry.at_ns, content), {})
            counts[number] = counts.get(number, 0) + 1
            others = max((n for file, n in counts.items() if file != number), default=0)
            repeated = counts[number] <= others
            yield entry._replace(content=Other.REPEATED) if repeated else entry


def _start(log: Log) -> int:
    """The first time in the file, Unix nanoseconds."""
    file = _opened(log.path)
    try:
        for entry in _whole(0, log, file):
            if isinstance(entry, Entry) and entry.at_ns is not None:
                return entry.at_ns
    finally:
        file.close()
    return 0


def _whole(number: int, log: Log, file: LogFile, limit: Limit | None = None) -> Iterator[Piece]:
    """The file's entries; the last one says if the file breaks off.

    Args:
        number: The file's.
        log: The file.
        file: The same, open.
        limit: Up to when lines may come in stretches; None: frames are read.
    """
    line, source, reader = 0, Source(number, log.path), log.reader
    try:
        if limit is not None and isinstance(reader, SkimmingReader):
            for piece in reader.skim(file.stream, source, limit):
                line = piece.line if isinstance(piece, Entry) else piece.end - 1
                yield piece
        else:
            for entry in reader.entries(file.stream, source):
                line = entry.line
                yield entry
    except BROKEN as error:
        yield Entry(number, line + 1, None, None, Rejected("file broken off", str(error)))


def _opened(path: str) -> LogFile:
    try:
        return LogFile(path)
    except OSError as error:
        raise ReplayError(f"{path} can't be read: {error.strerror}") from error


def _size(path: str) -> int:
    return Path(path).stat().st_size
