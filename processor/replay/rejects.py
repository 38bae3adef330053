"""Lines and records that could not be reduced, each with its place and reason."""

import heapq
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from processor.replay.errors import Rejected
from processor.replay.logs.entries import Entry, LogMessage
from schemas.frames import OcppFrame

_SHOWN: Final = 2000


class Reject(NamedTuple):
    """One of them.

    Attributes:
        order: Where it stands in the history, to put the lanes' rejects together.
        where: `<file>:<line>`, or `<topic>[<partition>]@<offset>`.
        reason: What is wrong.
        text: The line, as far as it is text.
    """

    order: tuple[int, int]
    where: str
    reason: str
    text: str

    @property
    def line(self) -> str:
        """As it stands in the reject file."""
        text = self.text.replace("\n", "\\n")
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
        return f"{self.where}: {self.reason}: {shown}\n"


def reject_of(rejected: Rejected, order: int, path: str, entry: Entry) -> Reject:
    """The reject of a log's entry."""
    line = rejected.line or entry.content
    return Reject((order, 0), f"{path}:{entry.line}", str(rejected), text_of(line))


def text_of(content: object) -> str:
    """What an entry holds, as far as it is text."""
    if isinstance(content, LogMessage | OcppFrame):
        content = content.raw
    return content.decode(errors="replace").rstrip("\r\n") if isinstance(content, bytes) else ""


class RejectPart:
    """A lane's rejects, kept in a file.

    Args:
        part: The file.
        stored: Its size at the last checkpoint.
    """

    def __init__(self, part: Path, stored: bytes | None) -> None:
        size = 0 if stored is None else int(stored)
        self._file = part.open("r+b" if part.exists() else "w+b")
        self._file.truncate(size)
        self._file.seek(size)

    def add(self, reject: Reject) -> None:
        """Keep one."""
        self._file.write(msgspec.json.encode(reject) + b"\n")

    def checkpoint(self) -> bytes:
        """Its size, all written."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return str(self._file.tell()).encode()

    def close(self) -> None:
        """All written."""
        self._file.close()


def assemble(parts: Sequence[Path], out: Path) -> None:
    """One reject file of all lanes', in the history's order."""
    with out.open("w", encoding="utf-8") as file:
        file.writelines(reject.line for reject in heapq.merge(*map(_rejects, parts)))


def _rejects(part: Path) -> Iterator[Reject]:
    with part.open("rb") as file:
        for line in file:
            yield msgspec.json.decode(line, type=Reject)
