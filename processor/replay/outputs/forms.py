"""Forms of files, of events and of exported frames: a header and blocks that stand for themselves.

So each lane's blocks are made by the lane's process, and a file is one lane's blocks after the
other's: whoever made them, in how many goes. A block ends after a number of events, not after a
time, so that the bytes depend on the events alone.
"""

import gzip
import hashlib
import shutil
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

import msgspec
import orjson
import zstandard

from processor.replay.errors import UsageError
from schemas.codec import Codec, event_codec
from schemas.event_json import to_json
from schemas.events import BusinessEvent

_SINGLE_OBJECT_PREFIX: Final = 10


T = TypeVar("T", bound=msgspec.Struct)
T_contra = TypeVar("T_contra", contravariant=True)


class Form(Protocol[T_contra]):
    """One form of file.

    Attributes:
        header: What stands before the first block.
    """

    header: bytes

    def encode(self, record: T_contra) -> bytes:
        """The record as a block takes it."""

    def block(self, records: Sequence[bytes]) -> bytes:
        """Encoded records as a block."""

    def assemble(self, parts: Sequence[Path], out: Path) -> None:
        """One file of the parts, which hold blocks and nothing else."""


class JsonLines(Generic[T]):
    """One record a line; compressed or not.

    Args:
        line: A record's line, without its end.
        compress: A block's lines → bytes that may follow one another.
    """

    header = b""

    def __init__(
        self, line: Callable[[T], bytes], compress: Callable[[bytes], bytes] | None = None
    ) -> None:
        self._line = line
        self._compress = compress

    def encode(self, record: T) -> bytes:
        """A line."""
        return self._line(record) + b"\n"

    def block(self, records: Sequence[bytes]) -> bytes:
        """Lines; a gzip member or zstd frame of its own where compressed."""
        lines = b"".join(records)
        return lines if self._compress is None else self._compress(lines)

    def assemble(self, parts: Sequence[Path], out: Path) -> None:
        """Part after part: members and frames may follow one another (RFC 1952, RFC 8878)."""
        append(self.header, parts, out)


class AvroContainer(Generic[T]):
    """An Avro container file: the records' bytes are those on the topic.

    Args:
        codec: The topic's, without a registry.
    """

    def __init__(self, codec: Codec[T]) -> None:
        self._codec = codec
        self.header = container_header(codec.schema_text)

    def encode(self, record: T) -> bytes:
        """The record without the prefix of single-object encoding."""
        return self._codec.encode(record)[_SINGLE_OBJECT_PREFIX:]

    def block(self, records: Sequence[bytes]) -> bytes:
        """Avro 1.11 specification, "Object Container Files", a file data block."""
        return container_block(self._codec.schema_text, records)

    def assemble(self, parts: Sequence[Path], out: Path) -> None:
        """The header, and part after part."""
        append(self.header, parts, out)


def container_header(schema_text: str) -> bytes:
    """The header of an Avro container file with deflated blocks.

    By hand: fastavro 1.13.1 writes some attributes of the schema in an order that changes from
    process to process.
    """
    schema = orjson.dumps(orjson.loads(schema_text))
    metadata = _bytes(b"avro.codec") + _bytes(b"deflate") + _bytes(b"avro.schema") + _bytes(schema)
    return b"Obj\x01" + _long(2) + metadata + _long(0) + _sync(schema_text)


def container_block(schema_text: str, records: Sequence[bytes]) -> bytes:
    """A data block of encoded records."""
    # Raw deflate without checksum, as the specification wants it.
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    data = compressor.compress(b"".join(records)) + compressor.flush()
    return _long(len(records)) + _long(len(data)) + data + _sync(schema_text)


def _sync(schema_text: str) -> bytes:
    # The marker may be any 16 bytes. Not random, so that equal runs write equal files.
    return hashlib.blake2b(schema_text.encode(), digest_size=16).digest()


def _long(number: int) -> bytes:
    """Avro's variable-length zig-zag long, for numbers from 0."""
    number <<= 1
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _bytes(data: bytes) -> bytes:
    return _long(len(data)) + data


def append(header: bytes, parts: Sequence[Path], out: Path) -> None:
    """The header, and part after part, as one file."""
    with out.open("wb") as file:
        file.write(header)
        for part in parts:
            with part.open("rb") as source:
                shutil.copyfileobj(source, file, 1 << 20)


def gzip_member(data: bytes) -> bytes:
    """A gzip member that holds no time."""
    return gzip.compress(data, compresslevel=6, mtime=0)


def zstd_frame(data: bytes) -> bytes:
    """A zstd frame."""
    return zstandard.ZstdCompressor(level=3).compress(data)


def _parquet() -> Form[BusinessEvent]:
    try:
        from processor.replay.outputs.parquet import Parquet  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UsageError(
            f"Parquet needs pyarrow ({error}); install it with: pip install 'chargelog[arrow]'"
        ) from error
    return Parquet()


EVENT_FORMS: Final[dict[str, Callable[[], Form[BusinessEvent]]]] = {
    ".jsonl": lambda: JsonLines(to_json),
    ".jsonl.gz": lambda: JsonLines(to_json, gzip_member),
    ".jsonl.zst": lambda: JsonLines(to_json, zstd_frame),
    ".avro": lambda: AvroContainer(event_codec()),
    ".parquet": _parquet,
}


def suffix_of(path: str, forms: Iterable[str]) -> str:
    """The suffix that says the form.

    Raises:
        UsageError: The path ends in none of them.
    """
    for suffix in forms:
        if path.endswith(suffix):
            return suffix
    raise UsageError(f"{path!r} says no form that is known; end it in {', '.join(forms)}")
