"""Logs of other systems: lines that tell a time, a charge point, a direction and a message."""

import re
from collections.abc import Iterator, Mapping
from datetime import tzinfo
from typing import BinaryIO, Final, cast

import msgspec
import orjson

from processor.replay.errors import Rejected
from processor.replay.logs.correlation import Correlation
from processor.replay.logs.entries import Entry, LogMessage, Other, Source
from processor.replay.logs.times import ISO, Clock
from schemas.frames import INBOUND, OUTBOUND, Direction, OcppFrame

_MOST_LINES: Final = 2000
"""Lines of one message that some charge points write as indented JSON."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """How a system writes its log.

    Attributes:
        pattern: Of a line with a message; groups `time`, `charge_point`, `direction` and `message`,
            all but the last optional.
        suspect: Of a line that ought to have matched; None: every line ought to.
        header: Of a line that begins something new, and so is no continuation of a message.
        directions: What the direction group says, to what it means.
        time_form: As `Clock` takes it.
        protocol: The subprotocol of all messages.
        charge_point: Of all lines whose pattern names none.
        charge_point_in_path: Pattern of the file's path with the group `charge_point`.
    """

    pattern: str
    suspect: str | None = None
    header: str | None = None
    directions: Mapping[str, Direction] = {}
    time_form: str = ISO
    protocol: str = "ocpp1.6"
    charge_point: str | None = None
    charge_point_in_path: str | None = None


_ISO_TIME: Final = r"\d{4}-\d\d-\d\d[T \t]+\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"

STEVE: Final = Shape(
    # SteVe's WebSocketLogger under its log pattern `[%-5level] %d %c (%thread) - %msg`; without
    # the thread in older versions, with tabs where it came through a spreadsheet (steve#2058).
    pattern=rf".*?(?P<time>{_ISO_TIME})\s.*?WebSocketLogger\b.*?"
    r"\[chargeBoxId=(?P<charge_point>.+?),\s+sessionId=[^\]]*\]\s+"
    r"(?P<direction>Received|Sending)(?: message)?:\s+(?P<message>.*)",
    suspect=r"\[chargeBoxId=.*\]\s+(?:Received|Sending)(?: message)?:",
    header=r"\[[A-Z]+\s*\]\s",
    directions={"Received": INBOUND, "Sending": OUTBOUND},
)
OCPP_LIBRARY: Final = Shape(
    # ocpp/charge_point.py of the Python library `ocpp`: "%s: receive message %s", "%s: send %s"
    # (from mobilityhouse/ocpp#770 on "send message"), after whatever the program's formatter puts.
    pattern=rf"(?:.*?(?P<time>{_ISO_TIME}))?(?:.*?[\s:|\]>-])??"
    r"(?P<charge_point>[^\s:|\[\]]+): (?P<direction>receive message|send(?: message)?) "
    r"(?P<message>\[.*)",
    suspect=r": (?:receive message|send(?: message)?) \[",
    header=rf"(?:{_ISO_TIME}|[A-Z]+:)",
    directions={"receive message": INBOUND, "send": OUTBOUND, "send message": OUTBOUND},
)


class TextReader:
    """Reads lines of a shape.

    Args:
        shape: The shape.
        zone: The zone of times that name none.
    """

    def __init__(self, shape: Shape, zone: tzinfo | None) -> None:
        self._shape = shape
        self._zone = zone
        self._pattern = re.compile(shape.pattern.encode(), re.DOTALL)
        self._suspect = None if shape.suspect is None else re.compile(shape.suspect.encode())
        self._header = None if shape.header is None else re.compile(shape.header.encode())
        self._directions = {text.encode(): way for text, way in shape.directions.items()}

    def entries(self, stream: BinaryIO, log: Source) -> Iterator[Entry]:
        """One entry for each line, but one for all lines of a message that has several."""
        clock = Clock(self._shape.time_form, self._zone)
        fixed = charge_point_of(
            self._shape.charge_point, self._shape.charge_point_in_path, log.path
        )
        for number, line in self._joined(stream):
            match = self._pattern.match(line)
            if match is None:
                yield Entry(log.number, number, None, None, self._unmatched(line))
                continue
            found = match.groupdict()
            try:
                yield message_entry(
                    (log.number, number),
                    clock,
                    self._shape.protocol,
                    time=found.get("time"),
                    charge_point=found.get("charge_point") or fixed,
                    direction=self._direction(found.get("direction")),
                    message=found["message"],
                )
            except Rejected as rejected:
                rejected.line = line
                yield Entry(log.number, number, None, None, rejected)

    def matches(self, line: bytes) -> bool:
        """Whether the line is one with a message."""
        return self._pattern.match(line) is not None

    def frame(self, entry: Entry, correlation: Correlation) -> OcppFrame:
        """The message as a frame.

        Raises:
            Rejected: It is none.
        """
        return frame_of_message(entry, correlation)

    def _joined(self, stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
        """Lines with their numbers; a message of several lines under its first one's."""
        held: list[bytes] = []
        first = 0
        for number, ended in enumerate(stream, 1):
            line = ended.rstrip(b"\r\n")
            if held:
                if not self._begins(line) and len(held) < _MOST_LINES:
                    held.append(line)
                    if line.rstrip().endswith(b"]") and self._whole(held):
                        yield first, b"\n".join(held)
                        held = []
                    continue
                yield from self._given_up(first, held)
                held = []
            match = None if line.rstrip().endswith(b"]") else self._pattern.match(line)
            if match is not None and match["message"].startswith(b"["):
                first, held = number, [line]
            elif line:
                yield number, line
        if held:
            yield from self._given_up(first, held)

    def _given_up(self, first: int, held: list[bytes]) -> Iterator[tuple[int, bytes]]:
        # The message broke off: it is rejected, and the lines after it stand for themselves.
        yield from ((first + place, line) for place, line in enumerate(held) if line)

    def _begins(self, line: bytes) -> bool:
        if self._header is not None and self._header.match(line):
            return True
        return self._pattern.match(line) is not None

    def _whole(self, held: list[bytes]) -> bool:
        match = self._pattern.match(b"\n".join(held))
        if match is None:
            return False
        try:
            orjson.loads(match["message"])
        except orjson.JSONDecodeError:
            return False
        return True

    def _direction(self, text: bytes | None) -> Direction | None:
        if text is None:
            return None
        try:
            return self._directions[text]
        except KeyError:
            raise Rejected("direction unknown", f"{text.decode(errors='replace')!r}") from None

    def _unmatched(self, line: bytes) -> Rejected | Other:
        if self._suspect is not None and not self._suspect.search(line):
            return Other.NO_FRAME
        return Rejected("line not understood", "it does not match the format's pattern", line)


