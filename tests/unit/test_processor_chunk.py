import pytest
from frames16 import frame

from processor.chunk import ChunkResult, reduce_chunk
from processor.sequence import SourceRecord
from processor.state import ChargePointRow, Row, RowError, decode_row, row_key
from processor.tariff import Tariffs
from schemas.codec import frame_codec

CODEC = frame_codec()
STATUS = '[2,"m1","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"%s"}]'


def status(offset: int, text: str) -> SourceRecord:
    value = CODEC.encode(frame(STATUS % text, action="StatusNotification", at=offset + 1))
    return SourceRecord("ocpp.frames", 3, offset, 0, 0, b"charge-point-001", value)


def reduced(*records: SourceRecord, stored: dict[str, Row] | None = None) -> ChunkResult:
    return reduce_chunk(records, (stored or {}).get, Tariffs(), CODEC)


def test_rows_of_earlier_records_are_seen_by_later_ones_and_the_store_is_untouched() -> None:
    stored: dict[str, Row] = {}
    result = reduced(status(0, "Available"), status(1, "Charging"), stored=stored)
    assert [event.event_id for event in result.events] == ["status_changed_1", "status_changed_2"]
    assert row_key("charge-point-001", 1) in result.rows
    assert stored == {}


def test_a_chunk_split_in_two_comes_to_the_same() -> None:
    records = [status(0, "Available"), status(1, "Preparing"), status(2, "Charging")]
    whole = reduced(*records)
    first = reduced(records[0])
    second = reduced(*records[1:], stored=first.rows)
    assert whole.events == first.events + second.events
    assert whole.rows == {**first.rows, **second.rows}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"no avro", "starts with"),
        (
            CODEC.encode(
                frame('[2,"m1","StatusNotification",{"status":1}]', action="StatusNotification")
            ),
            "connectorId",
        ),
    ],
)
def test_a_record_that_cant_be_digested_is_a_dead_letter_and_the_next_one_is_reduced(
    value: bytes, reason: str
) -> None:
    bad = SourceRecord("ocpp.frames", 3, 7, 0, 0, b"charge-point-001", value)
    result = reduced(bad, status(8, "Available"))
    (letter,) = result.dead_letters
    assert (letter.stage, letter.topic, letter.partition, letter.offset, letter.client_id) == (
        "processor",
        "ocpp.frames",
        3,
        7,
        "charge-point-001",
    )
    assert reason in letter.reason
    assert len(letter.traceback_hash or "") == 16
    assert [event.event_type for event in result.events] == ["status_changed"]


def test_the_same_failure_has_the_same_traceback_hash() -> None:
    bad = [SourceRecord("ocpp.frames", 0, n, 0, 0, None, b"no avro") for n in range(2)]
    first, second = reduced(*bad).dead_letters
    assert first.traceback_hash == second.traceback_hash
    assert first.client_id is None


def test_a_stored_row_that_cant_be_read_stops_the_chunk() -> None:
    def stored(key: str) -> Row | None:
        return decode_row(b"{broken", key)

    with pytest.raises(RowError, match="charge-point-001"):
        reduce_chunk([status(0, "Available")], stored, Tariffs(), CODEC)


def test_the_charge_points_row_keeps_the_last_event_number() -> None:
    result = reduced(status(41, "Available"))
    row = result.rows[row_key("charge-point-001", 0)]
    assert isinstance(row, ChargePointRow)
    assert row.last_event_ns == 42
