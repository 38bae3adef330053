"""What one process reads of the logs for the others, in blocks that go through pipes."""

from collections.abc import Iterator
from heapq import merge
from multiprocessing.connection import Connection
from operator import itemgetter
from typing import Final, TypeAlias

import msgspec

from processor.replay.errors import Rejected
from processor.replay.logs.entries import Content, Entry, LogMessage, Other
from schemas.frames import OcppFrame

Line: TypeAlias = tuple[int, int, str, bytes]
"""One of a stretch: place in the history, line number, charge point, the line."""

_END: Final = b""


class Dealt(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An entry at its place in the history; its content is the one field of the last five."""

    order: int
    log: int
    line: int
    client_id: str | None
    at_ns: int | None
    text: bytes | None = None
    message: LogMessage | None = None
    frame: OcppFrame | None = None
    rejected: tuple[str, str, bytes] | None = None
    other: Other | None = None


class Part(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a block has of one lane.

    Attributes:
        lines: The lines, by their place in the history.
        entries: Entries that came one by one, likewise.
    """

    lines: list[Line]
    entries: list[Dealt]


class Block(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A part of the history, as far as it is one process's.

    Attributes:
        upto: The place in the history of its last entry, be it this process's or another's.
        bytes_read: Of the files as they lie on the disk.
        log: The number of the lines' log.
        parts: By lane.
    """

    upto: int
    bytes_read: int
    log: int
    parts: dict[int, Part]


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Block)


def dealt(order: int, entry: Entry) -> tuple[Dealt, int]:
    """The entry, and about how many bytes it has."""
    place = (order, entry.log, entry.line, entry.client_id, entry.at_ns)
    content = entry.content
    if isinstance(content, LogMessage):
        return Dealt(*place, message=content), len(content.raw)
    if isinstance(content, bytes):
        return Dealt(*place, text=content), len(content)
    if isinstance(content, OcppFrame):
        return Dealt(*place, frame=content), len(content.raw)
    if isinstance(content, Rejected):
        fault = (content.reason, content.detail, content.line)
        return Dealt(*place, rejected=fault), len(content.line)
    return Dealt(*place, other=content), 1


def entries_of(part: Part, log: int) -> Iterator[tuple[int, Entry]]:
    """Lines and entries as entries, each with its place in the history.

    Args:
        part: The part.
        log: The number of the lines' log.
    """
    lines = (
        (order, Entry(log, line, client_id, None, text))
        for order, line, client_id, text in part.lines
    )
    entries = ((one.order, _entry(one)) for one in part.entries)
    return merge(lines, entries, key=itemgetter(0))


def _entry(one: Dealt) -> Entry:
    content: Content | None = one.message or one.frame or one.other
    if content is None:
        content = Rejected(*one.rejected) if one.rejected is not None else one.text or b""
    return Entry(one.log, one.line, one.client_id, one.at_ns, content)


def send(pipe: Connection, block: Block) -> None:
    """Send a block; waits while the pipe is full.

    Raises:
        BrokenPipeError: Nobody reads any more.
    """
    pipe.send_bytes(_ENCODER.encode(block))


def send_end(pipe: Connection) -> None:
    """Say that the history is at its end.

    Raises:
        BrokenPipeError: Nobody reads any more.
    """
    pipe.send_bytes(_END)


def received(pipe: Connection) -> Iterator[Block]:
    """The blocks up to the history's end.

    Raises:
        EOFError: The sender ended before that.
    """
    while (message := pipe.recv_bytes()) != _END:
        yield _DECODER.decode(message)
