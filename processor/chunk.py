"""A chunk of one partition's records, reduced as a whole: pure, and the unit of what is written.

The rows that the chunk touches are staged beside the stored ones, so that a chunk whose events
could not be written leaves no trace.
"""

import hashlib
import traceback
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from processor.reducer import IndigestibleFrameError, reduce
from processor.sequence import SourceRecord
from processor.state import Row, RowError
from processor.tariff import Tariffs
from schemas.codec import Codec
from schemas.errors import CodecError, RegistryError
from schemas.events import BusinessEvent
from schemas.frames import OcppFrame
from schemas.records import DeadLetter

_MAX_REASON: Final = 2_000
"""A reason names what the frame holds, which may be as large as a record of Kafka's."""


class ChunkResult(msgspec.Struct, frozen=True):
    """What a chunk comes to.

    Attributes:
        events: In the order of the frames that caused them.
        dead_letters: Frames that could not be digested; none of their rows changed.
        rows: Every touched row's last value.
    """

    events: list[BusinessEvent]
    dead_letters: list[DeadLetter]
    rows: dict[str, Row]


class StagedRows:
    """`Rows` over stored ones; what is set stays here."""

    def __init__(self, stored: Callable[[str], Row | None]) -> None:
        self._stored = stored
        self.staged: dict[str, Row] = {}

    def get(self, key: str) -> Row | None:
        """The staged row, else the stored one."""
        row = self.staged.get(key)
        return self._stored(key) if row is None else row

    def set(self, key: str, row: Row) -> None:
        """Stage a row."""
        self.staged[key] = row


def reduce_chunk(
    records: Iterable[SourceRecord],
    stored: Callable[[str], Row | None],
    tariffs: Tariffs,
    codec: Codec[OcppFrame],
) -> ChunkResult:
    """Reduce the records in order.

    Args:
        records: Of one partition, in offset order.
        stored: The table before this chunk.
        tariffs: Prices.
        codec: The frames topic's codec.

    Raises:
        RowError: A stored row can't be read. Going on without it would invent or lose sessions.
        RegistryError: The schema registry does not answer, so nothing is known about the record.
    """
    rows = StagedRows(stored)
    events: list[BusinessEvent] = []
    dead_letters: list[DeadLetter] = []
    for record in records:
        try:
            events += reduce(codec.decode(_value(record)), rows, tariffs)
        except (RowError, RegistryError):
            raise
        except (CodecError, IndigestibleFrameError) as error:
            dead_letters.append(_dead_letter(record, str(error), error))
        # A defect of ours must not stop the charge points behind it: the frame is kept, named, and
        # can be reduced again once the defect is mended.
        except Exception as error:  # noqa: BLE001
            dead_letters.append(_dead_letter(record, repr(error), error))
    return ChunkResult(events, dead_letters, rows.staged)


def _value(record: SourceRecord) -> bytes:
    value = record.value
    if value is None:
        raise CodecError("a record without a value is no frame")
    return value


def _dead_letter(record: SourceRecord, reason: str, error: Exception) -> DeadLetter:
    frames = traceback.extract_tb(error.__traceback__)
    place = "\n".join([type(error).__name__, *(f"{f.name}:{f.line}" for f in frames)])
    return DeadLetter(
        stage="processor",
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        client_id=_text(record.key),
        reason=reason[:_MAX_REASON],
        traceback_hash=hashlib.sha256(place.encode()).hexdigest()[:16],
    )


def _text(key: bytes | None) -> str | None:
    try:
        return None if key is None else key.decode()
    except UnicodeDecodeError:
        return None
