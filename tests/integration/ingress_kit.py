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

from kafka_log import committed_records, key_and_value
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
    codec = frame_codec()
    found = []
    for record in committed_records(bootstrap_servers, TopicNames(prefix).frames):
        key, value = key_and_value(record)
        partition, frame = record.partition(), codec.decode(value)
        assert partition is not None
        assert key == frame.client_id.encode()
        found.append((partition, frame))
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
