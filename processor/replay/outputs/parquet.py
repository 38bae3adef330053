"""Events as Parquet: one row an event, one column for each field of any payload."""

import io
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.codec import event_codec
from schemas.events import PAYLOAD_TYPES, BusinessEvent, MeterReading

_TIME: Final = pa.timestamp("us", tz="UTC")
_MONEY: Final = pa.decimal128(18, 6)
_MEASUREMENTS: Final = pa.map_(
    pa.string(),
    pa.struct([("value", pa.float64()), ("unit", pa.string()), ("context", pa.string())]),
)
# By name: a name means the same in every payload, but for `timestamp`, which is the envelope's too.
_TYPES: Final[dict[str, Any]] = {
    "connectorId": pa.int32(),
    "evseId": pa.int32(),
    "meterStart": pa.int64(),
    "meterStop": pa.int64(),
    "startTime": _TIME,
    "stopTime": _TIME,
    "endTime": _TIME,
    "energyUsed": pa.float64(),
    "energyConsumed": pa.float64(),
    "duration": pa.float64(),
    "measurands": _MEASUREMENTS,
    "currentPower": pa.float64(),
    "totalEnergy": pa.float64(),
    "estimatedCost": _MONEY,
    "energyRate": _MONEY,
    "timeRate": _MONEY,
    "sessionFee": _MONEY,
}
_METER_TIME: Final = "meterTimestamp"
_ROW_GROUP_SYNC: Final = pa.ipc.IpcWriteOptions(compression="zstd")


def _payload_columns() -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for payload in PAYLOAD_TYPES.values():
        for field in msgspec.structs.fields(payload):
            name = field.encode_name
            if name == "timestamp":
                columns[_METER_TIME] = _TIME
            else:
                # A transactionId is a number in OCPP 1.6, a text in 2.x: text here.
                columns[name] = _TYPES.get(name, pa.string())
    return columns


_COLUMNS: Final = _payload_columns()
SCHEMA: Final = pa.schema(
    [
        ("timestamp", _TIME),
        ("clientId", pa.string()),
        ("eventType", pa.string()),
        ("eventId", pa.string()),
        *_COLUMNS.items(),
        ("anomalies", pa.list_(pa.string())),
    ]
)
"""The columns: envelope, payload fields, anomalies. A reading's own time is `meterTimestamp`."""


def row(event: BusinessEvent) -> dict[str, Any]:
    """The event as a row; times in Unix microseconds."""
    payload: dict[str, Any] = msgspec.to_builtins(event.payload, builtin_types=(Decimal,))
    if type(event.payload) is MeterReading:
        payload[_METER_TIME] = payload.pop("timestamp")
    if payload.get("transactionId") is not None:
        payload["transactionId"] = str(payload["transactionId"])
    return {
        "timestamp": event.timestamp,
        "clientId": event.client_id,
        "eventType": event.event_type,
        "eventId": event.event_id,
        **payload,
        "anomalies": list(event.anomalies),
    }


def table_of(events: Sequence[BusinessEvent]) -> Any:  # noqa: ANN401 - pyarrow ships no types
    """The events as an Arrow table."""
    return pa.Table.from_pylist([row(event) for event in events], schema=SCHEMA)


def rows_in(path: Path) -> Iterator[dict[str, Any]]:
    """A Parquet file's rows as `row` gives them, without what is null."""
    for batch in pq.ParquetFile(path).iter_batches():
        columns = {}
        for name in batch.schema.names:
            column = batch.column(name)
            # As integers: datetime would be read slower, and compared with less.
            as_written = column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
            columns[name] = as_written.to_pylist()
        for values in zip(*columns.values(), strict=True):
            found = dict(zip(columns, values, strict=True))
            if found.get("measurands") is not None:
                found["measurands"] = dict(found["measurands"])
            yield found


class Parquet:
    """A Parquet file; a block is a row group."""

    header = b""

    def __init__(self) -> None:
        self._codec = event_codec()

    def encode(self, record: BusinessEvent) -> bytes:
        """The record as on the events topic, until its block is full."""
        return self._codec.encode(record)

    def block(self, records: Sequence[bytes]) -> bytes:
        """An Arrow stream: a Parquet file's footer comes last, so that it can't be written on."""
        table = table_of([self._codec.decode(event) for event in records])
        out = io.BytesIO()
        with pa.ipc.new_stream(out, SCHEMA, options=_ROW_GROUP_SYNC) as stream:
            stream.write_table(table)
        return out.getvalue()

    def assemble(self, parts: Sequence[Path], out: Path) -> None:
        """Each Arrow stream of each part as a row group."""
        with pq.ParquetWriter(out, SCHEMA, compression="zstd") as writer:
            for part in parts:
                with part.open("rb") as file:
                    end = part.stat().st_size
                    while file.tell() < end:
                        writer.write_table(pa.ipc.open_stream(file).read_all())
