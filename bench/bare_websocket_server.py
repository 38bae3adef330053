"""The ingress's peer: a bare `websockets` server that parses each frame and sends it back.

No log, no validation, no state; otherwise as the ingress: uvloop, one process, the same limits.

    python -m bench.bare_websocket_server <port>
"""

import sys

import orjson
import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol


async def _echo(websocket: ServerConnection) -> None:
    async for message in websocket:
        orjson.loads(message)
        await websocket.send(message, text=True)


async def _serve(port: int) -> None:
    protocols = [Subprotocol("ocpp1.6")]
    async with serve(
        _echo, "127.0.0.1", port, subprotocols=protocols, ping_interval=30, backlog=4096
    ) as server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
