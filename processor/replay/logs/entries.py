"""What a reader makes of a log: one entry for each message, each fault, each other line."""

from collections.abc import Iterator
from enum import Enum
from typing import BinaryIO, NamedTuple, Protocol, TypeAlias

from processor.replay.errors import Rejected
from processor.replay.logs.correlation import Correlation
from schemas.frames import Direction, OcppFrame


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

    def entries(self, stream: BinaryIO, log: "Source", *, all_wanted: bool) -> Iterator[Entry]:
        """The log's entries in the order of its lines.

        Args:
            stream: Its content.
            log: Its number and path.
            all_wanted: Whether every entry's frame will be asked for. If not, most are of other
                lanes, and what can wait is left to `frame`.

        Raises:
            UsageError: The log can't be read without being told more.
        """

    def frame(self, entry: Entry, correlation: Correlation) -> OcppFrame:
        """The entry's frame.

        Raises:
            Rejected: It is none.
        """
