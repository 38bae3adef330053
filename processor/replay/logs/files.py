"""Log files as they lie on disks: plain or compressed, one or many."""

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final, cast

import zstandard

_BUFFER: Final = 1 << 20


def _zstd(file: BinaryIO) -> BinaryIO:
    reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
    return io.BufferedReader(cast("io.RawIOBase", reader), _BUFFER)


def _gzip(file: BinaryIO) -> BinaryIO:
    return io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=file)), _BUFFER)


def _bz2(file: BinaryIO) -> BinaryIO:
    return cast("BinaryIO", bz2.BZ2File(file))


def _xz(file: BinaryIO) -> BinaryIO:
    return cast("BinaryIO", lzma.LZMAFile(file))


# What the file is, not what it is called: logs are renamed when they are rotated.
_OPENERS: Final[dict[bytes, Callable[[BinaryIO], BinaryIO]]] = {
    b"\x1f\x8b": _gzip,
    b"\x28\xb5\x2f\xfd": _zstd,
    b"BZh": _bz2,
    b"\xfd7zXZ\x00": _xz,
}
BROKEN: Final = (OSError, EOFError, zstandard.ZstdError, lzma.LZMAError)
"""What reading a broken compressed file raises."""


class LogFile:
    """One open file.

    Attributes:
        stream: Its content, decompressed.
    """

    def __init__(self, path: str | Path) -> None:
        self._file = io.BufferedReader(io.FileIO(path), _BUFFER)
        start = self._file.peek(8)[:8]
        opener = next((o for magic, o in _OPENERS.items() if start.startswith(magic)), None)
        self.stream: BinaryIO = self._file if opener is None else opener(self._file)

    @property
    def position(self) -> int:
        """Bytes read of the file as it lies on the disk."""
        return 0 if self._file.closed else self._file.tell()

    def close(self) -> None:
        """Close it."""
        self.stream.close()
        self._file.close()
