"""A websocket that is read by `recv`, as a relay does, and counts what waits for that."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.frames import Frame
from websockets.http11 import Request, Response

from ingress.websocket.bounded_connection import DATA, FRAME_BYTES, BoundedConnection


class RelayedConnection(BoundedConnection):
    """Counts the messages in the queue behind `recv`, which itself does not tell their sizes."""

    __slots__ = ("_sizes",)

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - as its base
        super().__init__(*args, **options)
        self._sizes: list[int] = []

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Within it, the message that waited longest is being handled."""
        if self._sizes:
            self._working = self._sizes.pop(0)
            self._waiting -= self._working
        try:
            yield
        finally:
            self.handled()

    def process_event(self, event: Request | Response | Frame) -> None:
        """Count a message's frames."""
        if isinstance(event, Frame) and event.opcode in DATA:
            self._unfinished += len(event.data) + FRAME_BYTES
            if event.fin:
                self._sizes.append(self._unfinished)
                self._waiting += self._unfinished
                self._unfinished = 0
        super().process_event(event)

    @property
    def is_full(self) -> bool:
        """As the queue has it."""
        return self.recv_messages.paused

    def drop_messages(self) -> None:
        """All but the first, which whoever awaits it may have been told of already."""
        self._sizes.clear()
        queue = self.recv_messages.frames.queue
        while len(queue) > 1:
            queue.pop()
