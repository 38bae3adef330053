"""A websocket whose messages are handed over as they arrive, without a task between."""

from typing import Any, Final, Protocol

from websockets.frames import Frame
from websockets.http11 import Request, Response
from websockets.protocol import Protocol as WebsocketProtocol
from websockets.protocol import State
from websockets.streams import StreamReader

from ingress.websocket.bounded_connection import DATA, FRAME_BYTES, BoundedConnection
from ingress.websocket.short_frames import text_frame, text_within


class Listener(Protocol):
    """Who handles a connection's messages."""

    def ready(self) -> bool:
        """Whether a message that has just come may be handled at once; else it waits."""

    def handle(self, message: bytes, /) -> None:
        """Handle it."""

    def writable(self) -> None:
        """The peer has read enough for more to be written."""

    def lost(self) -> None:
        """The connection has ended."""


class _Nobody:
    def ready(self) -> bool:
        return False

    def handle(self, _: bytes, /) -> None:
        raise RuntimeError("nobody was ready for the message")

    def writable(self) -> None:
        pass

    def lost(self) -> None:
        pass


_NOBODY: Final = _Nobody()


class MessageConnection(BoundedConnection):
    """In place of `recv` and `send`, which each cost a task's way through the event loop.

    It hooks in where `websockets` (17.4, asyncio/connection.py, `process_event`) hands a frame to
    the queue behind `recv`, and before its parser where the usual frame arrives by itself
    (docs/decisions/0022-a-frames-way-by-plain-calls.md).

    Attributes:
        listener: Who handles its messages.
        waiting: The messages that wait for `take`.
    """

    __slots__ = (
        "_between_frames",
        "_discarding",
        "_fragments",
        "_held_back",
        "_max_bytes",
        "listener",
        "waiting",
    )

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - as its base
        super().__init__(*args, **options)
        self.listener: Listener = _NOBODY
        self.waiting: list[bytes] = []
        self._fragments: bytearray | None = None
        self._held_back = False
        self._discarding = False
        self._between_frames = False
        self._max_bytes = self.protocol.max_message_size or 0

    def take(self) -> bytes:
        """The message that waits longest."""
        message = self.waiting.pop(0)
        self._working = len(message) + FRAME_BYTES
        self._waiting -= self._working
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
            self.transport.write(text_frame(text))
        return not self.paused

    def _receive(self, data: bytes) -> None:
        protocol = self.protocol
        if self._between_frames and protocol.state is State.OPEN:
            message = text_within(data, self._max_bytes)
            if message is not None:
                if not self._discarding:
                    self._arrived(message)
                return
        super()._receive(data)
        self._between_frames = _is_between_frames(protocol)

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
            self._arrived(bytes(event.data))
        else:
            # How many bytes there may be is the library's to check (`max_size`).
            fragments = self._fragments = self._fragments or bytearray()
            fragments += event.data
            self._unfinished += len(event.data) + FRAME_BYTES
            if not event.fin:
                return
            self._fragments, self._unfinished = None, 0
            self._arrived(bytes(fragments))

    def _arrived(self, message: bytes) -> None:
        if not self.waiting and self.listener.ready():
            self._working = len(message) + FRAME_BYTES
            self.listener.handle(message)
            return
        self.waiting.append(message)
        self._waiting += len(message) + FRAME_BYTES
        if not self._held_back:
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
        self._waiting = self._unfinished = 0

    def resume_writing(self) -> None:
        """Tell."""
        super().resume_writing()
        self.listener.writable()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell."""
        super().connection_lost(exc)
        self.listener.lost()

    def _read_on(self) -> None:
        if self._held_back:
            self._held_back = False
            if not self.paused and not self.transport.is_closing():
                self.transport.resume_reading()


def _is_between_frames(protocol: WebsocketProtocol) -> bool:
    """Whether the next byte begins a frame, and that of a message of its own, as it was sent."""
    if protocol.current_size is not None or protocol.extensions or protocol.debug:
        return False
    step: Any = protocol.parser
    while step.gi_yieldfrom is not None:
        step = step.gi_yieldfrom
    return step.gi_code is StreamReader.at_eof.__code__
