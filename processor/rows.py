"""The rows of one partition, in memory.

A restored row stays as the bytes it was read as until a frame touches it: most charge points of a
large installation are silent for longer than a worker takes to read the changelog, and their rows
need not be decoded before the first frame can be processed.
"""

from collections.abc import Iterator, Mapping

from processor.state import Row, decode_row, encode_row


class PartitionRows:
    """Rows by table key, decoded when first asked for."""

    def __init__(self) -> None:
        self._rows: dict[str, Row | bytes] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def get(self, key: str) -> Row | None:
        """The row, or None if there is none yet.

        Raises:
            RowError: It was restored from bytes that are no row.
        """
        row = self._rows.get(key)
        if isinstance(row, bytes):
            row = self._rows[key] = decode_row(row, key)
        return row

    def encoded(self, key: str) -> bytes | None:
        """The row as the changelog holds it; leaves the rows alone, so any thread may ask."""
        row = self._rows.get(key)
        return row if row is None or isinstance(row, bytes) else encode_row(row)

    def restore(self, key: str, value: bytes | None) -> None:
        """Take a record of the changelog; one without value deletes the row."""
        if value is None:
            self._rows.pop(key, None)
        else:
            self._rows[key] = value

    def update(self, rows: Mapping[str, Row]) -> None:
        """Put rows in place of the old ones."""
        self._rows.update(rows)
