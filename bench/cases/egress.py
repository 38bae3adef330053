"""The whole egress, from Kafka to mosquitto: speed by instances, latency, memory."""

import socket
import tempfile
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
import orjson
import psutil
from confluent_kafka import Consumer, Producer, TopicPartition
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from bench.charging import fleet_frames
from bench.comparison import bench_line, compare
from bench.size import Size
from devstack.existing import ExistingKafka, kafka_broker, named_kafka
from devstack.kafka import KafkaBroker
from devstack.mqtt import Mosquitto
from devstack.process import free_port
from devstack.service import Service
from egress.records import routes
from egress.settings import EgressSettings
from runtime import logs
from runtime.kafka import JAVA_PARTITIONER
from runtime.kafka_access import KafkaAccess
from schemas.codec import frame_codec
from schemas.topic_admin import ensure_topics
from schemas.topics import TopicNames

PARTITIONS: Final = 8
_POLL_S: Final = 0.05
_SETTLE_S: Final = 3.0

Record: TypeAlias = tuple[str, bytes]
"""Key and value."""


def run(size: Size) -> None:
    """Records a second by instances; milliseconds from append to subscriber; MB with a backlog."""
    logs.configure("warning", "console")
    with ExitStack() as stack:
        kafka = kafka_broker(named_kafka()).start()
        stack.callback(kafka.close)
        broker = stack.enter_context(Mosquitto())
        encode = frame_codec().encode
        records = [
            (frame.client_id, encode(frame))
            for frame in islice(fleet_frames(200), size.of(60_000, 500))
        ]
        compare(
            "egress",
            "records/s",
            {
                "one-instance": partial(_mirror, kafka, broker, records, 1),
                "two-instances": partial(_mirror, kafka, broker, records, 2),
                "read-decode-route-only": partial(_route_only, kafka, records),
            },
            subject="one-instance",
            rounds=size.rounds,
        )
        _latency(kafka, broker, size.of(500, 20))
        _memory(kafka, records, size)


class _Log:
    """One installation's topics."""

    def __init__(self, kafka: KafkaBroker | ExistingKafka) -> None:
        self.servers = kafka.bootstrap_servers
        self.names = TopicNames(f"bench-{uuid.uuid4().hex[:8]}.")
        ensure_topics(KafkaAccess(self.servers), self.names, PARTITIONS)

    def write(self, records: Iterable[Record]) -> None:
        """Append frames."""
        producer = Producer(
            {"bootstrap.servers": self.servers, "partitioner": JAVA_PARTITIONER, "linger.ms": 20}
        )
        for key, value in records:
            while True:
                try:
                    producer.produce(self.names.frames, value, key=key)
                except BufferError:
                    producer.poll(0.1)
                else:
                    break
        assert producer.flush(60) == 0

    @contextmanager
    def egress(self, port: int, instances: int, **settings: str) -> Iterator[list[Service]]:
        """Instances that begin at the log's start; their group is new each time."""
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            services = []
            for number in range(instances):
                home = Path(folder, str(number))
                home.mkdir()
                variables = {
                    "KAFKA_BOOTSTRAP_SERVERS": self.servers,
                    "TOPIC_PREFIX": self.names.prefix,
                    "PARTITIONS": str(PARTITIONS),
                    "MQTT_HOST": "127.0.0.1",
                    "MQTT_PORT": str(port),
                    "EGRESS_OPS_PORT": str(free_port()),
                    "LOG_LEVEL": "warning",
                    **settings,
                }
                services.append(
                    Service("egress", home, int(variables["EGRESS_OPS_PORT"]), variables)
                )
            for service in services:
                stack.callback(service.close)
                service.spawn()
            for service in services:
                service.wait_ready()
            yield services


def _mirror(
    kafka: KafkaBroker | ExistingKafka, broker: Mosquitto, records: list[Record], instances: int
) -> float:
    """A burst onto instances that have their partitions, to the last acknowledgement."""
    log = _Log(kafka)
    with log.egress(broker.port, instances) as services:
        # Every instance has partitions once it has published something of them.
        greeting = [(f"CP{number:06}", records[0][1]) for number in range(200)]
        log.write(greeting)
        while sum(map(_published, services)) < len(greeting):
            time.sleep(_POLL_S)
        time.sleep(_SETTLE_S)
        begin = time.perf_counter()
        log.write(records)
        while sum(map(_published, services)) < len(greeting) + len(records):
            time.sleep(_POLL_S)
        return len(records) / (time.perf_counter() - begin)


def _published(service: Service) -> int:
    url = f"http://127.0.0.1:{service.ops_port}/metrics"
    with urllib.request.urlopen(url) as answer:
        lines = answer.read().decode().splitlines()
    counted = (line for line in lines if line.startswith("chargelog_egress_published_total{"))
    return int(sum(float(line.rsplit(maxsplit=1)[1]) for line in counted))


