"""Log files as they lie on disks: plain or compressed, one or many."""

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import zstandard

_BUFFER: Final = 1 << 20
_READ: Final = 1 << 17


class _Zstd(io.RawIOBase):
    """Zstd frames one after the other.

    Not `ZstdDecompressor.stream_reader`, which takes a file that breaks off for one that ends
    (zstandard 0.25.0; tests/unit/test_replay_logs.py says when it no longer does).
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._within = False
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - anything that takes bytes
        while not self._left:
            rest = self._frame.unused_data if self._frame.eof else b""
            data = rest or self._file.read(_READ)
            if not data:
                if self._within:
                    raise EOFError("the file ends in the middle of a zstd frame")
                return 0
            if self._frame.eof:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            self._left = self._frame.decompress(data)
            self._within = not self._frame.eof
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


def _zstd(file: BinaryIO) -> BinaryIO:
    return io.BufferedReader(_Zstd(file), _BUFFER)


class _Gzip(gzip.GzipFile):
    """Gives what it has read, where `GzipFile.readinto` first fills the whole buffer.

    Of a file that breaks off, the lines of up to a buffer's size would be lost with it.
    """

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - anything that takes bytes
        data = self.read1(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _gzip(file: BinaryIO) -> BinaryIO:
    return io.BufferedReader(cast("io.RawIOBase", _Gzip(fileobj=file)), _BUFFER)


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
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
"""What some editors put before UTF-8 text; no part of it."""
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
        if start.startswith(_BYTE_ORDER_MARK):
            self._file.read(len(_BYTE_ORDER_MARK))
        self.stream: BinaryIO = self._file if opener is None else opener(self._file)

    @property
    def position(self) -> int:
        """Bytes read of the file as it lies on the disk."""
        return 0 if self._file.closed else self._file.tell()

    def close(self) -> None:
        """Close it."""
        self.stream.close()
        self._file.close()
