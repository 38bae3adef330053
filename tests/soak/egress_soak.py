"""Two egress instances between a real Kafka and a real MQTT broker, while everything breaks.

    make soak SOAK=egress [DURATION=seconds]

Faults come in a seeded order until the time is over, each at least once, on mosquitto and then on
the embedded broker. A subscriber with a persistent session, next to the broker and not behind the
hop that stalls and drops, writes down what arrives; `egress_verdict` compares it with the log. The
last line says what was tried, lost and repeated; exit code 1 if a promise was broken.
"""

import argparse
import asyncio
import contextlib
import os
import random
import signal
import sys
import tempfile
import threading
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from confluent_kafka import Consumer, Producer, TopicPartition
from egress_hop import Hop
from egress_verdict import Arrival, Fault, Strand, Verdict, judge
from kafka_log import committed_records
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from devstack.kafka import KafkaBroker
from devstack.mqtt import Mosquitto, MqttBroker
from devstack.process import free_port
from devstack.service import Service
from egress.worker import GROUP, MAX_UNRECORDED
from runtime.kafka import JAVA_PARTITIONER
from schemas.codec import dead_letter_codec, event_codec, frame_codec
from schemas.events import BusinessEvent, StatusChanged
from schemas.frames import OcppFrame
from schemas.records import DeadLetter
from schemas.topic_admin import ensure_topics
from schemas.topics import TopicNames

PARTITIONS: Final = 4
CHARGE_POINTS: Final = tuple(f"CP{number:02}" for number in range(24))
DENIED: Final = "CP07"
RATE: Final = 20
"""Records of each charge point a second."""
DRAIN_S: Final = 240.0

Break: TypeAlias = Callable[["Soak"], Awaitable[int]]
"""Breaks something, mends it; how many messages may come twice because of it."""


class GuardedMosquitto(Mosquitto):
    """A mosquitto whose access list can forbid one charge point to everyone but the subscriber."""

    def prepare(self) -> None:
        """Write the configuration and the list."""
        super().prepare()
        self.deny(None)
        with self._config.open("a", encoding="utf-8") as config:
            config.write(f"acl_file {self.directory}/acl\n")
            # Every second; the test broker's setting saves all of it at each change.
            config.write("autosave_on_changes false\nautosave_interval 1\n")

    def deny(self, charge_point: str | None) -> None:
        """Forbid its messages, or nothing."""
        lines = [] if charge_point is None else [f"topic deny ocpp/messages/{charge_point}/#"]
        lines += ["topic readwrite #", "user subscriber", "topic read #", ""]
        Path(self.directory, "acl").write_text("\n".join(lines), encoding="utf-8")
        if self.running:
            os.kill(self.pid, signal.SIGHUP)


WINDOW: Final = {GuardedMosquitto: 20, MqttBroker: 1000}
"""Their Receive Maximum."""


class Subscriber:
    """A field system that keeps its session (MQTT 5)."""

    def __init__(self, port: int, clock: Callable[[], float]) -> None:
        self.arrivals: list[Arrival] = []
        self.subscribed = 0
        self._clock = clock
        self._ready = threading.Event()
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id="field-system",
            protocol=MQTTProtocolVersion.MQTTv5,
        )
        self._client.username_pw_set("subscriber")
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._subscribe
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        keep = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho's
        keep.SessionExpiryInterval = 3600
        self._client.connect("127.0.0.1", port, 5, clean_start=False, properties=keep)
        self._client.loop_start()
        if not self._ready.wait(30):
            raise SystemExit("the subscriber got no SUBACK")

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _subscribe(self, *_: object) -> None:
        self._client.subscribe([("ocpp/#", 1), ("csms/#", 1)])

    def _on_subscribe(self, *_: object) -> None:
        self.subscribed += 1
        self._ready.set()

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        stream, _, charge_point = message.topic.split("/")[:3]
        properties = getattr(message.properties, "UserProperty", ())
        self.arrivals.append(
            Arrival((stream, charge_point), dict(properties)["eventId"], self._clock(), message.dup)
        )


