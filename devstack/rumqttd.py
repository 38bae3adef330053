"""The MQTT broker's process: rumqttd, and a websocket listener in front of its MQTT 5 port.

rumqttd 0.20 (in iotcore 0.4.0) has a websocket listener of its own, which speaks MQTT 3.1.1 only
and panics at the first message that an MQTT 5 client published with properties
(rumqttd/src/protocol/v4/mod.rs:364: `unreachable!`), as the egress does. So browsers come in here:
a websocket's binary messages and a TCP connection's bytes are the same stream (MQTT 5 §6).
`tests/integration/test_devstack_brokers.py` tells when this can go.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from iotcore.iotcore import IotCoreBroker
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from devstack.process import LOCALHOST

_SUBPROTOCOL: Final = Subprotocol("mqtt")
_CHUNK: Final = 64 * 1024


async def relay(websocket_port: int, mqtt_port: int, listening: Callable[[], None]) -> None:
    """Accept websockets for ever, and connect each to MQTT's port.

    Args:
        websocket_port: Where to listen.
        mqtt_port: Where the broker listens.
        listening: Called once `websocket_port` is ours.

    Raises:
        OSError: `websocket_port` is taken.
    """

    async def connected(websocket: ServerConnection) -> None:
        try:
            reader, writer = await asyncio.open_connection(LOCALHOST, mqtt_port)
        except OSError:
            return  # the websocket closes with the handler, and the client tries again
        tasks = (
            asyncio.create_task(_outwards(reader, websocket)),
            asyncio.create_task(_inwards(websocket, writer)),
        )
        try:
            # Whichever side ends first ends the other.
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            writer.close()

    async with serve(
        connected,
        LOCALHOST,
        websocket_port,
        subprotocols=[_SUBPROTOCOL],
        compression=None,
        max_size=None,  # the broker has its own limit
        # MQTT's own keepalive finds dead peers.
        ping_interval=None,
    ) as server:
        listening()
        await server.serve_forever()


async def _outwards(reader: asyncio.StreamReader, websocket: ServerConnection) -> None:
    with contextlib.suppress(ConnectionClosed, OSError):
        while data := await reader.read(_CHUNK):
            await websocket.send(data)


async def _inwards(websocket: ServerConnection, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionClosed, OSError):
        async for data in websocket:
            if isinstance(data, str):
                return  # MQTT 5 §6: a text frame ends the connection
            writer.write(data)
            await writer.drain()


def main(argv: list[str] | None = None) -> None:
    """Run both until the process is ended."""
    parser = argparse.ArgumentParser(prog="python -m devstack.rumqttd")
    parser.add_argument("--config", type=Path, required=True, help="rumqttd's TOML file")
    parser.add_argument("--websocket-port", type=int, required=True)
    parser.add_argument("--mqtt-port", type=int, required=True, help="rumqttd's MQTT 5 listener")
    arguments = parser.parse_args(argv)
    # rumqttd logs its tracing spans as errors, one for each packet: only what ends it counts.
    logging.basicConfig(level=logging.CRITICAL)
    broker = IotCoreBroker(config_path=str(arguments.config))

    def run() -> None:
        try:
            broker.run_forever()
        except OSError as error:
            sys.stderr.write(f"rumqttd: {error}\n")
            sys.stderr.flush()
            # Not only this thread: a broker without its ports must not look like one.
            os._exit(1)

    # rumqttd has no way to be stopped but the end of its process, so it gets the spare thread;
    # and only once the websocket port is ours, so that whoever waits for all ports waits for both.
    thread = threading.Thread(target=run, daemon=True)
    try:
        asyncio.run(relay(arguments.websocket_port, arguments.mqtt_port, thread.start))
    except OSError as error:
        raise SystemExit(f"rumqttd: websockets: {error}") from None


if __name__ == "__main__":
    main()
