"""What a reader makes of a log: one entry for each message, each fault, each other line."""

from collections.abc import Iterator
from enum import Enum
from typing import BinaryIO, Final, NamedTuple, Protocol, TypeAlias, runtime_checkable

from processor.replay.errors import Rejected
from processor.replay.logs.correlation import Correlation
from schemas.frames import Direction, OcppFrame

TIME_DIGITS: Final = 19
"""Of Unix nanoseconds, from 2001 to 2286."""


class Other(Enum):
    """Why a line holds no frame to reduce, and is no fault either."""

    NO_FRAME = 1
    """Logs tell of more than frames."""
    REPEATED = 2
    """Another file of the run has the same line at the same time: logs that overlap."""


class LogMessage(NamedTuple):
    """An OCPP-J message as another system's log tells it.

    Attributes:
        direction: None where the log does not say.
        raw: The message's text.
        protocol: The websocket subprotocol.
    """

    direction: Direction | None
    raw: bytes
    protocol: str


Content: TypeAlias = "LogMessage | OcppFrame | bytes | Rejected | Other"


class Entry(NamedTuple):
    """One message of a log.

    Attributes:
        log: The number of its log.
        line: Its line, the first is 1 (in an Avro file: its record).
        client_id: The charge point; None where the line tells none.
        at_ns: When it was received, Unix nanoseconds; None where the line tells no time.
        content: What the reader's `frame` makes a frame of, or why there is none.
    """

    log: int
    line: int
    client_id: str | None
    at_ns: int | None
    content: Content


class Source(NamedTuple):
    """Where entries are from."""

    number: int
    path: str


class LogReader(Protocol):
    """Reads one kind of log."""

    def entries(self, stream: BinaryIO, log: Source) -> Iterator[Entry]:
        """The log's entries in the order of its lines.

        Args:
            stream: Its content.
            log: Its number and path.

        Raises:
            UsageError: The log can't be read without being told more.
        """

    def frame(self, entry: Entry, correlation: Correlation) -> OcppFrame:
        """The entry's frame.

        Raises:
            Rejected: It is none.
        """


class Stretch(NamedTuple):
    """Lines that follow one another, of which no more is known than whose they are.

    Attributes:
        log: The number of their log.
        first: The first one's line; there are no empty ones among them.
        client_ids: Each one's charge point.
        lines: The lines, each of which is the `content` of an entry.
        size: Bytes of all lines.
    """

    log: int
    first: int
    client_ids: list[str]
    lines: list[bytes]
    size: int

    @property
    def end(self) -> int:
        """The line after the last one."""
        return self.first + len(self.lines)


class Limit:
    """Up to when lines may come in stretches: before that time nothing of another file is due.

    Attributes:
        text: The time as 19 digits of Unix nanoseconds; empty: every line is to be an entry.
    """

    def __init__(self) -> None:
        self.text = b""

    def set(self, time_ns: int) -> None:
        """Lines before that time may; times of fewer digits (before 2001) stand for none."""
        text = b"%d" % time_ns
        self.text = text if len(text) == TIME_DIGITS else b""

    def lift(self) -> None:
        """All lines may."""
        self.text = b":"  # what comes after the digits


@runtime_checkable
class SkimmingReader(LogReader, Protocol):
    """A reader that can tell whose a line is without reading the rest of it."""

    def skim(self, stream: BinaryIO, log: Source, limit: Limit) -> Iterator[Entry | Stretch]:
        """As `entries`, their frames not read yet; in stretches as far as the limit allows.

        Args:
            stream: Its content.
            log: Its number and path.
            limit: Looked at again after everything that was given.
        """
