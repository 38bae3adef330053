"""A websocket that says what it holds in memory, and can be ended for holding too much."""

import traceback
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from websockets.asyncio.server import ServerConnection
from websockets.frames import CloseCode, Opcode
from websockets.protocol import State

from ingress.metrics import OVER_BUDGET, REFUSED
from ingress.websocket.budget import Budget

DATA: Final = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})
"""Frames that are, or are a part of, a message."""
_HANDSHAKE_BYTES: Final = 64 * 1024
"""Request line and headers in all; by itself `websockets` would take 128 lines of 8 KiB."""
_FREE_BYTES: Final = 4096
"""Less than that is not counted: it is what charge points mostly send, and they pay nothing."""
FRAME_BYTES: Final = 300
"""Python's own share of a websocket frame that waits: a peer may send it a million empty ones."""
_TLS_AHEAD_BYTES: Final = 64 * 1024
"""What the TLS layer reads ahead while nothing is taken from it; its own default is 512 KiB."""
_FAREWELL_S: Final = 1.0
"""For the close code to reach a peer that is ended."""


class BoundedConnection(ServerConnection):
    """Holds what it holds within the budget of all.

    Counted are the handshake (its headers are kept as long as the connection), a frame that is not
    whole, a message that is not, messages that wait or are at work, and what the peer does not
    read: a peer that sends pings and reads nothing would otherwise be owed pongs without end
    (`websockets` 17.4, asyncio/connection.py, `data_received`, writes them whatever waits already).

    How messages wait is its subclasses'.

    Attributes:
        is_lost: Whether it has ended.
        given_up: Whether it was ended for what it held; no further message of it is to be handled.
    """

    __slots__ = (
        "_budget",
        "_handshake",
        "_served",
        "_unfinished",
        "_waiting",
        "_weighed",
        "_working",
        "given_up",
        "is_lost",
    )

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 - as its base
        budget: "Budget[BoundedConnection]",
        **options: Any,  # noqa: ANN401 - as its base
    ) -> None:
        super().__init__(*args, **options)
        self.given_up = False
        self.is_lost = False
        self._budget = budget
        self._weighed = False
        self._served = False
        self._handshake = 0
        self._unfinished = 0
        self._waiting = 0
        self._working = 0

    @contextmanager
    def served(self) -> Iterator[None]:
        """Within it, messages that have arrived are handled, also those of a peer that has left."""
        self._served = True
        try:
            yield
        finally:
            self._served = False
            self._drop()

    def handled(self) -> None:
        """The message at work is at work no longer."""
        self._working = 0
        if self._weighed:
            self._weigh()

    def data_received(self, data: bytes) -> None:
        """Weigh what came."""
        if self.given_up:
            return
        connecting = self.protocol.state is State.CONNECTING
        self._receive(data)
        if connecting:
            self._handshake += len(data)
            # One that is wrong in itself gets its answer.
            if self._handshake > _HANDSHAKE_BYTES and self.protocol.handshake_exc is None:
                REFUSED.labels("handshake").inc()
                self.transport.abort()
                return
        if self.paused and not self.transport.is_closing():
            # Nothing more is taken from a peer that does not read what it is owed.
            self.transport.pause_reading()
        self._weigh()

    def _receive(self, data: bytes) -> None:
        super().data_received(data)

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - as its base, and a TLS one's own
        """Bound the TLS layer, where there is one."""
        super().connection_made(transport)
        if transport.get_extra_info("ssl_object") is not None:
            transport.set_read_buffer_limits(high=_TLS_AHEAD_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        """What has not become a message is gone."""
        super().connection_lost(exc)
        self.is_lost = True
        error = self.protocol.handshake_exc
        while error is not None:
            # Half a request would wait for the garbage collector, which seldom comes: the error is
            # kept, and refers to what was read by way of its traceback.
            traceback.clear_frames(error.__traceback__)
            error = error.__cause__  # type: ignore[assignment]  # all of them are exceptions
        if self._served:
            self._weigh()
        else:
            self._drop()

    def resume_writing(self) -> None:
        """Read on, unless messages wait."""
        super().resume_writing()
        if not self.is_full and not self.transport.is_closing():
            self.transport.resume_reading()

    @property
    @abstractmethod
    def is_full(self) -> bool:
        """Whether so many messages wait that nothing more is read."""

    @abstractmethod
    def drop_messages(self) -> None:
        """Forget the messages that wait: nobody will take them."""

    def give_up(self) -> None:
        """End the connection (1013), and free what it holds but for what is at work."""
        if self.given_up:
            return
        self.given_up = True
        OVER_BUDGET.inc()
        if not self.is_lost:
            self._say_farewell()
            self.recv_messages.close()  # so that whoever awaits a message gives up, too
        self._drop()

    def _say_farewell(self) -> None:
        if self.protocol.state is State.OPEN and not self.paused:
            self.protocol.fail(CloseCode.TRY_AGAIN_LATER, "too much is held in memory here")
            self.send_data()
            self.loop.call_later(_FAREWELL_S, self.transport.abort)
        else:
            self.transport.abort()

    def _drop(self) -> None:
        self._waiting = 0
        self.drop_messages()
        self._weigh()

    def _weigh(self) -> None:
        freeable = self._waiting
        if not (self.is_lost or self.given_up):
            freeable += self._handshake + self._unfinished + len(self.protocol.reader.buffer)
            freeable += self.transport.get_write_buffer_size()
        held = freeable + self._working
        if held <= _FREE_BYTES:
            if not self._weighed:
                return
            held = freeable = 0
        self._weighed = held > 0
        for connection in self._budget.weigh(self, held, freeable, self.loop.time()):
            connection.give_up()
