"""What the ingress's integration tests share: a running ingress, a client, a reader of the log."""

import asyncio
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from ingress.service import Ingress
from ingress.settings import IngressSettings
from schemas.codec import frame_codec
from schemas.frames import OcppFrame
from schemas.topics import TopicNames

OCPP16 = [Subprotocol("ocpp1.6")]
START = {
    "connectorId": 1,
    "idTag": "04A2B3C4",
    "meterStart": 1000,
    "timestamp": "2023-12-07T10:15:30Z",
}


def ingress_settings(bootstrap_servers: str, prefix: str, **changes: Any) -> IngressSettings:  # noqa: ANN401 - any field's value
    values: dict[str, Any] = {
        "kafka_bootstrap_servers": bootstrap_servers,
        "topic_prefix": prefix,
        "partitions": 4,
        "ingress_port": 0,
        "ingress_ops_port": 0,
        **changes,
    }
    return IngressSettings(_env_file=None, **values)


@asynccontextmanager
async def charge_point(
    ingress: Ingress,
    name: str,
    protocols: list[Subprotocol] | None = OCPP16,
    **options: Any,  # noqa: ANN401 - the client's own
) -> AsyncIterator[ClientConnection]:
    async with connect(
        f"ws://127.0.0.1:{ingress.port}/{name}", subprotocols=protocols, **options
    ) as websocket:
        yield websocket


async def ask(websocket: ClientConnection, message: bytes) -> bytes:
    await websocket.send(message, text=True)
    return await websocket.recv(decode=False)


def call(message_id: str, action: str, payload: object) -> bytes:
    return json.dumps([2, message_id, action, payload]).encode()


def frames_on_log(bootstrap_servers: str, prefix: str) -> list[tuple[int, OcppFrame]]:
    """(partition, frame) of every frame on the log, each partition in order."""
    topic = TopicNames(prefix).frames
    codec = frame_codec()
    consumer = Consumer(
        {"bootstrap.servers": bootstrap_servers, "group.id": "reader", "enable.auto.commit": False}
    )
    found = []
    try:
        for partition in consumer.list_topics(topic, timeout=10).topics[topic].partitions:
            _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
            position = 0
            consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
            while position < end:
                record = consumer.poll(10)
                if record is None or record.error():
                    raise KafkaException(record and record.error())
                offset, value = record.offset(), record.value()
                assert offset is not None
                assert value is not None
                position = offset + 1
                frame = codec.decode(value)
                assert record.key() == frame.client_id.encode()
                found.append((partition, frame))
    finally:
        consumer.close()
    return found


@contextmanager
def service_process(**variables: str) -> Iterator[subprocess.Popen[str]]:
    running = subprocess.Popen(
        [sys.executable, "-m", "ingress"],
        env={**os.environ, **variables},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def _readiness(port: int) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz") as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except urllib.error.URLError:
        return 0, "not listening"


async def until_status(port: int, status: int) -> str:
    async with asyncio.timeout(60):
        while True:
            found, text = await asyncio.to_thread(_readiness, port)
            if found == status:
                return text
            await asyncio.sleep(0.05)
