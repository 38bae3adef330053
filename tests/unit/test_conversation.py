import asyncio
from types import SimpleNamespace
from typing import Any, cast

from websockets.server import ServerProtocol

from ingress.commands.downstream import Downstream
from ingress.commands.line import WebsocketLine
from ingress.conversation import Conversation
from ingress.exchange import Exchange
from ingress.pace import Pace
from ingress.protocol import versions
from ingress.protocol.session import Session
from ingress.websocket.budget import Budget
from ingress.websocket.message_connection import MessageConnection


class Attached:
    """What is attached to the downstream."""

    def __init__(self) -> None:
        self.lines: list[WebsocketLine] = []

    def attach(self, line: WebsocketLine) -> None:
        self.lines.append(line)

    def detach(self, line: WebsocketLine) -> None:
        self.lines.remove(line)


class Wire(asyncio.Transport):
    """A transport to nowhere."""

    def write(self, data: Any) -> None:  # noqa: ANN401 - as its base
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


async def test_connection_that_was_lost_while_its_handshake_was_answered_is_over_at_once() -> None:
    # A window of one turn of the event loop, where writing the answer fails (websockets 17.4,
    # asyncio/connection.py, `drain`): no real peer hits it at will.
    async def handler(_: object) -> None:
        pass

    server = SimpleNamespace(handler=handler, handler_tasks=set())
    websocket = MessageConnection(ServerProtocol(), cast("Any", server), budget=Budget(1 << 20))
    websocket.connection_made(Wire())
    websocket.connection_lost(ConnectionResetError())
    session = Session(
        client_id="CP1",
        connection_id="c",
        version=versions.VERSIONS["ocpp1.6"],
        mode="lenient",
        heartbeat_interval_s=60,
    )
    attached = Attached()
    conversation = Conversation(
        websocket,
        session,
        cast("Exchange", None),  # nothing comes to it
        cast("Downstream", attached),
        Pace(1, 0),
    )
    async with asyncio.timeout(60):
        await conversation.run()
    assert attached.lines == []