class Soak:
    """One broker's run."""

    def __init__(
        self, broker: GuardedMosquitto | MqttBroker, kafka: KafkaBroker, home: Path
    ) -> None:
        self.broker = broker
        self.kafka = kafka
        self.names = TopicNames(f"soak-{uuid.uuid4().hex[:8]}.")
        self.hop = Hop(("127.0.0.1", broker.port))
        self.faults: list[Fault] = []
        self.kills: list[float] = []
        self.workers: list[Service] = []
        self._home = home
        self.clock = asyncio.get_running_loop().time
        self.subscriber = Subscriber(broker.port, self.clock)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Two instances, and load."""
        await asyncio.to_thread(ensure_topics, self.kafka.access, self.names, PARTITIONS)
        await self.hop.start()
        self.workers = [self._worker(name) for name in ("one", "two")]
        loading = None
        try:
            await asyncio.gather(*(asyncio.to_thread(each.start) for each in self.workers))
            loading = asyncio.create_task(self._load())
            yield
            loading.cancel()
            await asyncio.wait({loading})
            await self._drained()
        finally:
            if loading is not None:
                loading.cancel()
            for each in self.workers:
                await asyncio.to_thread(each.close)
            await self.hop.stop()
            self.subscriber.close()

    async def suffer(self, name: str, fault: Break) -> None:
        """One fault, from its beginning to its end."""
        begin, before = self.clock(), len(self.subscriber.arrivals)
        self.faults.append(Fault(name, begin, 0))
        repeats = await fault(self)
        self.faults[-1] = Fault(name, begin, repeats)
        await asyncio.sleep(0.5)
        arrived = len(self.subscriber.arrivals) - before
        print(f"  {name}: {self.clock() - begin:.1f} s, {arrived} messages", flush=True)

    def verdict(self) -> Verdict:
        """What the subscriber saw against what is on the log now."""
        log, places = self._read_log()
        dead = frozenset(
            places[letter.topic, letter.partition, letter.offset]
            for letter in self._read_dead_letters()
            if (letter.topic, letter.partition, letter.offset) in places
        )
        near_kill = frozenset(
            event_id
            for event_id, at in self.hop.acknowledged
            if any(kill - 10 < at < kill + 1 for kill in self.kills)
        )
        # A stream of a charge point has one message in flight; the broker may allow fewer.
        in_flight = min(2 * len(CHARGE_POINTS), WINDOW[type(self.broker)])
        repeats = self.hop.ended * in_flight
        lost_connections = Fault("connections lost", self.faults[0].begin, repeats)
        return judge(
            log,
            self.subscriber.arrivals,
            [*self.faults, lost_connections],
            dead_letters=dead,
            acknowledged_before_kill=near_kill,
        )

    def _worker(self, name: str) -> Service:
        variables = {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "TOPIC_PREFIX": self.names.prefix,
            "PARTITIONS": str(PARTITIONS),
            "MQTT_HOST": "127.0.0.1",
            "MQTT_PORT": str(self.hop.port),
            "MQTT_KEEPALIVE_S": "2",
            "MQTT_REFUSED_TRIES": "2",
            "EGRESS_OPS_PORT": str(port := free_port()),
        }
        home = self._home / f"{self.names.prefix}{name}"
        home.mkdir()
        return Service("egress", home, port, variables)

    async def _load(self) -> None:
        producer = Producer(
            {
                "bootstrap.servers": self.kafka.bootstrap_servers,
                "partitioner": JAVA_PARTITIONER,
                "enable.idempotence": True,
                "linger.ms": 20,
                "log_level": 0,  # that Kafka is away is what is being tried
            }
        )
        frames, events = frame_codec(), event_codec()
        number = 0
        try:
            while True:
                for charge_point in CHARGE_POINTS:
                    number += 1
                    business = number % 3 == 0
                    producer.produce(
                        self.names.events if business else self.names.frames,
                        events.encode(_event(charge_point, number))
                        if business
                        else frames.encode(_frame(charge_point, number)),
                        key=charge_point,
                    )
                if not number % 5000:
                    producer.produce(self.names.frames, b"rubbish", key=CHARGE_POINTS[0])
                producer.poll(0)
                await asyncio.sleep(1 / RATE)
        finally:
            await asyncio.to_thread(producer.flush, 60)

    async def _drained(self) -> None:
        """Until every offset is committed, and the subscriber got the rest."""
        async with asyncio.timeout(DRAIN_S):
            while await asyncio.to_thread(self._uncommitted):  # noqa: ASYNC110 - Kafka can't set an event
                await asyncio.sleep(0.5)
            quiet = -1
            while quiet != len(self.subscriber.arrivals):
                quiet = len(self.subscriber.arrivals)
                await asyncio.sleep(2)

    def _uncommitted(self) -> int:
        with _consumer(self.kafka, self.names.prefix + GROUP) as consumer:
            everything = [
                TopicPartition(topic, number)
                for topic in (self.names.frames, self.names.events)
                for number in range(PARTITIONS)
            ]
            owed = 0
            for tp in consumer.committed(everything, timeout=30):
                _, end = consumer.get_watermark_offsets(tp, timeout=30)
                owed += end - max(0, tp.offset)
            return owed

    def _read_log(self) -> tuple[dict[Strand, list[str]], dict[tuple[str, int, int], str]]:
        log: dict[Strand, list[str]] = {}
        places: dict[tuple[str, int, int], str] = {}
        frames, events = frame_codec(), event_codec()
        for topic, partition, offset, value in _read(self.kafka, self.names.frames):
            if value != b"rubbish":
                frame = frames.decode(value)
                event_id = f"{frame.connection_id}:{frame.received_at_ns}"
                log.setdefault(("ocpp", frame.client_id), []).append(event_id)
                places[topic, partition, offset] = event_id
        for topic, partition, offset, value in _read(self.kafka, self.names.events):
            event = events.decode(value)
            log.setdefault(("csms", event.client_id), []).append(event.event_id)
            places[topic, partition, offset] = event.event_id
        return log, places

    def _read_dead_letters(self) -> list[DeadLetter]:
        codec = dead_letter_codec()
        return [codec.decode(value) for *_, value in _read(self.kafka, self.names.dead_letter)]


async def cut(soak: Soak) -> int:
    """Every connection is reset."""
    soak.hop.cut()
    return 0


async def stall(soak: Soak) -> int:
    """Nothing is passed on for longer than the keep-alive time."""
    soak.hop.stalled = True
    await asyncio.sleep(3)
    soak.hop.stalled = False
    return 0


async def stop_broker(soak: Soak) -> int:
    """The broker ends in order and comes back."""
    return await _restart_broker(soak, lambda broker: broker.stop())


async def kill_broker(soak: Soak) -> int:
    """The broker is SIGKILLed and comes back."""
    return await _restart_broker(soak, lambda broker: broker.kill())


async def _restart_broker(
    soak: Soak, end: Callable[[GuardedMosquitto | MqttBroker], object]
) -> int:
    subscribed = soak.subscriber.subscribed
    soak.kills.append(soak.clock())
    await asyncio.to_thread(end, soak.broker)
    await asyncio.sleep(1)
    # A broker that forgets its sessions must have its subscriber before it is given messages.
    soak.hop.up = isinstance(soak.broker, Mosquitto)
    await asyncio.to_thread(soak.broker.start)
    async with asyncio.timeout(60):
        while soak.subscriber.subscribed == subscribed:  # noqa: ASYNC110 - paho's thread changes it
            await asyncio.sleep(0.05)
    soak.hop.up = True
    return 0


async def refuse_topic(soak: Soak) -> int:
    """The access list forbids one charge point for a while."""
    assert isinstance(soak.broker, GuardedMosquitto)
    soak.broker.deny(DENIED)
    await asyncio.sleep(2)
    soak.broker.deny(None)
    await asyncio.sleep(1)
    return 0


async def exceed_quota(soak: Soak) -> int:
    """Some publications are answered with 0x97, quota exceeded."""
    soak.hop.refuse = 3
    async with asyncio.timeout(60):
        while soak.hop.refuse:  # noqa: ASYNC110 - the hop counts it down
            await asyncio.sleep(0.05)
    return 0


async def restart_kafka(soak: Soak) -> int:
    """Kafka ends and comes back."""
    await asyncio.to_thread(soak.kafka.stop)
    await asyncio.to_thread(soak.kafka.start)
    return MAX_UNRECORDED * len(soak.workers)


async def kill_egress(soak: Soak) -> int:
    """One instance is SIGKILLed; the other takes over; it comes back."""
    victim = soak.workers[0]
    await asyncio.to_thread(victim.kill)
    await asyncio.to_thread(victim.start)
    return MAX_UNRECORDED


async def rebalance(soak: Soak) -> int:
    """One instance leaves in order and joins again; a commit may come too late for the group."""
    worker = soak.workers[1]
    await asyncio.to_thread(worker.stop)
    await asyncio.to_thread(worker.start)
    return MAX_UNRECORDED


ON_MOSQUITTO: Final[dict[str, Break]] = {
    "connections cut": cut,
    "network stalled": stall,
    "broker stopped": stop_broker,
    "broker killed": kill_broker,
    "topic refused": refuse_topic,
    "quota exceeded": exceed_quota,
    "Kafka restarted": restart_kafka,
    "egress killed": kill_egress,
    "egress stopped and started": rebalance,
}
ON_EMBEDDED: Final[dict[str, Break]] = {
    "connections cut": cut,
    "network stalled": stall,
    "broker killed": kill_broker,
    "egress stopped and started": rebalance,
}


def _event(charge_point: str, number: int) -> BusinessEvent:
    return BusinessEvent(
        timestamp=number,
        client_id=charge_point,
        event_type="status_changed",
        event_id=f"status_changed_{number}",
        payload=StatusChanged(
            connector_id=1,
            status="Charging",
            previous_status="Preparing",
            transaction_id=number,
            error_code="NoError",
        ),
    )


def _frame(charge_point: str, number: int) -> OcppFrame:
    return OcppFrame(
        client_id=charge_point,
        received_at_ns=number,
        direction="inbound",
        protocol="ocpp1.6",
        kind="CALL",
        message_id=str(number),
        action="DataTransfer",
        raw=b'[2,"%d","DataTransfer",{"n":%d}]' % (number, number),
        connection_id="c",
    )


@contextlib.contextmanager
def _consumer(kafka: KafkaBroker, group: str) -> Iterator[Consumer]:
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap_servers,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    try:
        yield consumer
    finally:
        consumer.close()


def _read(kafka: KafkaBroker, topic: str) -> list[tuple[str, int, int, bytes]]:
    """Everything on a topic."""
    return [
        (topic, record.partition() or 0, record.offset() or 0, record.value() or b"")
        for record in committed_records(kafka.bootstrap_servers, topic)
    ]


async def suffer_all(
    start: Callable[[], Soak], faults: dict[str, Break], seconds: float, dice: random.Random
) -> Verdict:
    """One broker's faults, each at least once, until the time is over."""
    run = start()
    end = run.clock() + seconds
    async with run.running():
        # Without a fault nothing may come twice.
        await asyncio.sleep(3)
        while True:
            for name in dice.sample(list(faults), len(faults)):
                await run.suffer(name, faults[name])
            if run.clock() >= end:
                break
    return await asyncio.to_thread(run.verdict)


