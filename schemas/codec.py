"""Records ⇄ bytes: Avro, in single-object encoding or the Confluent wire format.

Single-object encoding (Avro 1.11 specification, "Single-object encoding") starts with C3 01 and
the CRC-64-AVRO fingerprint of the writer's schema, so that a record is self-describing without a
registry. With a registry the value starts with 00 and the schema's id. Readers take both, so that
a topic may hold records from before and after a registry was set.

Timestamps stay Unix microseconds and are not turned into datetime: the logical type is for the
readers outside; dropping it here changes no byte.

Records of the schema that is written take a short way, generated from it (schemas.avro_source), and
fastavro decides on all that the short way is not made for. What both do is the same, byte for byte
(tests/unit/test_avro_code.py).
"""

import struct
from collections.abc import Mapping
from decimal import Decimal
from importlib import resources
from io import BytesIO
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar, cast

import fastavro
import msgspec
import orjson
from fastavro.schema import fingerprint, to_parsing_canonical_form

from schemas.avro_reader import struct_reader
from schemas.avro_writer import struct_writer
from schemas.commands import Command, CommandResult
from schemas.errors import CodecError, UnknownSchemaError
from schemas.events import PAYLOAD_TYPES, BusinessEvent, Measurement
from schemas.frames import OcppFrame
from schemas.records import DeadLetter, TransactionIdRequest

_SINGLE_OBJECT: Final = b"\xc3\x01"
_CONFLUENT: Final = b"\x00"
_FINGERPRINT_END: Final = 10
_CONFLUENT_END: Final = 5

_DAMAGE: Final[tuple[tuple[type[Exception], str], ...]] = (
    # Its own text may name the stream by its address, another one in each process
    # (fastavro 1.13.1, _read.pyx: "cannot read double from <_io.BytesIO object at 0x…>").
    (EOFError, "it breaks off, or a length in it is wrong"),
    (IndexError, "it breaks off, or has a union branch or enum symbol that its schema lacks"),
    (UnicodeDecodeError, "a text in it is no UTF-8"),
    (KeyError, "its eventType is none of the contract's"),
)
"""What an exception met in reading says of the bytes; others speak for themselves."""

T = TypeVar("T", bound=msgspec.Struct)
Schema = dict[str, Any]


class Registry(Protocol):
    """What the codec needs of a schema registry."""

    def register(self, subject: str, schema: str) -> int:
        """Id of `schema` under `subject`; registers it where it is new."""

    def schema(self, schema_id: int) -> str:
        """The schema's JSON text.

        Raises:
            UnknownSchemaError: The registry has no such id.
        """


def load_schema(name: str) -> str:
    """JSON text of a committed schema, e.g. `load_schema("ocpp_frame")`."""
    return resources.files("schemas").joinpath(f"avro/{name}.avsc").read_text(encoding="utf-8")


def crc64_fingerprint(schema_text: str) -> bytes:
    """CRC-64-AVRO of the schema's parsing canonical form, 8 bytes little-endian."""
    canonical = to_parsing_canonical_form(orjson.loads(schema_text))
    # fastavro gives the hex digits in the order of the wire format already.
    return bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO"))


