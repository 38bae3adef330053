"""A TCP hop before an MQTT broker that stalls, drops, refuses, and keeps account."""

import asyncio
import contextlib
from typing import Final

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from egress.packets import PUBACK, PacketReader, read_acknowledgement, variable_length

_PUBLISH: Final = 0x30
_FAILURE: Final = 0x80
_QUOTA_EXCEEDED: Final = 0x97


class Hop:
    """Sits between the egress instances and the broker, reads along (MQTT 5, QoS 1).

    Attributes:
        port: To connect to.
        up: False: nobody gets in.
        stalled: True: nothing is passed on, in either direction, and no connection is closed.
        refuse: Number of publications to swallow and to answer with 0x97, quota exceeded.
        acknowledged: (event id, time) of each publication that the broker took.
        ended: Connections that have ended.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.port = 0
        self.up = True
        self.stalled = False
        self.refuse = 0
        self.acknowledged: list[tuple[str, float]] = []
        self.ended = 0
        self._target = target
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening, cut what is open."""
        if self._server is not None:
            self._server.close()
        self.cut()

    def cut(self) -> None:
        """Reset every connection, whatever is under way."""
        for writer in self._open:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back_writer = None
        if self.up:
            with contextlib.suppress(OSError):
                back_reader, back_writer = await asyncio.open_connection(*self._target)
        if back_writer is None:
            writer.transport.abort()
            return
        self._open |= {writer, back_writer}
        under_way: dict[int, str] = {}
        up = asyncio.create_task(self._up(reader, back_writer, writer, under_way))
        down = asyncio.create_task(self._down(back_reader, writer, under_way))
        await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        # What the broker still said before it went counts.
        writer.transport.abort()
        back_writer.transport.abort()
        await asyncio.wait({up, down}, timeout=1)
        for task in (up, down):
            task.cancel()
        await asyncio.gather(up, down, return_exceptions=True)
        self.ended += 1
        self._open -= {writer, back_writer}

    async def _up(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answers: asyncio.StreamWriter,
        under_way: dict[int, str],
    ) -> None:
        packets = PacketReader()
        while chunk := await reader.read(65_536):
            await self._not_stalled()
            passed, refusals = bytearray(), bytearray()
            for first, body in packets.feed(chunk):
                if first & 0xF0 == _PUBLISH:
                    packet_id, event_id = _publication(body)
                    under_way[packet_id] = event_id
                    if self.refuse:
                        self.refuse -= 1
                        refusals += b"\x40\x03" + packet_id.to_bytes(2, "big")
                        refusals.append(_QUOTA_EXCEEDED)
                        continue
                passed += bytes((first,)) + variable_length(len(body)) + body
            # In one piece each: asyncio complains of further writes after a connection was cut,
            # which may have been while it was stalled.
            answers.write(refusals)
            writer.write(passed)
            await writer.drain()

    async def _down(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        under_way: dict[int, str],
    ) -> None:
        packets = PacketReader()
        while chunk := await reader.read(65_536):
            await self._not_stalled()
            now = asyncio.get_running_loop().time()
            for first, body in packets.feed(chunk):
                if first & 0xF0 == PUBACK:
                    packet_id, code = read_acknowledgement(body)
                    event_id = under_way.pop(packet_id, None)
                    if event_id is not None and code < _FAILURE:
                        self.acknowledged.append((event_id, now))
            writer.write(chunk)
            await writer.drain()

    async def _not_stalled(self) -> None:
        while self.stalled:  # noqa: ASYNC110 - the soak sets it
            await asyncio.sleep(0.01)


def _publication(body: bytes) -> tuple[int, str]:
    """Packet id and the `eventId` property of a PUBLISH with QoS 1 (MQTT 5 §3.3.2)."""
    end = 2 + int.from_bytes(body[:2], "big")
    packet_id = int.from_bytes(body[end : end + 2], "big")
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call] # paho's
    properties.unpack(body[end + 2 :])  # type: ignore[no-untyped-call] # paho's
    return packet_id, dict(properties.UserProperty).get("eventId", "")  # type: ignore[attr-defined] # paho sets it
