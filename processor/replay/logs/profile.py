"""A log's form as its owner describes it: a small TOML file (docs/replay.md)."""

import csv
import io
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import tzinfo
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import msgspec

from processor.replay.errors import Rejected, UsageError
from processor.replay.logs.correlation import Correlation
from processor.replay.logs.entries import Entry, LogReader, Source
from processor.replay.logs.text_lines import (
    Shape,
    TextReader,
    charge_point_of,
    frame_of_message,
    message_entry,
)
from processor.replay.logs.times import ISO, Clock, zone_named
from schemas.frames import INBOUND, OUTBOUND, Direction, OcppFrame

_GROUPS: Final = frozenset({"time", "charge_point", "direction", "message"})
_FIELD_LIMIT: Final = 1 << 27


class Columns(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which column holds what: a name of the header line, or a number from 1."""

    message: str | int
    time: str | int | None = None
    charge_point: str | int | None = None
    direction: str | int | None = None


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file. Either `pattern` or `columns` is given.

    Attributes:
        pattern: Regular expression of a line (see `Shape`).
        columns: For CSV.
        delimiter: For CSV.
        header: Whether the first row of the CSV names the columns.
        ignore: Regular expression of lines that hold no frame; all others that do not match
            `pattern` are rejected.
        inbound: What the direction says for messages from the charge point.
        outbound: What it says for messages to the charge point.
        time: `iso`, `unix`, `unix-ms`, `unix-us`, `unix-ns` or a strptime format.
        zone: Of times that name none.
        protocol: The subprotocol of all messages.
        charge_point: Identity for all lines.
        charge_point_in_path: Regular expression of the file's path with the group `charge_point`.
    """

    pattern: str | None = None
    columns: Columns | None = None
    delimiter: str = ","
    header: bool = True
    ignore: str | None = None
    inbound: tuple[str, ...] = ()
    outbound: tuple[str, ...] = ()
    time: str = ISO
    zone: str | None = None
    protocol: Literal["ocpp1.6", "ocpp2.0.1", "ocpp2.1"] = "ocpp1.6"
    charge_point: str | None = None
    charge_point_in_path: str | None = None

    @property
    def directions(self) -> Mapping[str, Direction]:
        """What the direction says, to what it means."""
        return {
            **dict.fromkeys(self.inbound, INBOUND),
            **dict.fromkeys(self.outbound, OUTBOUND),
        }


def load_profile(path: Path) -> Profile:
    """The profile in a TOML file.

    Raises:
        UsageError: It can't be read or is none; the message names the file and the setting.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        profile = msgspec.convert(document, Profile)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.MsgspecError) as error:
        raise UsageError(f"the log profile {path} can't be used: {error}") from error
    try:
        _check(profile)
    except (ValueError, re.error) as error:
        raise UsageError(f"the log profile {path} can't be used: {error}") from error
    return profile


def reader_of(profile: Profile, zone: tzinfo | None) -> LogReader:
    """The reader; the profile's own zone counts before the one given."""
    zone = zone if profile.zone is None else zone_named(profile.zone)
    if profile.columns is not None:
        return CsvReader(profile, profile.columns, zone)
    shape = Shape(
        pattern=profile.pattern or "",
        suspect=None if profile.ignore is None else f"^(?!{profile.ignore})",
        directions=profile.directions,
        time_form=profile.time,
        protocol=profile.protocol,
        charge_point=profile.charge_point,
        charge_point_in_path=profile.charge_point_in_path,
    )
    return TextReader(shape, zone)


class CsvReader:
    """Reads rows of CSV (RFC 4180); a quoted field may hold line ends."""

    def __init__(self, profile: Profile, columns: Columns, zone: tzinfo | None) -> None:
        self._profile = profile
        self._columns = columns
        self._zone = zone
        self._directions = profile.directions

    def entries(self, stream: BinaryIO, log: Source) -> Iterator[Entry]:
        """One entry a row, under the number of its first line."""
        csv.field_size_limit(_FIELD_LIMIT)
        profile = self._profile
        clock = Clock(profile.time, self._zone)
        fixed = charge_point_of(profile.charge_point, profile.charge_point_in_path, log.path)
        # Bytes that are not UTF-8 go through as they are, so that the message's are kept.
        text = io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline="")
        rows = csv.reader(text, delimiter=profile.delimiter)
        places = self._places(next(rows, []) if profile.header else [], log.path)
        number = rows.line_num + 1
        while True:
            try:
                row = next(rows)
            except StopIteration:
                break
            except csv.Error as error:
                broken = Rejected("line not understood", str(error))
                yield Entry(log.number, number, None, None, broken)
            else:
                if row:
                    yield self._entry((log.number, number), row, places, clock, fixed)
            number = rows.line_num + 1
        text.detach()

    def frame(self, entry: Entry, correlation: Correlation) -> OcppFrame:
        """The message as a frame.

        Raises:
            Rejected: It is none.
        """
        return frame_of_message(entry, correlation)

    def _entry(
        self,
        place: tuple[int, int],
        row: list[str],
        places: Mapping[str, int],
        clock: Clock,
        fixed: bytes | None,
    ) -> Entry:
        def cell(name: str) -> bytes | None:
            column = places.get(name)
            if column is None:
                return None
            if column >= len(row):
                raise Rejected("line not understood", f"the row has {len(row)} columns")
            return row[column].encode("utf-8", "surrogateescape")

        try:
            return message_entry(
                place,
                clock,
                self._profile.protocol,
                time=cell("time"),
                charge_point=cell("charge_point") or fixed,
                direction=self._direction(cell("direction")),
                message=cell("message") or b"",
            )
        except Rejected as rejected:
            rejected.line = self._profile.delimiter.join(row).encode("utf-8", "surrogateescape")
            return Entry(*place, None, None, rejected)

    def _direction(self, cell: bytes | None) -> Direction | None:
        if not cell:
            return None
        text = cell.decode("utf-8", "replace")
        if text not in self._directions:
            raise Rejected("direction unknown", repr(text))
        return self._directions[text]

    def _places(self, header: list[str], path: str) -> dict[str, int]:
        places = {}
        for name, column in msgspec.structs.asdict(self._columns).items():
            if isinstance(column, int):
                places[name] = column - 1
            elif column is not None:
                if column not in header:
                    raise UsageError(
                        f"{path} has no column {column!r} (for {name}); its first line names "
                        f"{', '.join(header) or 'nothing'}"
                    )
                places[name] = header.index(column)
        return places