class Codec(Generic[T]):
    """Encodes and decodes one record type.

    Attributes:
        schema_text: The schema that is written, as committed.
    """

    _parts: ClassVar[tuple[type[msgspec.Struct], ...]] = ()
    """The Structs that stand for the records inside the record."""

    def __init__(
        self,
        record_type: type[T],
        schema_name: str,
        *,
        older: tuple[str, ...] = (),
        registry: Registry | None = None,
        subject: str = "",
    ) -> None:
        """Compile the schemas, and register the written one where there is a registry.

        Args:
            record_type: The msgspec Struct that stands for the record.
            schema_name: The committed schema that is written and read into.
            older: JSON texts of the schemas that earlier versions wrote.
            registry: Where set, values are written in the Confluent wire format.
            subject: The registry's subject (`<topic>-value`).
        """
        self.schema_text = load_schema(schema_name)
        self._type = record_type
        self._schema = _parse(self.schema_text)
        structs: dict[str, type[msgspec.Struct]] = {part.__name__: part for part in self._parts}
        structs[record_type.__name__] = record_type
        plain = _without_timestamps(orjson.loads(self.schema_text))
        self._write = struct_writer(plain, structs)
        self._read = struct_reader(plain, structs)
        self._registry = registry
        self._writers: dict[bytes, Schema] = {crc64_fingerprint(self.schema_text): self._schema}
        for text in older:
            self._writers[crc64_fingerprint(text)] = _parse(text)
        if registry is None:
            self._prefix = _SINGLE_OBJECT + crc64_fingerprint(self.schema_text)
        else:
            schema_id = registry.register(subject, self.schema_text)
            self._prefix = _CONFLUENT + struct.pack(">I", schema_id)

    def encode(self, record: T) -> bytes:
        """The record's bytes.

        Raises:
            CodecError: A value does not fit its field.
        """
        try:
            return self._prefix + self._write(record)
        # Whatever it raises: the record is not of the usual kind.
        except Exception:  # noqa: BLE001
            return self.encode_with_fastavro(record)

    def encode_with_fastavro(self, record: T) -> bytes:
        """The same, without the short way."""
        out = BytesIO()
        out.write(self._prefix)
        try:
            fastavro.schemaless_writer(out, self._schema, self._to_datum(record))
        # As in decoding: fastavro raises whatever its C code meets.
        except Exception as error:
            raise CodecError(f"{self._type.__name__} can't be encoded: {error}") from error
        return out.getvalue()

    def decode(self, value: bytes) -> T:
        """The record in `value`.

        Raises:
            UnknownSchemaError: The writer's schema is neither built in nor in the registry.
            RegistryError: The registry did not answer; the record may be good.
            CodecError: The bytes are not a record in either wire format.
        """
        writer, begin = self._writer_of(value)
        if writer is self._schema:
            try:
                record, end = self._read(value, begin)
                if end == len(value) and self._fits(record):
                    return cast("T", record)
            # Whatever it raises: the bytes are not of the usual kind.
            except Exception:  # noqa: BLE001, S110
                pass
        return self.decode_with_fastavro(value)

    def decode_with_fastavro(self, value: bytes) -> T:
        """The same, without the short way."""
        writer, end = self._writer_of(value)
        stream = BytesIO(value)
        stream.seek(end)
        try:
            datum = fastavro.schemaless_reader(
                stream, writer, None if writer is self._schema else self._schema
            )
            record = self._from_datum(cast("dict[str, Any]", datum))
        # fastavro raises whatever its C code meets in broken input.
        except Exception as error:
            raise CodecError(
                f"{self._type.__name__} can't be decoded: {_damage(error)}, at byte "
                f"{stream.tell()} of {len(value)}"
            ) from error
        if stream.tell() != len(value):
            raise CodecError(
                f"{self._type.__name__}: {len(value) - stream.tell()} bytes left over at the end"
            )
        return record

    def _writer_of(self, value: bytes) -> tuple[Schema, int]:
        if value.startswith(_SINGLE_OBJECT):
            mark = value[2:_FINGERPRINT_END]
            writer = self._writers.get(mark)
            if writer is None:
                raise UnknownSchemaError(
                    f"{self._type.__name__} written with the unknown schema {mark.hex()}; "
                    "a newer version wrote it: upgrade this service"
                )
            return writer, _FINGERPRINT_END
        if value.startswith(_CONFLUENT) and len(value) >= _CONFLUENT_END:
            if self._registry is None:
                raise UnknownSchemaError(
                    f"{self._type.__name__} is in the Confluent wire format: "
                    "set SCHEMA_REGISTRY_URL"
                )
            mark = value[:_CONFLUENT_END]
            if mark not in self._writers:
                (schema_id,) = struct.unpack(">I", mark[1:])
                self._writers[mark] = _parse(self._registry.schema(schema_id))
            return self._writers[mark], _CONFLUENT_END
        raise CodecError(
            f"{self._type.__name__}: starts with {value[:2].hex()!r}, neither Avro single-object "
            "encoding (c301) nor the Confluent wire format (00)"
        )

    def _fits(self, record: T) -> bool:  # noqa: ARG002 - for records with conditions
        """Whether a record that was read is one that could have been written."""
        return True

    def _to_datum(self, record: T) -> dict[str, Any]:
        return cast("dict[str, Any]", msgspec.to_builtins(record, builtin_types=(Decimal, bytes)))

    def _from_datum(self, datum: dict[str, Any]) -> T:
        return msgspec.convert(datum, self._type, builtin_types=(Decimal, bytes))


