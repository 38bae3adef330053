"""A lane's part of an event file: whole blocks, and what the next block will hold."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from processor.replay.outputs.forms import Form
from schemas.events import BusinessEvent

BLOCK_EVENTS: Final = 4096


class _State(msgspec.Struct):
    """What a lane's blocks are at: bytes of whole blocks, and the events of the next one."""

    size: int = 0
    pending: list[bytes] = []


class BlockOutput:
    """A lane's part of an event file.

    Args:
        form: The file's form.
        part: Where the lane's blocks are kept.
        stored: The last checkpoint, or None at the start.
    """

    def __init__(self, form: Form[BusinessEvent], part: Path, stored: bytes | None) -> None:
        self._form = form
        state = _State() if stored is None else msgspec.msgpack.decode(stored, type=_State)
        self._pending = state.pending
        self._file = part.open("r+b" if part.exists() else "w+b")
        # What was written after the checkpoint comes again.
        self._file.truncate(state.size)
        self._file.seek(state.size)

    def write(self, events: list[BusinessEvent]) -> None:
        """Take events; write the blocks that are full."""
        encode = self._form.encode
        pending = self._pending
        pending += [encode(event) for event in events]
        if len(pending) >= BLOCK_EVENTS:
            for block in _cut(pending):
                self._file.write(self._form.block(block))
            del pending[: len(pending) // BLOCK_EVENTS * BLOCK_EVENTS]

    def checkpoint(self) -> bytes:
        """The size so far and the events that fill no block yet."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return msgspec.msgpack.encode(_State(self._file.tell(), self._pending))

    def close(self) -> None:
        """Write the last block."""
        if self._pending:
            self._file.write(self._form.block(self._pending))
            self._pending = []
        self._file.close()


def _cut(pending: list[bytes]) -> Iterator[list[bytes]]:
    for start in range(0, len(pending) - BLOCK_EVENTS + 1, BLOCK_EVENTS):
        yield pending[start : start + BLOCK_EVENTS]
