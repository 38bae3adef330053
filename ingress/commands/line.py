"""A charge point's connection as the way that the central system's own CALLs take."""

import asyncio
from typing import Final

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from ingress.errors import AnswerLostError, NotSentError
from ingress.exchange import Exchange
from ingress.protocol.session import Answer, Session
from ingress.protocol.version import Version
from ingress.turns import Turns
from schemas.ocppj import Call

_GONE: Final = "the connection ended before the answer"


class WebsocketLine:
    """One CALL at a time, and its answer (OCPP-J 1.6 §4.1.1).

    Args:
        websocket: The connection.
        session: Its session.
        exchange: Puts the CALL on the log.
        turns: Held while a frame is handled, so that frames lie on the log as on the wire.
    """

    __slots__ = (
        "_exchange",
        "_open",
        "_session",
        "_turns",
        "_websocket",
    )

    def __init__(
        self,
        websocket: ServerConnection,
        session: Session,
        exchange: Exchange,
        turns: Turns,
    ) -> None:
        self._websocket = websocket
        self._session = session
        self._exchange = exchange
        self._turns = turns
        self._open: tuple[str, asyncio.Future[Answer]] | None = None

    @property
    def client_id(self) -> str:
        """The charge point's identity."""
        return self._session.client_id

    @property
    def version(self) -> Version:
        """The negotiated version."""
        return self._session.version

    async def send(self, call: Call) -> Answer:
        """Send a CALL once it is on the log; its answer.

        Raises:
            NotSentError: It did not reach the wire.
            AnswerLostError: It did, and the connection ended before the answer.
        """
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._open = (call.message_id, answer)
        try:
            async with self._turns:
                raw = await self._exchange.call(self._session, call)
                try:
                    await self._websocket.send(raw, text=True)
                except ConnectionClosed as error:
                    raise NotSentError(
                        "the charge point disconnected before it was sent"
                    ) from error
            return await answer
        finally:
            self._open = None

    def answered(self, answer: Answer) -> None:
        """An answer came in and is on the log; a late one finds nobody waiting."""
        if self._open is not None:
            message_id, waiting = self._open
            if message_id == answer.message.message_id and not waiting.done():
                waiting.set_result(answer)

    def closed(self) -> None:
        """The connection has ended."""
        if self._open is not None and not self._open[1].done():
            self._open[1].set_exception(AnswerLostError(_GONE))
