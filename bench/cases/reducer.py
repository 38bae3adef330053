"""The reducer alone, and between the codecs: one process, no Kafka."""

import json
from functools import partial
from itertools import islice
from time import perf_counter

import orjson

from bench.charging import fleet_frames
from bench.charging201 import ChargePoint201
from bench.comparison import compare
from bench.size import Size
from processor.reducer import reduce
from processor.state import MemoryRows, encode_row
from processor.tariff import Tariffs
from schemas.codec import event_codec, frame_codec
from schemas.frames import OcppFrame


def run(size: Size) -> None:
    """Frames a second of the reducer, against merely parsing every frame's JSON text."""
    frames = list(islice(fleet_frames(200), size.of(100_000, 1_000)))
    frames201 = list(islice(fleet_frames(200, kind=ChargePoint201), size.of(100_000, 1_000)))
    for name, some in (("reducer", frames), ("reducer.ocpp2.0.1", frames201)):
        compare(
            name,
            "frames/s",
            {
                "reduce": partial(_reduce, some),
                "json.loads-of-each-frame": partial(_stdlib, some),
                "orjson.loads-of-each-frame": partial(_orjson, some),
            },
            subject="reduce",
            rounds=size.rounds,
        )
    encode = frame_codec().encode
    written = [encode(frame) for frame in frames]
    compare(
        "reducer.with-codecs",
        "frames/s",
        {"decode-reduce-encode": partial(_all, written), "reduce": partial(_reduce, frames)},
        subject="decode-reduce-encode",
        rounds=size.rounds,
    )


def _reduce(frames: list[OcppFrame]) -> float:
    rows, tariffs = MemoryRows(), Tariffs()
    events = 0
    begin = perf_counter()
    for frame in frames:
        events += len(reduce(frame, rows, tariffs))
    seconds = perf_counter() - begin
    assert events
    return len(frames) / seconds


def _all(written: list[bytes]) -> float:
    """Bytes to bytes, each touched row encoded once at the end, as in a chunk."""
    decode, encode = frame_codec().decode, event_codec().encode
    rows, tariffs = MemoryRows(), Tariffs()
    begin = perf_counter()
    for value in written:
        for event in reduce(decode(value), rows, tariffs):
            encode(event)
    for row in rows.rows.values():
        encode_row(row)
    return len(written) / (perf_counter() - begin)


def _stdlib(frames: list[OcppFrame]) -> float:
    begin = perf_counter()
    for frame in frames:
        json.loads(frame.raw)
    return len(frames) / (perf_counter() - begin)


def _orjson(frames: list[OcppFrame]) -> float:
    begin = perf_counter()
    for frame in frames:
        orjson.loads(frame.raw)
    return len(frames) / (perf_counter() - begin)
