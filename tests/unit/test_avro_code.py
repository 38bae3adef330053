"""The generated writers and readers against fastavro: the same bytes, records and refusals."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from avro_records import DEAD_LETTERS, EVENTS, EXAMPLES, FRAMES, TRANSACTION_ID_REQUESTS
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.avro_reader import struct_reader
from schemas.avro_source import UnusualError
from schemas.avro_writer import struct_writer
from schemas.codec import Codec, dead_letter_codec, event_codec, frame_codec, transaction_id_codec
from schemas.errors import CodecError
from schemas.events import BusinessEvent

HEADER = 10
CASES: list[tuple[Codec[Any], st.SearchStrategy[Any]]] = [
    (frame_codec(), FRAMES),
    (event_codec(), EVENTS),
    (dead_letter_codec(), DEAD_LETTERS),
    (transaction_id_codec(), TRANSACTION_ID_REQUESTS),
]
RECORDS = st.one_of(
    *(st.tuples(st.just(codec), records) for codec, records in CASES),
)
# What a field might hold by mistake, or of a kind that the short way leaves to fastavro.
ODD = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.text()
    | st.binary()
    | st.lists(st.text(), max_size=2)
    | st.dictionaries(st.text(), st.text(), max_size=2)
    | st.sampled_from(["\ud800", "x" * 9000, 2**63, -(2**63), 2**31, -(2**31) - 1])
)


def outcome(work: Callable[[Any], object], given_: object) -> object:
    try:
        # As text, so that NaN equals itself and -0.0 is not 0.0.
        return repr(work(given_))
    except CodecError as error:
        return type(error), str(error)


@given(RECORDS)
def test_the_short_way_is_taken_and_gives_fastavros_bytes_and_records(
    case: tuple[Codec[Any], Any],
) -> None:
    codec, record = case
    value = codec.encode_with_fastavro(record)
    assert codec._write(record) == value[HEADER:]  # noqa: SLF001 - the short way itself
    assert codec._read(value, HEADER) == (record, len(value))  # noqa: SLF001 - as above
    assert codec.encode(record) == value
    assert codec.decode(value) == record == codec.decode_with_fastavro(value)


@given(RECORDS, st.data())
@settings(max_examples=300)
def test_a_field_that_holds_anything_has_the_outcome_it_has_with_fastavro(
    case: tuple[Codec[Any], Any], data: st.DataObject
) -> None:
    codec, record = case
    holder = record
    inner = getattr(record, "payload", None)
    if inner is not None and data.draw(st.booleans()):
        holder = inner
    name = data.draw(st.sampled_from(holder.__struct_fields__))
    changed = msgspec.structs.replace(holder, **{name: data.draw(ODD)})
    if holder is inner:
        changed = msgspec.structs.replace(record, payload=changed)
    assert outcome(codec.encode, changed) == outcome(codec.encode_with_fastavro, changed)


@given(RECORDS, st.data())
@settings(max_examples=500)
def test_damaged_bytes_have_the_outcome_they_have_with_fastavro(
    case: tuple[Codec[Any], Any], data: st.DataObject
) -> None:
    codec, record = case
    value = bytearray(codec.encode(record))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(HEADER, len(value)))
        cut = data.draw(st.integers(0, 2))
        value[place : place + cut] = data.draw(st.binary(max_size=3))
    damaged = bytes(value)
    assert outcome(codec.decode, damaged) == outcome(codec.decode_with_fastavro, damaged)


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name.startswith("business_event")])
def test_a_payload_that_its_event_type_does_not_name_is_left_to_fastavro(name: str) -> None:
    codec = event_codec()
    event = EXAMPLES[name]
    assert isinstance(event, BusinessEvent)
    for event_type in ("started", "completed", "status_changed", "meter_reading", "nonsense"):
        value = codec.encode(msgspec.structs.replace(event, event_type=event_type))
        assert outcome(codec.decode, value) == outcome(codec.decode_with_fastavro, value)


def test_a_schema_type_that_is_not_provided_for_is_named() -> None:
    class Thing(msgspec.Struct):
        name: bytes

    schema = {
        "type": "record",
        "name": "Thing",
        "fields": [{"name": "name", "type": {"type": "fixed", "name": "F", "size": 4}}],
    }
    with pytest.raises(NotImplementedError, match="fixed"):
        struct_writer(schema, {"Thing": Thing})
    with pytest.raises(NotImplementedError, match="fixed"):
        struct_reader(schema, {"Thing": Thing})


@pytest.mark.parametrize(
    "value",
    [
        b"\x80\x00",  # 0 in two bytes, which fastavro reads as an empty text
        b"\x01",  # length -1
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # more than 64 bits
    ],
)
def test_unusual_numbers_are_left_to_fastavro(value: bytes) -> None:
    class Thing(msgspec.Struct):
        name: str

    schema = {"type": "record", "name": "Thing", "fields": [{"name": "name", "type": "string"}]}
    read = struct_reader(schema, {"Thing": Thing})
    if value == b"\x80\x00":
        assert read(value, 0) == (Thing(""), 2)
        return
    with pytest.raises(UnusualError):
        read(value, 0)
