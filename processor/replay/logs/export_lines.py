"""Chargelog's own export: frames as JSON lines, or as records of an Avro container file."""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Any, BinaryIO, Final, cast

import fastavro
import msgspec

from processor.replay.errors import Rejected
from processor.replay.logs.correlation import Correlation
from processor.replay.logs.entries import (
    TIME_DIGITS,
    Content,
    Entry,
    Limit,
    Source,
    Stretch,
)
from processor.replay.logs.files import BROKEN
from schemas.frames import Direction, Kind, OcppFrame

_START: Final = re.compile(rb'{"clientId":"([^"\\\\]*)","receivedAtNs":')
_TIME: Final = re.compile(rb"(\d{1,%d})," % TIME_DIGITS)
_NAME: Final = len(b'{"clientId":"')
_TO_TIME: Final = len(b'","receivedAtNs":')
STRETCH_BYTES: Final = 1 << 18
"""After so much a stretch ends."""


class ExportedFrame(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`OcppFrame` as a line of JSON: its fields, in its order.

    Attributes:
        raw: The frame's text; None where it is not UTF-8.
        raw_base64: The frame's bytes where they are not UTF-8.
    """

    client_id: str
    received_at_ns: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]  # an Avro long
    direction: Direction
    protocol: str
    kind: Kind
    message_id: str | None = None
    action: str | None = None
    raw: str | None = None
    raw_base64: bytes | None = None
    violation: str | None = None
    connection_id: str


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(ExportedFrame)


def to_line(frame: OcppFrame) -> bytes:
    """The frame as a line of JSON, without its end."""
    text: str | None
    try:
        text, data = frame.raw.decode(), None
    except UnicodeDecodeError:
        text, data = None, frame.raw
    return _ENCODER.encode(
        ExportedFrame(
            client_id=frame.client_id,
            received_at_ns=frame.received_at_ns,
            direction=frame.direction,
            protocol=frame.protocol,
            kind=frame.kind,
            message_id=frame.message_id,
            action=frame.action,
            raw=text,
            raw_base64=data,
            violation=frame.violation,
            connection_id=frame.connection_id,
        )
    )


def from_line(line: bytes) -> OcppFrame:
    """The frame in a line of JSON.

    Raises:
        Rejected: It holds none.
    """
    try:
        read = _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Rejected("no exported frame", str(error)) from error
    return _frame_of(read)


def _frame_of(read: ExportedFrame) -> OcppFrame:
    raw = read.raw_base64 if read.raw is None else read.raw.encode()
    if raw is None:
        raise Rejected("no exported frame", "it has neither raw nor rawBase64")
    return OcppFrame(
        client_id=read.client_id,
        received_at_ns=read.received_at_ns,
        direction=read.direction,
        protocol=read.protocol,
        kind=read.kind,
        message_id=read.message_id,
        action=read.action,
        raw=raw,
        violation=read.violation,
        connection_id=read.connection_id,
    )


class JsonLinesReader:
    """Reads `to_line`'s lines; also ones that another program wrote in another order."""

    def entries(self, stream: BinaryIO, log: Source) -> Iterator[Entry]:
        """One entry a line, its frame read."""
        number, names = log.number, dict[bytes, str]()
        for line_number, line in enumerate(stream, 1):
            try:
                frame = from_line(line)
            except Rejected:
                entry = _unread(number, line_number, line, names)
                if entry is not None:
                    yield entry
            else:
                yield Entry(number, line_number, frame.client_id, frame.received_at_ns, frame)

    def skim(self, stream: BinaryIO, log: Source, limit: Limit) -> Iterator[Entry | Stretch]:
        """One entry a line, its frame not read; lines in stretches as far as the limit allows.

        Whose a line is follows from its start alone, and that is looked up whole: parsing each
        line's start would take several times as long.
        """
        names = dict[bytes, str]()
        client_ids, lines = list[str](), list[bytes]()
        size, until, line_number = 0, limit.text, 0
        try:
            for line_number, line in enumerate(stream, 1):
                end = line.find(b'"', _NAME) + _TO_TIME
                name = names.get(line[:end])
                # So compared, times are numbers of as many digits; the comma sees to that.
                time = line[end : end + TIME_DIGITS + 1]
                if name is None or time >= until or time[TIME_DIGITS:] != b",":
                    if lines:
                        yield Stretch(log.number, line_number - len(lines), client_ids, lines, size)
                        client_ids, lines, size = [], [], 0
                    entry = _unread(log.number, line_number, line, names)
                    if entry is not None:
                        yield entry
                    until = limit.text
                    continue
                client_ids.append(name)
                lines.append(line)
                size += len(line)
                if size >= STRETCH_BYTES:
                    yield Stretch(log.number, line_number + 1 - len(lines), client_ids, lines, size)
                    client_ids, lines, size = [], [], 0
                    until = limit.text
        except BROKEN:
            if lines:
                yield Stretch(log.number, line_number + 1 - len(lines), client_ids, lines, size)
            raise
        if lines:
            yield Stretch(log.number, line_number + 1 - len(lines), client_ids, lines, size)

    def frame(self, entry: Entry, correlation: Correlation) -> OcppFrame:  # noqa: ARG002 - LogReader's
        """The frame as it was exported.

        Raises:
            Rejected: It is none.
        """
        content = entry.content
        return from_line(content) if type(content) is bytes else _frame_in(content)


def as_read(content: Content) -> Content:
    """The content as `entries` would have given it in place of `skim`."""
    if type(content) is bytes:
        with suppress(Rejected):
            return from_line(content)
    return content


def _unread(number: int, line_number: int, line: bytes, names: dict[bytes, str]) -> Entry | None:
    """The line's entry, its frame not read as far as that can wait; None if the line is empty.

    A line that `to_line` could have begun is its charge point's, also if the rest makes no sense.
    """
    start = _START.match(line)
    name = None
    if start is not None:
        name = names.get(start[0])
        if name is None:
            name = names[start[0]] = start[1].decode(errors="replace")
        time = _TIME.match(line, start.end())
        if time is not None:
            return Entry(number, line_number, name, int(time[1]), line)
    elif line.isspace():
        return None
    try:
        frame = from_line(line)
    except Rejected as rejected:
        rejected.line = line
        return Entry(number, line_number, name, None, rejected)
    return Entry(number, line_number, frame.client_id, frame.received_at_ns, frame)


class AvroReader:
    """Reads an Avro container file of `OcppFrame` records, written with any schema of it."""

    def entries(self, stream: BinaryIO, log: Source) -> Iterator[Entry]:
        """One entry a record; what follows a broken record can't be read."""
        number = 0
        try:
            for datum in fastavro.reader(stream):
                number += 1
                frame = _frame(cast("dict[str, Any]", datum))
                yield Entry(log.number, number, frame.client_id, frame.received_at_ns, frame)
        # fastavro raises whatever its C code meets in broken input.
        except Exception as error:  # noqa: BLE001
            broken = Rejected("broken Avro file", repr(error))
            yield Entry(log.number, number + 1, None, None, broken)

    def frame(self, entry: Entry, correlation: Correlation) -> OcppFrame:  # noqa: ARG002 - as above
        """The frame as it was exported.

        Raises:
            Rejected: It is none.
        """
        return _frame_in(entry.content)


def _frame_in(content: Content) -> OcppFrame:
    if isinstance(content, Rejected):
        raise content
    return cast("OcppFrame", content)


def _frame(datum: dict[str, Any]) -> OcppFrame:
    return msgspec.convert(datum, OcppFrame, builtin_types=(bytes,))