def _check(profile: Profile) -> None:
    if (profile.pattern is None) == (profile.columns is None):
        raise ValueError("give either pattern or [columns]")
    if profile.columns is not None:
        names = _column_names(profile.columns, profile.delimiter)
    else:
        names = _group_names(profile.pattern or "", profile.ignore)
    if "time" not in names:
        raise ValueError("nothing tells the time")
    if "charge_point" not in names and not (profile.charge_point or profile.charge_point_in_path):
        raise ValueError(
            "nothing names the charge point; if the log is one charge point's, set charge_point "
            "or charge_point_in_path"
        )
    if "direction" in names and not (profile.inbound and profile.outbound):
        raise ValueError("inbound and outbound must say what the direction means")
    in_path = profile.charge_point_in_path
    if in_path is not None and "charge_point" not in re.compile(in_path).groupindex:
        raise ValueError("charge_point_in_path has no group (?P<charge_point>…)")


def _group_names(pattern: str, ignore: str | None) -> set[str]:
    names = set(re.compile(pattern).groupindex)
    unknown = sorted(names - _GROUPS)
    if unknown:
        raise ValueError(
            f"pattern has the group {unknown[0]!r}; there are {', '.join(sorted(_GROUPS))}"
        )
    if "message" not in names:
        raise ValueError("pattern has no group (?P<message>…)")
    re.compile(ignore or "")
    return names


def _column_names(columns: Columns, delimiter: str) -> set[str]:
    given: dict[str, Any] = msgspec.structs.asdict(columns)
    if any(column in {0, ""} for column in given.values()):
        raise ValueError("columns are counted from 1")
    if len(delimiter) != 1:
        raise ValueError("delimiter is one character")
    return {name for name, column in given.items() if column is not None}
