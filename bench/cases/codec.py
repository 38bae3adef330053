"""Avro: the codec against fastavro on ready-made dicts, and against avro-python3."""

from collections.abc import Callable, Iterable
from functools import partial
from io import BytesIO
from itertools import islice
from time import perf_counter
from typing import Any, Final

import avro.io
import avro.schema
import fastavro
import orjson

from bench.charging import fleet_frames
from bench.comparison import compare
from bench.size import Size
from processor.reducer import reduce
from processor.state import MemoryRows
from processor.tariff import Tariffs
from schemas.codec import Codec, event_codec, frame_codec
from schemas.events import BusinessEvent

_HEADER: Final = 10  # single-object encoding: C3 01 and the fingerprint
_PEER_SHARE: Final = 20  # avro-python3 is slow enough to be measured on a part


def run(size: Size) -> None:
    """Records a second of the codec, of bare fastavro, and of avro-python3."""
    frames = list(islice(fleet_frames(100), size.of(50_000, 500)))
    rows, tariffs = MemoryRows(), Tariffs()
    events = [event for frame in frames for event in reduce(frame, rows, tariffs)]
    _case("codec.frame", frame_codec(), frames, size)
    # fastavro takes a union's branch by its name, as the codec names it.
    _case("codec.event", event_codec(), events, size)


def _case(name: str, codec: Codec[Any], records: list[Any], size: Size) -> None:
    written = [codec.encode(record) for record in records]
    bodies = [value[_HEADER:] for value in written]
    text = codec.schema_text
    # Logical types off, as in the codec; decimals stay, so that the peer does all of the work.
    schema = fastavro.parse_schema(orjson.loads(text.replace('"timestamp-micros"', '"none"')))
    data: list[Any] = [fastavro.schemaless_reader(BytesIO(body), schema, None) for body in bodies]
    named = [
        {**datum, "payload": (f"chargelog.{type(record.payload).__name__}", datum["payload"])}
        if isinstance(record, BusinessEvent)
        else datum
        for record, datum in zip(records, data, strict=True)
    ]
    peer = avro.schema.parse(text)
    some = bodies[::_PEER_SHARE]
    some_data = [_peer_read(peer, body) for body in some]
    # Not what avro-python3 writes: of a union's branches it takes any one that fits.
    assert [_fastavro_write(schema, datum) for datum in named] == bodies
    compare(
        f"{name}.encode",
        "records/s",
        {
            "chargelog": partial(_rate, codec.encode, records),
            "fastavro-dicts": partial(_rate, partial(_fastavro_write, schema), named),
            "avro-python3": partial(_rate, partial(_peer_write, peer), some_data),
        },
        subject="chargelog",
        rounds=size.rounds,
    )
    compare(
        f"{name}.decode",
        "records/s",
        {
            "chargelog": partial(_rate, codec.decode, written),
            "fastavro-dicts": partial(_rate, partial(_fastavro_read, schema), bodies),
            "avro-python3": partial(_rate, partial(_peer_read, peer), some),
        },
        subject="chargelog",
        rounds=size.rounds,
    )


def _rate(work: Callable[[Any], object], inputs: Iterable[Any]) -> float:
    things = list(inputs)
    begin = perf_counter()
    for thing in things:
        work(thing)
    return len(things) / (perf_counter() - begin)


def _fastavro_write(schema: Any, datum: Any) -> bytes:  # noqa: ANN401 - Avro data
    out = BytesIO()
    fastavro.schemaless_writer(out, schema, datum)
    return out.getvalue()


def _fastavro_read(schema: Any, body: bytes) -> Any:  # noqa: ANN401 - Avro data
    return fastavro.schemaless_reader(BytesIO(body), schema, None)


def _peer_write(schema: Any, datum: Any) -> bytes:  # noqa: ANN401 - Avro data
    out = BytesIO()
    avro.io.DatumWriter(schema).write(datum, avro.io.BinaryEncoder(out))
    return out.getvalue()


def _peer_read(schema: Any, body: bytes) -> Any:  # noqa: ANN401 - Avro data
    return avro.io.DatumReader(schema).read(avro.io.BinaryDecoder(BytesIO(body)))
