"""The events there are: a topic or a file, split into lanes to be compared with."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import fastavro
import msgspec

from processor.fields import micros_of
from processor.replay.errors import ReplayError, UsageError
from processor.replay.job import Folder
from processor.replay.kafka_source import KafkaSource, bounds_of
from processor.replay.lanes import LaneOf
from processor.replay.logs.files import BROKEN, LogFile
from processor.replay.outputs.forms import suffix_of
from processor.replay.registry import registry_at
from processor.replay.selection import Selection, Wanted
from processor.replay.views import Fields, ViewName, exact, flat
from runtime.kafka_access import KafkaAccess
from schemas.codec import event_codec
from schemas.errors import CodecError
from schemas.events import PAYLOAD_TYPES, BusinessEvent

TOPIC: Final = "topic:"
"""Put before a topic's name, where a file could be meant."""


class Kafka(NamedTuple):
    """Where topics are."""

    access: KafkaAccess
    schema_registry_url: str | None


def split(against: str, kafka: Kafka, lanes: int, selection: Selection, folder: Folder) -> int:
    """Put what is selected of it into the lanes' parts; returns how many events that are.

    Args:
        against: `topic:<name>`, or the path of an event file.
        kafka: Where the topic is.
        lanes: How many lanes.
        selection: What is wanted.
        folder: Where the parts go.

    Raises:
        UsageError: It is no form that can be read.
        ReplayError: It can't be read, or holds what is no event.
    """
    view, events = _opened(against, kafka)
    lane_of, wanted = LaneOf(lanes), Wanted(selection)
    encode = msgspec.json.Encoder().encode
    count = 0
    with ExitStack() as stack:
        parts = [
            stack.enter_context(folder.against(number).open("wb", buffering=1 << 16))
            for number in range(lanes)
        ]
        for part in parts:
            part.write(encode(view) + b"\n")
        for client_id, micros, event in events:
            if wanted[client_id] and selection.has_time(micros):
                parts[lane_of[client_id]].write(encode(event) + b"\n")
                count += 1
    return count


class _There(NamedTuple):
    client_id: str
    micros: int
    event: Fields


def _opened(against: str, kafka: Kafka) -> tuple[ViewName, Iterator[_There]]:
    if against.startswith(TOPIC):
        topic = against.removeprefix(TOPIC)
        return "exact", _told(_of_topic(topic, kafka), topic)
    view, read = _FILES[suffix_of(against, _FILES)]
    if not Path(against).is_file():
        raise UsageError(f"there is no file {against}; to compare with a topic write {TOPIC}<name>")
    return view, _told(read(against), against)


def _of_topic(topic: str, kafka: Kafka) -> Iterator[Fields]:
    codec = event_codec(registry_at(kafka.schema_registry_url), topic)
    source = KafkaSource(kafka.access, topic, bounds_of(kafka.access, topic))
    try:
        for number, records in source.records():
            for record in records:
                try:
                    yield exact(codec.decode(record.value))
                except CodecError as error:
                    raise ReplayError(
                        f"{topic}[{number}]@{record.offset} holds no business event: {error}"
                    ) from error
    finally:
        source.close()


def _of_json_lines(path: str) -> Iterator[Fields]:
    file = LogFile(path)
    try:
        for number, line in enumerate(file.stream, 1):
            try:
                yield flat(msgspec.json.decode(line, type=dict[str, Any]))
            except msgspec.MsgspecError as error:
                raise ReplayError(f"{path}:{number} holds no business event: {error}") from error
    finally:
        file.close()


def _of_avro(path: str) -> Iterator[Fields]:
    file = LogFile(path)
    try:
        for datum in fastavro.reader(file.stream):
            yield exact(_event(cast("dict[str, Any]", datum)))
    finally:
        file.close()


def _event(datum: dict[str, Any]) -> BusinessEvent:
    payload_type = PAYLOAD_TYPES[datum["eventType"]]
    return BusinessEvent(
        timestamp=micros_of(datum["timestamp"]),
        client_id=datum["clientId"],
        event_type=datum["eventType"],
        event_id=datum["eventId"],
        payload=msgspec.convert(
            _in_micros(datum["payload"]), payload_type, builtin_types=(Decimal,)
        ),
        anomalies=tuple(datum["anomalies"]),
    )


def _in_micros(datum: dict[str, Any]) -> dict[str, Any]:
    return {
        name: micros_of(value) if isinstance(value, datetime) else value
        for name, value in datum.items()
    }


def _of_parquet(path: str) -> Iterator[Fields]:
    # An extra, and there: its suffix was accepted.
    from processor.replay.outputs.parquet import rows_in  # noqa: PLC0415

    for row in rows_in(Path(path)):
        yield columns_of_row(row)


def columns_of_row(row: dict[str, Any]) -> Fields:
    """A Parquet row as the view `columns` tells its event."""
    payload = {
        "timestamp" if name == "meterTimestamp" else name: value
        for name, value in row.items()
        if name not in _ENVELOPE and value is not None
    }
    fields = flat({**{name: row[name] for name in _ENVELOPE}, "payload": payload})
    # Where there are none, the view has no such field.
    if not fields["anomalies"]:
        del fields["anomalies"]
    return {name: value for name, value in fields.items() if value is not None}


def _told(events: Iterator[Fields], path: str) -> Iterator[_There]:
    try:
        for event in events:
            yield _There(event["clientId"], int(event["eventId"].rpartition("_")[2]) // 1000, event)
    # Whatever the readers of three formats raise on what is none of them.
    except (*BROKEN, ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise ReplayError(f"{path} holds no business events: {error!r}") from error


_ENVELOPE: Final = ("timestamp", "clientId", "eventType", "eventId", "anomalies")
_FILES: Final[dict[str, tuple[ViewName, Callable[[str], Iterator[Fields]]]]] = {
    ".jsonl": ("mqtt", _of_json_lines),
    ".jsonl.gz": ("mqtt", _of_json_lines),
    ".jsonl.zst": ("mqtt", _of_json_lines),
    ".avro": ("exact", _of_avro),
    ".parquet": ("columns", _of_parquet),
}