def _print(name: str, verdict: Verdict, faults: int) -> None:
    print(
        f"{name}: {verdict.events} events, {verdict.arrived} arrived, "
        f"{verdict.dead_lettered} dead-lettered, "
        f"{verdict.dropped_by_broker} dropped by the killed broker, {faults} faults; "
        f"lost {verdict.lost}, out of order {verdict.out_of_order}, "
        f"repeated {verdict.repeated} (faults explain up to {verdict.allowed}), "
        f"repeated without a fault {verdict.unexplained}, invented {verdict.invented}",
        flush=True,
    )


def main() -> int:
    """Soak; 1 if a promise was broken."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--duration", type=float, default=300, help="seconds, of both brokers together"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the faults' order")
    arguments = parser.parse_args()
    dice = random.Random(arguments.seed)  # noqa: S311 - an order of faults, not a secret
    good = True
    with tempfile.TemporaryDirectory() as folder, KafkaBroker(Path(folder, "kafka")) as kafka:
        for name, kind, faults, share in (
            ("mosquitto", GuardedMosquitto, ON_MOSQUITTO, 0.7),
            ("embedded", MqttBroker, ON_EMBEDDED, 0.3),
        ):
            print(f"{name}:", flush=True)
            home = Path(folder, name)
            home.mkdir()
            with kind(home) as broker:
                start = partial(Soak, broker, kafka, home)
                seconds = arguments.duration * share
                verdict = asyncio.run(suffer_all(start, faults, seconds, dice))
            _print(f"SOAK egress on {name}", verdict, len(faults))
            good = good and verdict.good
    print(f"SOAK egress {'kept every promise' if good else 'BROKE A PROMISE'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
