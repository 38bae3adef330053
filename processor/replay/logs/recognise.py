"""Which kind of log a file is."""

from collections.abc import Callable, Iterable
from datetime import tzinfo
from pathlib import Path
from typing import Final

from processor.replay.errors import ReplayError, UsageError
from processor.replay.logs.entries import LogReader
from processor.replay.logs.export_lines import AvroReader, JsonLinesReader
from processor.replay.logs.files import BROKEN, LogFile
from processor.replay.logs.merge import Log
from processor.replay.logs.profile import load_profile, reader_of
from processor.replay.logs.text_lines import OCPP_LIBRARY, STEVE, TextReader
from processor.replay.logs.times import zone_named

AUTO: Final = "auto"
_READERS: Final[dict[str, Callable[[tzinfo | None], LogReader]]] = {
    "jsonl": lambda _: JsonLinesReader(),
    "avro": lambda _: AvroReader(),
    "steve": lambda zone: TextReader(STEVE, zone),
    "ocpp": lambda zone: TextReader(OCPP_LIBRARY, zone),
}
FORMATS: Final = (AUTO, *_READERS)
_UTF_16: Final = "UTF-16; convert it first: iconv -f UTF-16 -t UTF-8"
_REMEDIES: Final = {
    b"\xff\xfe": _UTF_16,
    b"\xfe\xff": _UTF_16,
    b"PK\x03\x04": "a ZIP archive; unpack it first",
}
"""What a file begins with that holds a log, but not as it must be."""
_LOOK_BYTES: Final = 1 << 20
_LOOK_LINES: Final = 1000


def logs_of(paths: Iterable[str], form: str, zone: str | None) -> list[Log]:
    """The files, each with its reader.

    Args:
        paths: The files.
        form: As `reader_for` takes it.
        zone: The name of the zone of times that name none, or None.

    Raises:
        UsageError: There is no such format or zone, or a file is of no format that is known.
        ReplayError: A file can't be read.
    """
    named = None if zone is None else zone_named(zone)
    return [Log(path, reader_for(path, form, named)) for path in paths]


def reader_for(path: str, form: str, zone: tzinfo | None) -> LogReader:
    """The reader of a file.

    Args:
        path: The file.
        form: A name out of `FORMATS`, or the path of a TOML profile.
        zone: Of times that name none.

    Raises:
        UsageError: There is no such format, or the file is of none that is known.
        ReplayError: The file can't be read.
    """
    if form in _READERS:
        return _READERS[form](zone)
    if form == AUTO:
        return _READERS[_recognised(path)](zone)
    if form.endswith(".toml"):
        return reader_of(load_profile(Path(form)), zone)
    raise UsageError(
        f"there is no log format {form!r}; write {', '.join(FORMATS)} or the path of a .toml "
        "profile"
    )


def _recognised(path: str) -> str:
    lines = _first_lines(path)
    if not lines or lines[0].startswith(b"{"):
        return "jsonl"
    if lines[0].startswith(b"Obj\x01"):
        return "avro"
    for start, remedy in _REMEDIES.items():
        if lines[0].startswith(start):
            raise UsageError(f"{path} is {remedy}")
    for name, shape in (("steve", STEVE), ("ocpp", OCPP_LIBRARY)):
        reader = TextReader(shape, None)
        if any(reader.matches(line) for line in lines):
            return name
    raise UsageError(
        f"{path} is no log whose form is known; say --format {'|'.join(_READERS)}, or describe it "
        "in a profile and say --format <profile.toml>"
    )


def _first_lines(path: str) -> list[bytes]:
    """What the file begins with, as far as it can be read."""
    lines: list[bytes] = []
    left = _LOOK_BYTES
    try:
        file = LogFile(path)
        try:
            while len(lines) < _LOOK_LINES and (line := file.stream.readline(left)):
                left -= len(line)
                lines.append(line.rstrip(b"\r\n"))
        finally:
            file.close()
    except BROKEN as error:
        if not lines:
            raise ReplayError(f"{path} can't be read: {error}") from error
    return lines
