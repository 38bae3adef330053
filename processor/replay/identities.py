"""Which frames a topic holds already, so that none is imported twice.

A frame is known by what the wire knew of it: charge point, receive time to the microsecond,
direction, text. Not by its nanoseconds, which tell frames of one moment apart and depend on how
many a log has of it; nor by its file, which may be cut and named differently next time.
"""

import hashlib
import sqlite3
from pathlib import Path
from typing import Final

from schemas.frames import OcppFrame

_BATCH: Final = 10_000


def identity(frame: OcppFrame) -> bytes:
    """16 bytes, equal for the same frame."""
    known = f"{frame.received_at_ns // 1000}|{frame.direction}|{frame.client_id}\0"
    return hashlib.blake2b(known.encode() + frame.raw, digest_size=16).digest()


class Identities:
    """A bag of identities on the disk: millions of frames do not fill the memory.

    Args:
        path: A new file; it is not kept.
    """

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute("CREATE TABLE bag (id BLOB PRIMARY KEY, times INTEGER) WITHOUT ROWID")
        self._db.execute("BEGIN")
        self._new: list[tuple[bytes]] = []

    def add(self, frame: OcppFrame) -> None:
        """The topic holds the frame (once more)."""
        self._new.append((identity(frame),))
        if len(self._new) >= _BATCH:
            self._flush()

    def take(self, frame: OcppFrame) -> bool:
        """Whether the topic holds the frame; if so, once less from now on."""
        self._flush()
        changed = self._db.execute(
            "UPDATE bag SET times = times - 1 WHERE id = ? AND times > 0", (identity(frame),)
        )
        return changed.rowcount == 1

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _flush(self) -> None:
        if self._new:
            self._db.executemany(
                "INSERT INTO bag VALUES (?, 1) ON CONFLICT (id) DO UPDATE SET times = times + 1",
                self._new,
            )
            self._new.clear()
