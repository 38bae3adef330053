"""Chargelog's own export: frames as JSON lines, or as records of an Avro container file."""

import re
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, cast

import fastavro
import msgspec

from processor.replay.errors import Rejected
from processor.replay.logs.correlation import Correlation
from processor.replay.logs.entries import Content, Entry, Source
from schemas.frames import Direction, Kind, OcppFrame

_START: Final = re.compile(rb'{"clientId":"([^"\\\\]*)","receivedAtNs":(\d+),')


class ExportedFrame(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`OcppFrame` as a line of JSON: its fields, in its order.

    Attributes:
        raw: The frame's text; None where it is not UTF-8.
        raw_base64: The frame's bytes where they are not UTF-8.
    """

    client_id: str
    received_at_ns: int
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

    def entries(self, stream: BinaryIO, log: Source, *, all_wanted: bool) -> Iterator[Entry]:
        """One entry a line; charge point and time are taken from where `to_line` puts them."""
        number, names = log.number, dict[bytes, str]()
        lines = enumerate(stream, 1)
        if all_wanted:
            for line_number, line in lines:
                try:
                    frame = from_line(line)
                except Rejected:
                    yield from self._unread(number, line_number, line, names)
                else:
                    yield Entry(number, line_number, frame.client_id, frame.received_at_ns, frame)
            return
        for line_number, line in lines:
            yield from self._unread(number, line_number, line, names)

    def _unread(
        self, number: int, line_number: int, line: bytes, names: dict[bytes, str]
    ) -> Iterator[Entry]:
        """The line's entry, its frame not read yet; none if the line is empty."""
        found = _START.match(line)
        if found is not None:
            key = found[1]
            name = names.get(key)
            if name is None:
                name = names[key] = key.decode(errors="replace")
            yield Entry(number, line_number, name, int(found[2]), line)
        elif not line.isspace():
            yield self._other_order(number, line_number, line)

    @staticmethod
    def _other_order(number: int, line_number: int, line: bytes) -> Entry:
        try:
            frame = from_line(line)
        except Rejected as rejected:
            rejected.line = line
            return Entry(number, line_number, None, None, rejected)
        return Entry(number, line_number, frame.client_id, frame.received_at_ns, frame)

    def frame(self, entry: Entry, correlation: Correlation) -> OcppFrame:  # noqa: ARG002 - as above
        """The frame as it was exported.

        Raises:
            Rejected: It is none.
        """
        content = entry.content
        return from_line(content) if type(content) is bytes else _as_read(content)


class AvroReader:
    """Reads an Avro container file of `OcppFrame` records, written with any schema of it."""

    def entries(self, stream: BinaryIO, log: Source, *, all_wanted: bool) -> Iterator[Entry]:  # noqa: ARG002 - LogReader's
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
        return _as_read(entry.content)


def _as_read(content: Content) -> OcppFrame:
    if isinstance(content, Rejected):
        raise content
    return cast("OcppFrame", content)


def _frame(datum: dict[str, Any]) -> OcppFrame:
    return msgspec.convert(datum, OcppFrame, builtin_types=(bytes,))
