"""Hostile frames and attacks against a real ingress process with a real Kafka.

Several connections send mutated frames, as text, binary, fragmented and compressed messages, while
attackers work on handshakes and sockets. Checked: each CALL is answered once, in order, and nothing
else is; each frame and each answer is on the log, byte for byte, in order; a well-behaved charge
point on the same server is served all the time; the process lives, and its memory stays bounded.

    python tests/fuzz/fuzz_socket.py --frames 50000 --seed 1
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
import uuid
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attacks
import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from judge import complaint
from mutations import Mutator
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from devstack.existing import kafka_broker, named_kafka
from devstack.process import free_port
from devstack.service import Service
from ingress.protocol.versions import VERSIONS
from schemas.codec import frame_codec
from schemas.topics import TopicNames

_CONNECTIONS: Final = 20
_MAX_FRAME_BYTES: Final = 128 * 1024
_SENTINEL: Final = "sentinel"
_BATCH: Final = 10
_WAIT_S: Final = 180.0
_CALM_PAUSE_S: Final = 0.1
_CALM_LIMIT_S: Final = 15.0
"""The well-behaved charge point's longest wait that is taken for undisturbed, on a busy machine."""
_MEMORY_MB: Final = 400
"""Upper bound of the process's memory under attack; at rest it takes some 100 MB."""


class Exchange(msgspec.Struct):
    """What one hostile connection sent and got, in order."""

    name: str
    protocol: str
    sent: list[bytes] = []
    answers: list[bytes] = []


class Calm(msgspec.Struct):
    """What the well-behaved charge point met."""

    calls: int = 0
    slowest_s: float = 0.0


async def hostile(port: int, exchange: Exchange, frames: Sequence[bytes], seed: str) -> None:
    """Send the frames in batches, each ended by a CALL whose answer tells that all were handled.

    Not all at once: the server reads no faster than it writes the log, and pongs of a peer that
    goes on sending stand in line behind its frames.
    """
    dice = random.Random(seed)  # noqa: S311 - a seed is to repeat a run, not a secret
    compression = dice.choice((None, "deflate"))
    url = f"ws://{attacks.HOST}:{port}/{exchange.name}"
    async with connect(
        url,
        subprotocols=[Subprotocol(exchange.protocol)],
        compression=compression,
        max_size=None,
    ) as websocket:
        for start in range(0, len(frames), _BATCH):
            sentinel = f"{_SENTINEL}-{start}"
            batch = [*frames[start : start + _BATCH], _call(sentinel)]
            reading = asyncio.create_task(_read_until(websocket, exchange, sentinel))
            for frame in batch:
                exchange.sent.append(frame)
                await _send(websocket, frame, dice)
            async with asyncio.timeout(_WAIT_S):
                await reading


def _call(message_id: str) -> bytes:
    return json.dumps([2, message_id, "Heartbeat", {}]).encode()


async def _send(websocket: ClientConnection, frame: bytes, dice: random.Random) -> None:
    text = dice.random() < 9 / 10  # a binary message is taken as what it holds
    if len(frame) > 1 and dice.random() < 1 / 10:
        cut = dice.randrange(1, len(frame))
        await websocket.send([frame[:cut], frame[cut:]], text=text)
    else:
        await websocket.send(frame, text=text)


async def _read_until(websocket: ClientConnection, exchange: Exchange, sentinel: str) -> None:
    head = f'[3,"{sentinel}"'.encode()
    while not exchange.answers or not exchange.answers[-1].startswith(head):
        exchange.answers.append(await websocket.recv(decode=False))


async def well_behaved(port: int, calm: Calm) -> None:
    """One CALL after another on one connection; each is answered, and soon."""
    url = f"ws://{attacks.HOST}:{port}/CALM"
    async with connect(url, subprotocols=attacks.OCPP16) as websocket:
        while True:
            began = time.monotonic()
            message_id = f"calm-{calm.calls}"
            await websocket.send(_call(message_id), text=True)
            async with asyncio.timeout(_CALM_LIMIT_S):
                answer = json.loads(await websocket.recv())
            if answer[:2] != [3, message_id]:
                raise AssertionError(f"the well-behaved charge point got {answer!r}")
            calm.calls += 1
            calm.slowest_s = max(calm.slowest_s, time.monotonic() - began)
            await asyncio.sleep(_CALM_PAUSE_S)