def _route_only(kafka: KafkaBroker | ExistingKafka, records: list[Record]) -> float:
    """confluent-kafka's consumer and our routing, no MQTT: what reading and decoding take."""
    log = _Log(kafka)
    log.write(records)
    settings = EgressSettings(kafka_bootstrap_servers=log.servers, topic_prefix=log.names.prefix)
    route = routes(settings)[log.names.frames]
    consumer = Consumer(
        {
            "bootstrap.servers": log.servers,
            "group.id": f"bench-{uuid.uuid4().hex}",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([log.names.frames])
    done, begin = 0, 0.0
    while done < len(records):
        for record in consumer.consume(500, timeout=1):
            begin = begin or time.perf_counter()
            route(record.value() or b"", None)
            done += 1
    rate = done / (time.perf_counter() - begin)
    consumer.close()
    return rate


def _latency(kafka: KafkaBroker | ExistingKafka, broker: Mosquitto, number: int) -> None:
    """One frame each 20 ms, from just before it is appended to the subscriber's callback."""
    log = _Log(kafka)
    arrived: dict[str, float] = {}

    def on_message(_client: Client, _userdata: object, message: MQTTMessage) -> None:
        arrived[orjson.loads(message.payload)["requestId"]] = time.perf_counter()

    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.on_message = on_message
    client.connect("127.0.0.1", broker.port)
    client.subscribe("ocpp/messages/#", qos=1)
    client.loop_start()
    frames = [
        msgspec.structs.replace(frame, message_id=f"latency-{sent}")
        for sent, frame in enumerate(
            islice((each for each in fleet_frames(50) if each.kind == "CALL"), number)
        )
    ]
    producer = Producer({"bootstrap.servers": log.servers, "linger.ms": 0})
    encode = frame_codec().encode
    sent: dict[str, float] = {}
    bare: dict[str, float] = {}
    with log.egress(broker.port, 1), _bare_consumer(log, bare):
        time.sleep(2)  # the group has its partitions
        for frame in frames:
            sent[str(frame.message_id)] = time.perf_counter()
            producer.produce(log.names.frames, encode(frame), key=frame.client_id)
            producer.poll(0.02)
        deadline = time.monotonic() + 60
        while not (sent.keys() <= arrived.keys() and sent.keys() <= bare.keys()):
            assert time.monotonic() < deadline, "not everything arrived"
            time.sleep(_POLL_S)
    client.disconnect()
    client.loop_stop()
    figures = {
        name: sorted((times[each] - sent[each]) * 1000 for each in sent)
        for name, times in (("egress", arrived), ("bare", bare))
    }
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        own, peer = (each[int(len(each) * share)] for each in figures.values())
        print(bench_line(f"egress/latency-{name}", own, "ms", "bare-kafka-consumer", peer))


@contextmanager
def _bare_consumer(log: _Log, seen: dict[str, float]) -> Iterator[None]:
    """Reads the same records and does nothing: when Kafka had them ready."""
    consumer = Consumer({"bootstrap.servers": log.servers, "group.id": f"bench-{uuid.uuid4().hex}"})
    consumer.assign([TopicPartition(log.names.frames, number, 0) for number in range(PARTITIONS)])
    done = threading.Event()

    def read() -> None:
        decode = frame_codec().decode
        while not done.is_set():
            for record in consumer.consume(1, timeout=0.1):
                seen[str(decode(record.value() or b"").message_id)] = time.perf_counter()

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        consumer.close()


def _memory(kafka: KafkaBroker | ExistingKafka, records: list[Record], size: Size) -> None:
    """Resident memory behind a broker that accepts a connection and then nothing."""
    small, large = size.of(10_000, 200), size.of(1_000_000, 400)
    peaks: dict[int, float] = {}
    for number in (small, large):
        log = _Log(kafka)
        log.write(islice(cycle(records), number))
        peaks[number] = _peak(log, size.of(30, 2))
    for number, other in ((large, small), (small, large)):
        print(
            bench_line(
                f"egress/memory-with-{number}-behind-a-stalled-broker",
                peaks[number],
                "MB",
                f"{other}-records",
                peaks[other],
            )
        )


def _peak(log: _Log, seconds: int) -> float:
    with _deaf_broker() as port, log.egress(port, 1, MQTT_KEEPALIVE_S="600") as (service,):
        process = psutil.Process(service.pid)
        peak = 0
        for _ in range(seconds * 10):
            peak = max(peak, process.memory_info().rss)
            time.sleep(0.1)
    return peak / 1e6


@contextmanager
def _deaf_broker() -> Iterator[int]:
    """Says CONNACK and never reads on: the slowest broker there can be."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept: list[socket.socket] = []

        def accept() -> None:
            with suppress(OSError):
                while True:
                    peer, _ = server.accept()
                    peer.recv(1000)
                    peer.sendall(b"\x20\x03\x00\x00\x00")
                    kept.append(peer)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield int(server.getsockname()[1])
        # Closing does not wake a thread in accept(); shutting down does.
        server.shutdown(socket.SHUT_RDWR)
    thread.join()
    for peer in kept:
        peer.close()
