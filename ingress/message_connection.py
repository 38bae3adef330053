"""A websocket whose messages are handed over as they arrive, without a task between."""

from collections.abc import Callable
from typing import Any

from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State

from ingress.bounded_connection import DATA, FRAME_BYTES, BoundedConnection


def _nothing() -> None:
    """For whoever has not asked to be told."""


class MessageConnection(BoundedConnection):
    """In place of `recv` and `send`, which each cost a task's way through the event loop.

    It hooks in where `websockets` (17.4, asyncio/connection.py, `process_event`) hands a frame to
    the queue behind `recv` (docs/decisions/0022-a-frames-way-by-plain-calls.md).

    Attributes:
        waiting: The messages that wait, for `take`.
        arrived: Called when a message waits.
        writable: Called when the peer has read enough for more to be written.
        lost: Called once when the connection has ended.
    """

    __slots__ = (
        "_discarding",
        "_fragments",
        "_held_back",
        "arrived",
        "lost",
        "waiting",
        "writable",
    )

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - as its base
        super().__init__(*args, **options)
        self.arrived: Callable[[], None] = _nothing
        self.writable: Callable[[], None] = _nothing
        self.lost: Callable[[], None] = _nothing
        self.waiting: list[bytes] = []
        self._fragments: bytearray | None = None
        self._held_back = False
        self._discarding = False

    def take(self) -> bytes:
        """The message that waits longest."""
        message = self.waiting.pop(0)
        self._working = len(message) + FRAME_BYTES
        self._all_waiting -= self._working
        if not self.waiting:
            self._read_on()
        return message

    def say(self, text: bytes) -> bool:
        """Send one text message; False: the peer reads too slowly, wait for `writable`.

        A connection that is ending takes nothing.
        """
        protocol = self.protocol
        if protocol.state is State.OPEN:
            # As the library's `broadcast` does, but for its queue of what is to be written.
            frame = Frame(Opcode.TEXT, text).serialize(mask=False, extensions=protocol.extensions)
            self.transport.write(frame)
        return not self.paused

    def discard(self) -> None:
        """Drop what waits and what comes, so that the closing handshake behind it is seen."""
        self.drop_messages()
        self._read_on()

    def process_event(self, event: Request | Response | Frame) -> None:
        """Take a message's frames; the library sees to all others."""
        if not isinstance(event, Frame) or event.opcode not in DATA:
            super().process_event(event)
            return
        if self._discarding:
            return
        if event.fin and self._fragments is None:
            message = bytes(event.data)
        else:
            # How many bytes there may be is the library's to check (`max_size`).
            fragments = self._fragments = self._fragments or bytearray()
            fragments += event.data
            self._unfinished += len(event.data) + FRAME_BYTES
            if not event.fin:
                return
            self._fragments, self._unfinished = None, 0
            message = bytes(fragments)
        self.waiting.append(message)
        self._all_waiting += len(message) + FRAME_BYTES
        self.arrived()
        if self.waiting and not self._held_back:
            self._held_back = True
            self.transport.pause_reading()

    @property
    def is_full(self) -> bool:
        """Whether a message waits, so that nothing more is read."""
        return self._held_back

    def drop_messages(self) -> None:
        """Forget the messages that wait and take no more: nobody will take them."""
        self._discarding = True
        self._fragments = None
        self.waiting.clear()
        self._all_waiting = self._unfinished = 0

    def resume_writing(self) -> None:
        """Tell."""
        super().resume_writing()
        self.writable()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell."""
        super().connection_lost(exc)
        self.lost()

    def _read_on(self) -> None:
        if self._held_back:
            self._held_back = False
            if not self.paused and not self.transport.is_closing():
                self.transport.resume_reading()
