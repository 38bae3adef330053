"""Which kind of log a file is."""

from collections.abc import Callable
from datetime import tzinfo
from itertools import islice
from pathlib import Path
from typing import Final

from processor.replay.errors import ReplayError, UsageError
from processor.replay.logs.entries import LogReader
from processor.replay.logs.export_lines import AvroReader, JsonLinesReader
from processor.replay.logs.files import BROKEN, LogFile
from processor.replay.logs.profile import load_profile, reader_of
from processor.replay.logs.text_lines import OCPP_LIBRARY, STEVE, TextReader

AUTO: Final = "auto"
_READERS: Final[dict[str, Callable[[tzinfo | None], LogReader]]] = {
    "jsonl": lambda _: JsonLinesReader(),
    "avro": lambda _: AvroReader(),
    "steve": lambda zone: TextReader(STEVE, zone),
    "ocpp": lambda zone: TextReader(OCPP_LIBRARY, zone),
}
FORMATS: Final = (AUTO, *_READERS)
_LOOK_BYTES: Final = 1 << 20
_LOOK_LINES: Final = 1000


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
    try:
        file = LogFile(path)
        try:
            start = file.stream.read(_LOOK_BYTES)
        finally:
            file.close()
    except BROKEN as error:
        raise ReplayError(f"{path} can't be read: {error}") from error
    if start.startswith(b"Obj\x01"):
        return "avro"
    lines = start.splitlines()[:_LOOK_LINES]
    if not lines or lines[0].startswith(b"{"):
        return "jsonl"
    for name, shape in (("steve", STEVE), ("ocpp", OCPP_LIBRARY)):
        reader = TextReader(shape, None)
        if any(reader.matches(line) for line in islice(lines, _LOOK_LINES)):
            return name
    raise UsageError(
        f"{path} is no log whose form is known; say --format {'|'.join(_READERS)}, or describe it "
        "in a profile and say --format <profile.toml>"
    )