def charge_point_of(fixed: str | None, in_path: str | None, path: str) -> bytes | None:
    """The charge point of a log that is one charge point's only."""
    if in_path is not None and (match := re.search(in_path, path)) is not None:
        return match["charge_point"].encode()
    return None if fixed is None else fixed.encode()


def message_entry(  # noqa: PLR0913 - what a line tells
    place: tuple[int, int],
    clock: Clock,
    protocol: str,
    *,
    time: bytes | None,
    charge_point: bytes | None,
    direction: Direction | None,
    message: bytes,
) -> Entry:
    """The entry of a line that tells so much.

    Raises:
        Rejected: Charge point or time is missing or can't be read.
    """
    if not charge_point:
        raise Rejected("no charge point", "the line names none")
    if not time:
        raise Rejected("no time", "the line tells no time of its own")
    try:
        client_id, when = charge_point.decode(), time.decode()
    except UnicodeDecodeError as error:
        raise Rejected("not UTF-8", str(error)) from error
    content = LogMessage(direction, message.strip(), protocol)
    return Entry(*place, client_id, clock.ns(re.sub(r"\s+", " ", when.strip())), content)


def frame_of_message(entry: Entry, correlation: Correlation) -> OcppFrame:
    """The frame of a `message_entry`.

    Raises:
        Rejected: It is none.
    """
    message = entry.content
    if isinstance(message, Rejected):
        raise message
    message = cast("LogMessage", message)
    client_id, at_ns = cast("str", entry.client_id), cast("int", entry.at_ns)
    return correlation.frame(client_id, at_ns, message.direction, message.raw, message.protocol)
