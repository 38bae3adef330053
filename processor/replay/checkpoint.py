"""A lane's checkpoint: where it stands, and everything it needs to go on from there.

One SQLite file a lane, changed in one transaction: after a SIGKILL there is the last checkpoint,
whole. Only rows that changed since are written, so that it does not grow slower with the fleet.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from processor.replay.errors import ReplayError

_WAIT_S: Final = 30.0
"""How long to wait for a process of a killed run that has not noticed yet."""


class Checkpoint:
    """The file.

    Args:
        path: Made if it is not there.

    Raises:
        ReplayError: Another process has it, or it can't be read or made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._db = sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None)
            # Held for as long as the process lives: two runs must not write one lane.
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("BEGIN EXCLUSIVE")
            self._db.execute("CREATE TABLE IF NOT EXISTS parts (name TEXT PRIMARY KEY, value BLOB)")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID"
            )
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise ReplayError(f"{path} is in use; another replay is at work on it") from error
            raise ReplayError(f"the checkpoint {path} can't be used: {error}") from error

    def part(self, name: str) -> bytes | None:
        """What was stored under the name; None before the first checkpoint."""
        found = self._db.execute("SELECT value FROM parts WHERE name = ?", (name,)).fetchone()
        return None if found is None else bytes(found[0])

    def rows(self) -> Iterator[tuple[str, bytes]]:
        """The reducer's rows."""
        yield from self._db.execute("SELECT key, value FROM state")

    def store(self, parts: dict[str, bytes], rows: Iterable[tuple[str, bytes]]) -> None:
        """Everything, or nothing.

        Raises:
            ReplayError: It can't be written, e.g. because the disk is full.
        """
        try:
            self._db.execute("BEGIN EXCLUSIVE")
            self._db.executemany("REPLACE INTO parts VALUES (?, ?)", parts.items())
            self._db.executemany("REPLACE INTO state VALUES (?, ?)", rows)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise ReplayError(f"the checkpoint {self._path} can't be written: {error}") from error

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
