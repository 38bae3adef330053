"""A charge point's messages, handled one after another in the order of the wire."""

import asyncio

from ingress.commands.downstream import Downstream
from ingress.commands.line import WebsocketLine
from ingress.exchange import Exchange
from ingress.metrics import THROTTLED
from ingress.pace import Pace
from ingress.protocol.session import Answer, Session
from ingress.turns import Turns
from ingress.websocket.message_connection import MessageConnection


class Conversation:
    """What is between a connection and the exchange: order, pace, and who may write.

    Nothing here is a task: a message's way goes from the socket to Kafka's producer, and from
    Kafka's confirmations to the socket, by plain calls.

    Attributes:
        turns: Held while a message is handled, so that frames lie on the log as on the wire.
        websocket: The connection.
    """

    __slots__ = (
        "_downstream",
        "_exchange",
        "_going_on",
        "_has_paused",
        "_line",
        "_loop",
        "_over",
        "_pace",
        "_pausing",
        "_session",
        "_unread",
        "turns",
        "websocket",
    )

    def __init__(
        self,
        websocket: MessageConnection,
        session: Session,
        exchange: Exchange,
        downstream: Downstream,
        pace: Pace,
    ) -> None:
        self.websocket = websocket
        self.turns = Turns(self._go_on)
        self._downstream = downstream
        self._line = WebsocketLine(websocket, session, exchange, self.turns)
        self._session = session
        self._exchange = exchange
        self._pace = pace
        self._loop = asyncio.get_running_loop()
        self._pausing: asyncio.TimerHandle | None = None
        self._has_paused = False
        self._going_on = False
        self._unread = False
        self._over: asyncio.Future[None] = self._loop.create_future()

    async def run(self) -> None:
        """Handle messages until the connection has ended and all that had arrived are handled.

        Raises:
            AnswerNotDurableError: An answer's record is not confirmed; close the connection.
        """
        self.websocket.listener = self
        self._downstream.attach(self._line)
        try:
            # It may have been lost already, while its handshake was being answered.
            self._go_on()
            await self._over
        finally:
            self._downstream.detach(self._line)
            self._line.closed()
            self.stop()

    def ready(self) -> bool:
        """Whether it is the next message's turn.

        If not for its charge point's sending faster than it may, it is taken up when it is time.
        """
        if self.turns.taken or self._pausing is not None:
            return False
        if self._has_paused:
            self._has_paused = False
            return True
        delay = self._pace.delay(self._loop.time())
        if delay <= 0:
            return True
        THROTTLED.inc()
        self._pausing = self._loop.call_later(delay, self._after_pause)
        return False

    def handle(self, raw: bytes, /) -> None:
        """Begin a message's way."""
        self.turns.taken = True
        try:
            self._exchange.handle(self._session, raw, self)
        except Exception as error:  # noqa: BLE001 - for the connection's task to raise
            self.fail(error)

    def writable(self) -> None:
        """Go on, if an answer was not read."""
        if self._unread:
            self._unread = False
            self.turns.give_back()

    def lost(self) -> None:
        """Let what has arrived be the last."""
        self.writable()
        self._go_on()

    def stop(self) -> None:
        """Begin no further message; what waits stays unanswered."""
        self.websocket.discard()
        if self._pausing is not None:
            self._pausing.cancel()

    def answer(self, text: bytes | None) -> None:
        """The message's way is at its end: this is its answer, if it gets one."""
        self.websocket.handled()
        if text is not None and not self.websocket.say(text):
            # From a charge point that does not read its answers no more is taken.
            self._unread = True
            return
        self.turns.give_back()

    def fail(self, error: Exception) -> None:
        """The message's way ended where it should not; so does the connection."""
        self.websocket.handled()
        self.stop()
        if not self._over.done():
            self._over.set_exception(error)
        self.turns.give_back()

    def answered(self, answer: Answer) -> None:
        """An answer to a CALL of the central system's is on the log."""
        self._line.answered(answer)

    def _go_on(self) -> None:
        # A loop, and no call from one message's end to the next: thousands may come at once.
        if self._going_on:
            return
        waiting = self.websocket.waiting
        if waiting:
            self._going_on = True
            while waiting and self.ready():
                self.handle(self.websocket.take())
            self._going_on = False
        if self.websocket.is_lost:
            self._end()

    def _end(self) -> None:
        if not self.websocket.waiting and not self.turns.taken and not self._over.done():
            self._over.set_result(None)

    def _after_pause(self) -> None:
        self._pausing = None
        self._has_paused = True
        self._go_on()
