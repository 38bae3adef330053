"""The codec against avro-python3, the Avro specification and the bytes of earlier builds."""

import re
import struct
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import avro.io
import avro.schema
import msgspec
import orjson
import pytest
from avro_records import (
    COMMAND_RESULTS,
    COMMANDS,
    DEAD_LETTERS,
    EVENTS,
    EXAMPLES,
    FRAME,
    FRAMES,
    TRANSACTION_ID_REQUESTS,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import (
    Codec,
    EventCodec,
    command_codec,
    command_result_codec,
    crc64_fingerprint,
    dead_letter_codec,
    event_codec,
    frame_codec,
    load_schema,
    transaction_id_codec,
)
from schemas.errors import CodecError, UnknownSchemaError
from schemas.events import BusinessEvent, SessionCost
from schemas.frames import OcppFrame

GOLDEN: Final = Path(__file__).parents[1] / "golden" / "avro"
HEADER: Final = 10
"""Bytes before the record: C3 01 and the fingerprint."""
CODECS: Final[dict[str, Codec[Any]]] = {
    "ocpp_frame": frame_codec(),
    "business_event": event_codec(),
    "dead_letter": dead_letter_codec(),
    "transaction_id_request": transaction_id_codec(),
    "command": command_codec(),
    "command_result": command_result_codec(),
}
RECORDS: Final = st.one_of(
    st.tuples(st.just("ocpp_frame"), FRAMES),
    st.tuples(st.just("business_event"), EVENTS),
    st.tuples(st.just("dead_letter"), DEAD_LETTERS),
    st.tuples(st.just("transaction_id_request"), TRANSACTION_ID_REQUESTS),
    st.tuples(st.just("command"), COMMANDS),
    st.tuples(st.just("command_result"), COMMAND_RESULTS),
)
FRAME_BYTES: Final = frame_codec().encode(FRAME)
PEER_SCHEMAS: Final = {name: avro.schema.parse(codec.schema_text) for name, codec in CODECS.items()}


# avro-python3 knows no logical types: decimals are big-endian two's complement at scale 6 (Avro
# 1.11, "Decimal"), which is written out here rather than taken from the code under test.
def for_peer(value: object) -> object:
    match value:
        case Decimal():
            unscaled = int(value.scaleb(6))
            return unscaled.to_bytes(unscaled.bit_length() // 8 + 1, "big", signed=True)
        case dict():
            return {key: for_peer(element) for key, element in value.items()}
        case list() | tuple():
            return [for_peer(element) for element in value]
        case _:
            return value


def peer_datum(record: msgspec.Struct) -> object:
    """The record as avro-python3 takes and gives it: every field, those with defaults too."""
    fields = {
        field.encode_name: getattr(record, field.name) for field in msgspec.structs.fields(record)
    }
    return for_peer(
        {
            name: peer_datum(value)
            if isinstance(value, msgspec.Struct)
            else {key: peer_datum(element) for key, element in value.items()}
            if isinstance(value, dict)
            else value
            for name, value in fields.items()
        }
    )


def peer_write(schema: avro.schema.Schema, datum: object) -> bytes:
    out = BytesIO()
    avro.io.DatumWriter(schema).write(datum, avro.io.BinaryEncoder(out))
    return out.getvalue()


def peer_read(schema: avro.schema.Schema, body: bytes) -> object:
    stream = BytesIO(body)
    datum = avro.io.DatumReader(schema).read(avro.io.BinaryDecoder(stream))
    assert stream.read() == b""
    return datum


@given(RECORDS)
def test_avro_python3_reads_what_the_codec_writes(
    case: tuple[str, msgspec.Struct],
) -> None:
    name, record = case
    body = CODECS[name].encode(record)[HEADER:]
    assert peer_read(PEER_SCHEMAS[name], body) == peer_datum(record)


@given(RECORDS)
def test_the_codec_reads_what_avro_python3_writes(case: tuple[str, msgspec.Struct]) -> None:
    name, record = case
    header = b"\xc3\x01" + crc64_fingerprint(load_schema(name))
    assert (
        CODECS[name].decode(header + peer_write(PEER_SCHEMAS[name], peer_datum(record))) == record
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_golden_bytes_are_written_and_read(name: str) -> None:
    golden = bytes.fromhex(GOLDEN.joinpath(f"{name}.hex").read_text(encoding="ascii"))
    codec = CODECS[name.split(".", maxsplit=1)[0]]
    assert codec.decode(golden) == EXAMPLES[name]
    assert codec.encode(EXAMPLES[name]) == golden


def avro_crc64(text: str) -> int:
    """CRC-64-AVRO, bit by bit: the shift register of the specification's definition, no table."""
    crc = 0xC15D213AA4D7A795
    for byte in text.encode():
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xC15D213AA4D7A795 if crc & 1 else 0)
    return crc


def canonical_form(schema: Any) -> str:  # noqa: ANN401 - a JSON value
    """Parsing Canonical Form, its transformations applied one by one (Avro 1.11)."""
    names = {"record", "enum", "array", "map", "fixed"}

    def full(name: str, namespace: str) -> str:
        return name if "." in name or not namespace else f"{namespace}.{name}"

    def transform(node: Any, namespace: str) -> str:  # noqa: ANN401 - a JSON value
        if isinstance(node, str):
            primitive = node in {
                "null", "boolean", "int", "long", "float", "double", "bytes", "string",
            }  # fmt: skip
            return f'"{node if primitive else full(node, namespace)}"'
        if isinstance(node, list):
            return "[" + ",".join(transform(branch, namespace) for branch in node) + "]"
        kind = node["type"]
        if kind not in names:
            return transform(kind, namespace)
        parts = []
        if "name" in node:
            name = full(node["name"], node.get("namespace", namespace))
            namespace = name.rpartition(".")[0]
            parts.append(f'"name":"{name}"')
        parts.append(f'"type":"{kind}"')
        if kind == "record":
            fields = ",".join(
                f'{{"name":"{field["name"]}","type":{transform(field["type"], namespace)}}}'
                for field in node["fields"]
            )
            parts.append(f'"fields":[{fields}]')
        elif kind == "enum":
            parts.append('"symbols":[' + ",".join(f'"{s}"' for s in node["symbols"]) + "]")
        elif kind == "array":
            parts.append(f'"items":{transform(node["items"], namespace)}')
        else:
            assert kind == "map"
            parts.append(f'"values":{transform(node["values"], namespace)}')
        return "{" + ",".join(parts) + "}"

    return transform(schema, "")


@pytest.mark.parametrize("name", CODECS)
def test_the_fingerprint_is_crc_64_avro_in_little_endian_order(name: str) -> None:
    text = load_schema(name)
    expected = struct.pack("<Q", avro_crc64(canonical_form(orjson.loads(text))))
    assert crc64_fingerprint(text) == expected
    example = next(record for key, record in EXAMPLES.items() if key.split(".")[0] == name)
    assert CODECS[name].encode(example)[:HEADER] == b"\xc3\x01" + expected


def test_the_crc_agrees_with_a_published_value() -> None:
    # Avro's own test data (share/test/data/schema-tests.txt) gives this fingerprint for "int".
    assert avro_crc64('"int"') == 8247732601305521295
    assert crc64_fingerprint('"int"') == struct.pack("<Q", 8247732601305521295)


def edited(name: str, remove: set[str]) -> str:
    """The committed schema as it would have been before the fields `remove` were added."""

    def strip(node: Any) -> Any:  # noqa: ANN401 - a JSON value
        if isinstance(node, list):
            return [strip(e) for e in node if not (isinstance(e, dict) and e.get("name") in remove)]
        if isinstance(node, dict):
            return {key: strip(value) for key, value in node.items()}
        return node

    return orjson.dumps(strip(orjson.loads(load_schema(name)))).decode()


def without(datum: Any, names: set[str]) -> Any:  # noqa: ANN401 - an Avro datum
    if isinstance(datum, dict):
        return {k: without(v, names) for k, v in datum.items() if k not in names}
    return datum


def test_frames_of_an_older_schema_are_read_with_the_new_fields_default() -> None:
    old = edited("ocpp_frame", {"violation", "action"})
    codec = Codec(OcppFrame, "ocpp_frame", older=(old,))
    datum = without(peer_datum(FRAME), {"violation", "action"})
    header = b"\xc3\x01" + crc64_fingerprint(old)
    value = header + peer_write(avro.schema.parse(old), datum)
    assert codec.decode(value) == msgspec.structs.replace(FRAME, violation=None, action=None)
    assert codec.decode(codec.encode(FRAME)) == FRAME
    with pytest.raises(UnknownSchemaError, match=f"unknown schema {header[2:].hex()}"):
        frame_codec().decode(value)


def test_events_of_an_older_schema_are_read_with_the_new_fields_default() -> None:
    added = {"sessionFee", "evseId", "anomalies"}
    old = edited("business_event", added)
    codec = EventCodec(BusinessEvent, "business_event", older=(old,))
    for name, event in EXAMPLES.items():
        if not isinstance(event, BusinessEvent):
            continue
        body = peer_write(avro.schema.parse(old), without(peer_datum(event), added))
        gone = {"evse_id": None}
        if isinstance(event.payload, SessionCost):
            gone["session_fee"] = None
        expected = msgspec.structs.replace(
            event, anomalies=(), payload=msgspec.structs.replace(event.payload, **gone)
        )
        assert codec.decode(b"\xc3\x01" + crc64_fingerprint(old) + body) == expected, name


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_truncation_is_a_codec_error(name: str) -> None:
    codec = CODECS[name.split(".", maxsplit=1)[0]]
    value = codec.encode(EXAMPLES[name])
    for length in range(HEADER):
        with pytest.raises(CodecError):
            codec.decode(value[:length])
    # Word by word: fastavro's own texts are not the same in two processes.
    kind = type(EXAMPLES[name]).__name__
    for length in range(HEADER, len(value)):
        with pytest.raises(CodecError) as caught:
            codec.decode(value[:length])
        assert re.fullmatch(
            f"{kind} can't be decoded: it breaks off, or (a length in it is wrong|has a union "
            f"branch or enum symbol that its schema lacks), at byte {length} of {length}",
            str(caught.value),
        )


@settings(max_examples=300)
@given(st.sampled_from(sorted(CODECS)), st.binary(max_size=200))
def test_random_bytes_never_raise_anything_but_a_codec_error(name: str, body: bytes) -> None:
    codec = CODECS[name]
    for value in (body, b"\xc3\x01" + crc64_fingerprint(codec.schema_text) + body):
        try:
            codec.decode(value)
        except CodecError:
            continue


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"{}", "starts with '7b7d', neither Avro single-object encoding (c301) nor the Confluent"),
        (b"", "starts with ''"),
        (b"\x00\x00\x00\x00\x01abc", "set SCHEMA_REGISTRY_URL"),
        (b"\xc3\x01" + bytes(8), "unknown schema 0000000000000000; a newer version wrote it"),
        (FRAME_BYTES + b"??", "2 bytes left over at the end"),
        (FRAME_BYTES[:HEADER] + b"\x02\xff", "a text in it is no UTF-8, at byte 12 of 12"),
        (
            FRAME_BYTES[:HEADER] + b"\x00\x00\x04",
            "a union branch or enum symbol that its schema",
        ),
    ],
)
def test_what_is_no_record_says_why(value: bytes, message: str) -> None:
    with pytest.raises(CodecError, match=re.escape(message)):
        frame_codec().decode(value)


def test_an_event_type_that_is_not_the_contracts_is_named_as_the_damage() -> None:
    value = CODECS["business_event"].encode(EXAMPLES["business_event.started"])
    with pytest.raises(CodecError, match="its eventType is none of the contract's, at byte"):
        event_codec().decode(value.replace(b"started", b"starred", 1))


@pytest.mark.parametrize(
    "change",
    [{"received_at_ns": 2**63}, {"client_id": None}, {"kind": "HELLO"}, {"client_id": "\ud800"}],
)
def test_a_value_that_does_not_fit_its_field_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(CodecError, match="OcppFrame can't be encoded"):
        frame_codec().encode(msgspec.structs.replace(FRAME, **change))


@pytest.mark.parametrize("amount", ["0.1234567", "1234567890123.123456"])
def test_money_beyond_the_schemas_precision_is_refused(amount: str) -> None:
    event = EXAMPLES["business_event.session_cost"]
    assert isinstance(event, BusinessEvent)
    payload = msgspec.structs.replace(event.payload, estimated_cost=Decimal(amount))
    with pytest.raises(CodecError, match="BusinessEvent can't be encoded"):
        event_codec().encode(msgspec.structs.replace(event, payload=payload))
