"""Historical logs into a frames topic: `chargelog-replay import`.

Frames go on in transactions under one transactional id per topic. So once an import has its
producer, none that was killed before has a record under way, and what the topic holds can be read
for certain; whatever of the logs is among it is not written again.
"""

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from confluent_kafka import KafkaException, Producer

from processor.replay.errors import Rejected, ReplayError
from processor.replay.identities import Identities
from processor.replay.job import FromFiles
from processor.replay.kafka_source import KafkaSource, bounds_of
from processor.replay.logs.correlation import Correlation
from processor.replay.logs.entries import Other
from processor.replay.logs.merge import History, Log
from processor.replay.logs.recognise import logs_of
from processor.replay.rejects import RejectPart, assemble, reject_of
from processor.replay.selection import Selection, Wanted
from runtime.kafka import JAVA_PARTITIONER
from runtime.kafka_access import KafkaAccess
from schemas.codec import Codec
from schemas.errors import CodecError
from schemas.frames import OcppFrame
from schemas.headers import frame_headers

_TRANSACTION_FRAMES: Final = 5_000
_TIMEOUT_S: Final = 60.0
_LOOK: Final = 1024


class Imported(msgspec.Struct, kw_only=True):
    """What an import came to.

    Attributes:
        frames: Frames written.
        there: Frames that the topic held already.
        other_lines: Lines that hold no frame.
        repeated: Lines that another file has too.
        passed_over: Frames that were not asked for.
        rejected: Lines that hold no frame but should, by reason.
        late: Charge points that got frames older than the newest that the topic held of them.
    """

    frames: int = 0
    there: int = 0
    other_lines: int = 0
    repeated: int = 0
    passed_over: int = 0
    rejected: dict[str, int] = {}
    late: set[str] = set()


class Topic(msgspec.Struct, frozen=True):
    """Where frames go."""

    kafka: KafkaAccess
    name: str
    codec: Codec[OcppFrame]


def import_logs(  # noqa: PLR0913, PLR0917 - what the command line gives
    source: FromFiles,
    topic: Topic,
    selection: Selection,
    rejects: Path,
    stop: threading.Event,
    tell: Callable[[int, int], None],
) -> Imported | None:
    """Append the logs' frames that the topic does not hold.

    Args:
        source: The logs.
        topic: The frames topic.
        selection: What is wanted, by receive time and charge point.
        rejects: Where rejects are listed, if there are any.
        stop: Set it to stop; the same import again goes on then.
        tell: Told how many bytes were read and frames written.

    Returns:
        None if `stop` was set.

    Raises:
        ReplayError: The logs or the topic are not as they must be.
    """
    logs = logs_of(source.paths, source.form, source.zone)
    with tempfile.TemporaryDirectory(prefix="chargelog-import-") as folder:
        appender = _Appender(topic)
        held = _Held(topic, Path(folder) / "identities.sqlite")
        part = RejectPart(Path(folder) / "rejects", None)
        run = _Import(logs, selection, appender, held, part)
        try:
            complete = run.all(stop, tell)
        finally:
            held.close()
            part.close()
        if run.imported.rejected:
            assemble([Path(folder) / "rejects"], rejects)
    return run.imported if complete else None


class _Import:
    def __init__(
        self,
        logs: list[Log],
        selection: Selection,
        appender: "_Appender",
        held: "_Held",
        rejects: RejectPart,
    ) -> None:
        self._logs = logs
        self._selection = selection
        self._wanted = Wanted(selection)
        self._appender = appender
        self._held = held
        self._rejects = rejects
        self.imported = Imported()

    def all(self, stop: threading.Event, tell: Callable[[int, int], None]) -> bool:
        history = History(self._logs)
        with self._appender.appending():
            for order, frame in self._frames(history):
                if frame is not None:
                    self._take(frame)
                if order % _LOOK == 0:
                    tell(history.bytes_read, self.imported.frames)
                    if stop.is_set():
                        return False
        return True

    def _frames(self, history: History) -> Iterator[tuple[int, OcppFrame | None]]:
        correlation, imported = Correlation(), self.imported
        for order, entry in enumerate(history, 1):
            log, content, frame = self._logs[entry.log], entry.content, None
            if content is Other.NO_FRAME:
                imported.other_lines += 1
            elif content is Other.REPEATED:
                imported.repeated += 1
            elif entry.client_id is not None and not self._wanted[entry.client_id]:
                imported.passed_over += 1
            else:
                try:
                    frame = log.reader.frame(entry, correlation)
                except Rejected as rejected:
                    count = imported.rejected.get(rejected.reason, 0)
                    imported.rejected[rejected.reason] = count + 1
                    self._rejects.add(reject_of(rejected, order, log.path, entry))
            yield order, frame

    def _take(self, frame: OcppFrame) -> None:
        if not self._selection.has_time(frame.received_at_ns // 1000):
            self.imported.passed_over += 1
        elif self._held.has(frame):
            self.imported.there += 1
        else:
            if self._held.is_later_than(frame):
                self.imported.late.add(frame.client_id)
            self._appender.append(frame)
            self.imported.frames += 1


class _Held:
    """What the topic held when the import began."""

    def __init__(self, topic: Topic, path: Path) -> None:
        self._identities = Identities(path)
        self._newest: dict[str, int] = {}
        self._any = False
        bounds = bounds_of(topic.kafka, topic.name)
        source = KafkaSource(topic.kafka, topic.name, bounds)
        newest = self._newest
        try:
            for _, records in source.records():
                for record in records:
                    try:
                        frame = topic.codec.decode(record.value)
                    except CodecError:
                        continue  # no frame, so none that a log could hold
                    self._any = True
                    self._identities.add(frame)
                    if frame.received_at_ns > newest.get(frame.client_id, 0):
                        newest[frame.client_id] = frame.received_at_ns
        finally:
            source.close()

    def has(self, frame: OcppFrame) -> bool:
        return self._any and self._identities.take(frame)

    def is_later_than(self, frame: OcppFrame) -> bool:
        return self._newest.get(frame.client_id, 0) > frame.received_at_ns

    def close(self) -> None:
        self._identities.close()


class _Appender:
    """The topic's one importing producer; a second one ends the first (KIP-98)."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self._in_transaction = 0
        self._producer = Producer(
            {
                **topic.kafka.librdkafka(),
                "transactional.id": f"{topic.name}-import",
                "partitioner": JAVA_PARTITIONER,
                "compression.type": "lz4",
                "linger.ms": 50,
                "transaction.timeout.ms": 600_000,
            }
        )
        with self._explained():
            self._producer.init_transactions(_TIMEOUT_S)

    @contextmanager
    def appending(self) -> Iterator[None]:
        """What is appended inside is durable after."""
        yield
        self._commit()

    def append(self, frame: OcppFrame) -> None:
        with self._explained():
            if not self._in_transaction:
                self._producer.begin_transaction()
            while True:
                try:
                    self._producer.produce(
                        self._topic.name,
                        key=frame.client_id.encode(),
                        value=self._topic.codec.encode(frame),
                        headers=[*frame_headers(frame)],
                    )
                except BufferError:
                    self._producer.poll(0.1)
                else:
                    break
        self._in_transaction += 1
        if self._in_transaction >= _TRANSACTION_FRAMES:
            self._commit()

    def _commit(self) -> None:
        if self._in_transaction:
            with self._explained():
                self._producer.commit_transaction(_TIMEOUT_S)
            self._in_transaction = 0

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            raise ReplayError(
                f"frames can't be written to {self._topic.name}: {error.args[0].str()}; the same "
                "import again goes on where this one ended"
            ) from error