def memory_mb(pid: int, field: str) -> int:
    """VmRSS (now) or VmHWM (the highest) of a process, from Linux's /proc."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith(field))
    return int(line.split()[1]) // 1024


def compare(exchange: Exchange, logged: Sequence[tuple[str, bytes]]) -> Iterator[str]:
    """What is wrong with a connection's answers, and with the log of it.

    Args:
        exchange: As the peer saw it.
        logged: (direction, raw) of each of its frames on the log, in order.
    """
    answers = iter(exchange.answers)
    pending = next(answers, None)
    for raw in exchange.sent:
        found = complaint(raw, pending, exchange.protocol)
        # No answer where the next one belongs to a later frame.
        if found is not None and complaint(raw, None, exchange.protocol) is None:
            continue
        if found is not None:
            yield f"{found}: {raw[:300]!r} answered {pending!r:.200}"
            return
        if pending is not None and complaint(raw, pending, exchange.protocol) is None:
            pending = next(answers, None)
    if pending is not None:
        yield f"an answer too many: {pending!r:.200}"
    for direction, expected in (("inbound", exchange.sent), ("outbound", exchange.answers)):
        found_raws = [raw for way, raw in logged if way == direction]
        if found_raws != expected:
            wrong = next(
                (n for n, (a, b) in enumerate(zip(found_raws, expected, strict=False)) if a != b),
                min(len(found_raws), len(expected)),
            )
            yield (
                f"{exchange.name}: {len(found_raws)} {direction} frames on the log, "
                f"{len(expected)} on the wire; they differ from number {wrong} on"
            )


def log_of(bootstrap_servers: str, prefix: str) -> dict[str, list[tuple[str, bytes]]]:
    """Identity → (direction, raw) of each of its frames, in the order of the log."""
    topic = TopicNames(prefix).frames
    codec = frame_codec()
    consumer = Consumer(
        {"bootstrap.servers": bootstrap_servers, "group.id": "fuzz", "enable.auto.commit": False}
    )
    found: dict[str, list[tuple[str, bytes]]] = {}
    try:
        for partition in consumer.list_topics(topic, timeout=30).topics[topic].partitions:
            _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)
            consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
            position = 0
            while position < end:
                for record in consumer.consume(1000, timeout=0.5):
                    offset, value = record.offset(), record.value()
                    if record.error() or offset is None or value is None:
                        raise AssertionError(f"reading the log: {record.error()}")
                    frame = codec.decode(value)
                    found.setdefault(frame.client_id, []).append((frame.direction, frame.raw))
                    position = offset + 1
    finally:
        consumer.close()
    return found


@contextmanager
def ingress(bootstrap_servers: str, prefix: str) -> Iterator[tuple[Service, int]]:
    """A real ingress process with short limits of time; its port."""
    port, ops_port = free_port(), free_port()
    variables = {
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
        "TOPIC_PREFIX": prefix,
        "PARTITIONS": "4",
        "INGRESS_PORT": str(port),
        "INGRESS_OPS_PORT": str(ops_port),
        "INGRESS_MAX_FRAME_BYTES": str(_MAX_FRAME_BYTES),
        "INGRESS_MAX_FRAMES_PER_S": "2000",
        "INGRESS_OPEN_TIMEOUT_S": "3",
        "INGRESS_PING_INTERVAL_S": "3",
        "INGRESS_PING_TIMEOUT_S": "15",
        "KAFKA_TIMEOUT_S": "60",
        "LOG_LEVEL": "error",
    }
    with tempfile.TemporaryDirectory(prefix="chargelog-fuzz-") as directory:
        service = Service("ingress", Path(directory), ops_port, variables)
        with service:
            yield service, port


async def attack(port: int, exchanges: list[Exchange], frames: int, seed: str) -> Calm:
    """Everything at once. Raises what went wrong first."""
    calm = Calm()
    mutators = [Mutator(protocol, seed) for protocol in VERSIONS]
    attackers: list[Coroutine[Any, Any, None]] = [
        attacks.hostile_paths(port),
        attacks.slow_loris(port, 300),
        attacks.half_open(port, 100),
        attacks.never_read(port, 5),
        attacks.too_big(port, _MAX_FRAME_BYTES),
        attacks.broken_websocket(port),
        attacks.reconnecting(port, 100),
        attacks.hoarding(port, 50, _MAX_FRAME_BYTES - 1024),
    ]
    for number in range(_CONNECTIONS):
        mutator = mutators[number % len(mutators)]
        exchange = Exchange(f"FUZZ-{number}", mutator.protocol, [], [])
        exchanges.append(exchange)
        made = (mutator.frame() for _ in range(frames // _CONNECTIONS))
        share = [raw for raw in made if len(raw) < _MAX_FRAME_BYTES]
        attackers.append(hostile(port, exchange, share, f"{seed}/{number}"))
    watching = asyncio.create_task(well_behaved(port, calm))
    try:
        async with asyncio.TaskGroup() as group:
            attacking = [group.create_task(attacker) for attacker in attackers]
            done = group.create_task(asyncio.wait(attacking))
            await asyncio.wait({watching, done}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                await watching  # it ends by an error only
    finally:
        watching.cancel()
    return calm


def main() -> int:
    """1 if anything is wrong; the last line says what was tried."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--frames", type=int, default=50_000)
    parser.add_argument("--seed", default="1")
    arguments = parser.parse_args()
    prefix = f"fuzz-{uuid.uuid4().hex[:8]}."
    broker = kafka_broker(named_kafka()).start()
    began = time.monotonic()
    exchanges: list[Exchange] = []
    try:
        with ingress(broker.bootstrap_servers, prefix) as (service, port):
            at_rest = memory_mb(service.pid, "VmRSS")
            calm = asyncio.run(attack(port, exchanges, arguments.frames, arguments.seed))
            highest = memory_mb(service.pid, "VmHWM")
            after = memory_mb(service.pid, "VmRSS")
            exit_code = service.exit_code
            errors = service.log_tail(30)
        logged = log_of(broker.bootstrap_servers, prefix)
    finally:
        broker.close()
    findings = [text for e in exchanges for text in compare(e, logged.get(e.name, []))]
    if exit_code is not None:
        findings.append(f"the ingress ended with {exit_code}")
    if "Traceback" in errors or "exc_info" in errors or '"exception"' in errors:
        findings.append(f"the ingress logged a defect: {errors}")
    if highest > _MEMORY_MB:
        findings.append(f"the ingress took {highest} MB; {_MEMORY_MB} is the bound")
    for text in findings:
        print(f"FINDING {text}")
    print(
        f"fuzz socket: seed {arguments.seed}: {sum(len(e.sent) for e in exchanges):,} frames in "
        f"{time.monotonic() - began:.0f} s, {sum(len(e.answers) for e in exchanges):,} answers, "
        f"all on the log; well-behaved charge point: {calm.calls} calls, slowest "
        f"{calm.slowest_s:.2f} s; memory {at_rest} MB at rest, {highest} at most, {after} after; "
        f"{len(findings)} findings"
    )
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