class EventCodec(Codec[BusinessEvent]):
    """`BusinessEvent`, whose payload is a union: the branch is named by `eventType`."""

    _parts = (*PAYLOAD_TYPES.values(), Measurement)

    def _fits(self, record: BusinessEvent) -> bool:
        return type(record.payload) is PAYLOAD_TYPES[record.event_type]

    def _to_datum(self, record: BusinessEvent) -> dict[str, Any]:
        datum = super()._to_datum(record)
        # Naming the branch spares fastavro from trying the five in turn.
        datum["payload"] = (f"chargelog.{type(record.payload).__name__}", datum["payload"])
        return datum

    def _from_datum(self, datum: dict[str, Any]) -> BusinessEvent:
        payload_type = PAYLOAD_TYPES[datum["eventType"]]
        return BusinessEvent(
            timestamp=datum["timestamp"],
            client_id=datum["clientId"],
            event_type=datum["eventType"],
            event_id=datum["eventId"],
            payload=msgspec.convert(datum["payload"], payload_type, builtin_types=(Decimal,)),
            anomalies=tuple(datum["anomalies"]),
        )


def frame_codec(registry: Registry | None = None, topic: str = "") -> Codec[OcppFrame]:
    """Codec of `ocpp.frames`."""
    return Codec(OcppFrame, "ocpp_frame", registry=registry, subject=f"{topic}-value")


def event_codec(registry: Registry | None = None, topic: str = "") -> EventCodec:
    """Codec of `csms.events`."""
    return EventCodec(BusinessEvent, "business_event", registry=registry, subject=f"{topic}-value")


def dead_letter_codec(registry: Registry | None = None, topic: str = "") -> Codec[DeadLetter]:
    """Codec of `csms.dead-letter`."""
    return Codec(DeadLetter, "dead_letter", registry=registry, subject=f"{topic}-value")


def transaction_id_codec(
    registry: Registry | None = None, topic: str = ""
) -> Codec[TransactionIdRequest]:
    """Codec of `ocpp.transaction-ids`."""
    return Codec(
        TransactionIdRequest, "transaction_id_request", registry=registry, subject=f"{topic}-value"
    )


def command_codec(registry: Registry | None = None, topic: str = "") -> Codec[Command]:
    """Codec of `ocpp.commands`."""
    return Codec(Command, "command", registry=registry, subject=f"{topic}-value")


def command_result_codec(registry: Registry | None = None, topic: str = "") -> Codec[CommandResult]:
    """Codec of `ocpp.command-results`."""
    return Codec(CommandResult, "command_result", registry=registry, subject=f"{topic}-value")


def _damage(error: Exception) -> str:
    return next((text for kind, text in _DAMAGE if isinstance(error, kind)), repr(error))


def _parse(text: str) -> Schema:
    return cast("Schema", fastavro.parse_schema(_without_timestamps(orjson.loads(text))))


def _without_timestamps(schema: object) -> Any:  # noqa: ANN401 - a JSON value, as it came
    if isinstance(schema, Mapping):
        return {
            key: _without_timestamps(value)
            for key, value in schema.items()
            if not (key == "logicalType" and value == "timestamp-micros")
        }
    if isinstance(schema, list):
        return [_without_timestamps(element) for element in schema]
    return schema
