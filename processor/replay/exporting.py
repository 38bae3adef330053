"""The frames topic as a file: `chargelog-replay export`."""

import heapq
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from processor.replay.job import FromKafka
from processor.replay.kafka_source import KafkaSource
from processor.replay.logs.export_lines import to_line
from processor.replay.outputs.forms import (
    AvroContainer,
    Form,
    JsonLines,
    gzip_member,
    suffix_of,
    zstd_frame,
)
from processor.replay.registry import registry_at
from processor.replay.rejects import Reject
from processor.replay.selection import Selection, Wanted
from schemas.codec import Codec, frame_codec
from schemas.errors import CodecError
from schemas.frames import OcppFrame

FRAME_FORMS: Final[dict[str, Callable[[], Form[OcppFrame]]]] = {
    ".jsonl": lambda: JsonLines(to_line),
    ".jsonl.gz": lambda: JsonLines(to_line, gzip_member),
    ".jsonl.zst": lambda: JsonLines(to_line, zstd_frame),
    ".avro": lambda: AvroContainer(frame_codec()),
}
_BLOCK_FRAMES: Final = 4096
_LOOK: Final = 1024


class Exported(msgspec.Struct, kw_only=True):
    """What an export came to.

    Attributes:
        records: Records read.
        frames: Frames written.
        rejects: Records that hold no frame.
    """

    records: int = 0
    frames: int = 0
    rejects: list[Reject] = []


class _Frame(NamedTuple):
    due: int
    partition: int
    offset: int
    frame: OcppFrame | CodecError
    value: bytes


def export(
    source: FromKafka,
    out: Path,
    selection: Selection,
    stop: threading.Event,
    tell: Callable[[int, int], None],
) -> Exported | None:
    """Write the topic's frames, by time; each partition's in its own order.

    Args:
        source: The topic.
        out: The file; its suffix says the form.
        selection: What is wanted, by receive time and charge point.
        stop: Set it to stop; nothing is written then.
        tell: Told how many records were read and frames written.

    Returns:
        None if `stop` was set.

    Raises:
        UsageError: The file's suffix says no form.
        ReplayError: The topic is not as it must be.
    """
    form = FRAME_FORMS[suffix_of(str(out), FRAME_FORMS)]()
    exported, wanted = Exported(), Wanted(selection)
    new = out.with_name(f".{out.name}.new")
    pending: list[bytes] = []
    try:
        with new.open("wb") as file:
            file.write(form.header)
            for one in _by_time(source):
                exported.records += 1
                if isinstance(one.frame, CodecError):
                    exported.rejects.append(_reject(source.topic, one, one.frame))
                elif wanted[one.frame.client_id] and selection.has_time(
                    one.frame.received_at_ns // 1000
                ):
                    exported.frames += 1
                    pending.append(form.encode(one.frame))
                if len(pending) == _BLOCK_FRAMES:
                    file.write(form.block(pending))
                    pending.clear()
                if exported.records % _LOOK == 0:
                    tell(exported.records, exported.frames)
                    if stop.is_set():
                        return None
            if pending:
                file.write(form.block(pending))
        new.replace(out)
    finally:
        new.unlink(missing_ok=True)
    return exported


def _by_time(source: FromKafka) -> Iterator[_Frame]:
    """The partitions' frames put into each other; the same topic gives the same order."""
    codec = frame_codec(registry_at(source.schema_registry_url), source.topic)
    sources = {
        number: KafkaSource(source.kafka, source.topic, {number: bounds})
        for number, bounds in source.bounds.items()
        if bounds.start < bounds.end
    }
    try:
        yield from heapq.merge(
            *(_partition(number, one, codec) for number, one in sources.items()),
            key=lambda frame: (frame.due, frame.partition),
        )
    finally:
        for one in sources.values():
            one.close()


def _partition(number: int, source: KafkaSource, codec: Codec[OcppFrame]) -> Iterator[_Frame]:
    # As in `logs.merge`: what comes is due at the latest time seen so far.
    due = 0
    for _, records in source.records():
        for record in records:
            frame: OcppFrame | CodecError
            try:
                frame = codec.decode(record.value)
                due = max(due, frame.received_at_ns)
            except CodecError as error:
                frame = error
            yield _Frame(due, number, record.offset, frame, record.value)


def _reject(topic: str, one: _Frame, error: CodecError) -> Reject:
    where = f"{topic}[{one.partition}]@{one.offset}"
    return Reject(
        (one.partition, one.offset), where, str(error), one.value.decode(errors="replace")
    )
