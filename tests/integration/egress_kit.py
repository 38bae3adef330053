"""What the egress tests share: a wire to cut, deliveries that keep a diary."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from devstack.mqtt import Mosquitto
from devstack.process import free_port
from egress.routing import Publication


class Wire:
    """A TCP hop before a broker that can be cut, as networks are."""

    def __init__(self, host: str, port: int) -> None:
        self.up = True
        self.deaf = False
        """Swallow what the broker answers."""
        self._target = (host, port)
        self._open: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """The port to connect to."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            yield int(server.sockets[0].getsockname()[1])
        finally:
            server.close()
            self.cut()
            await server.wait_closed()

    def cut(self) -> None:
        """Reset every connection, whatever is under way."""
        for writer in self._open:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.up:
            writer.transport.abort()
            return
        back_reader, back_writer = await asyncio.open_connection(*self._target)
        ends = {writer, back_writer}
        self._open |= ends
        await asyncio.gather(
            self._copy(reader, back_writer),
            self._copy(back_reader, writer, answers=True),
            return_exceptions=True,
        )
        self._open -= ends

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False
    ) -> None:
        try:
            while chunk := await reader.read(4096):
                if not (answers and self.deaf):
                    writer.write(chunk)
                    await writer.drain()
        finally:
            writer.transport.abort()


class Note:
    """A `Delivery` that remembers what became of it."""

    def __init__(
        self, topic: str, payload: bytes, *, wanted: bool = True, strand: str = ""
    ) -> None:
        properties = (("eventId", "e1"), ("traceparent", "t1"))
        self.publication = Publication(topic, payload, properties, strand=strand)
        self.wanted = wanted
        self.acknowledgements = 0
        self.reason: str | None = None

    @property
    def settled(self) -> bool:
        return self.acknowledgements > 0 or self.reason is not None

    def acknowledged(self) -> None:
        self.acknowledgements += 1

    def refused(self, reason: str) -> None:
        assert self.reason is None, "refused twice"
        self.reason = reason


class MosquittoWith(Mosquitto):
    """A mosquitto with more lines in its configuration.

    Attributes:
        plain_port: With `plain`, a second listener, to which the lines do not apply.
    """

    def __init__(self, directory: Path, lines: Sequence[str], *, plain: bool = False) -> None:
        super().__init__(directory)
        self.plain_port = free_port() if plain else self.port
        self._lines = lines

    def prepare(self) -> None:
        """Write the configuration."""
        super().prepare()
        lines = [*self._lines]
        if self.plain_port != self.port:
            lines.append(f"listener {self.plain_port} {self.host}")
        with self._config.open("a", encoding="utf-8") as config:
            config.write("\n".join((*lines, "")))


class GuardedMosquitto(MosquittoWith):
    """A mosquitto that takes and gives only one topic filter."""

    def __init__(self, allowed: str, directory: Path) -> None:
        self._access = directory / "acl"
        super().__init__(directory, (f"acl_file {self._access}",))
        self._allow(allowed)

    def allow(self, topic_filter: str) -> None:
        """Change what it takes, while it runs."""
        self._allow(topic_filter)
        os.kill(self.pid, signal.SIGHUP)

    def _allow(self, topic_filter: str) -> None:
        self._access.write_text(f"topic readwrite {topic_filter}\n", encoding="utf-8")
