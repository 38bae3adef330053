"""One message after another: onto the log, its needs met, the answer onto the log, back.

The order of these steps is the ingress's promise: a CALL is answered only after its frame is
durable, and an answer is on the log before it is sent.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from time import monotonic
from typing import Any, Protocol

import structlog

from ingress.errors import AnswerNotDurableError, NotDurableError, NotSentError
from ingress.journal import Journal, count
from ingress.metrics import ANSWER_SECONDS, CALL_ERRORS, UNAVAILABLE
from ingress.protocol.session import Answer, Objection, Pending, Received, Refusal, Session
from ingress.protocol.version import Authorization, Needs
from ingress.protocol.versions import action_label
from ingress.transaction_ids import TransactionIds
from schemas.frames import OcppFrame
from schemas.ocppj import Call
from schemas.records import TransactionIdRequest

log = structlog.get_logger(__name__)


class Authorizer(Protocol):
    """Decides on idTags."""

    def authorize(self, id_tag: str, /) -> Authorization:
        """What is known about the idTag."""


class Peer(Protocol):
    """The connection that a message came from."""

    def answer(self, text: bytes | None, /) -> None:
        """The message's way is at its end: send the answer, if there is one, and go on."""

    def answered(self, answer: Answer, /) -> None:
        """An answer to a CALL of the central system's is on the log."""

    def fail(self, error: Exception, /) -> None:
        """The message's way ended in between: close the connection.

        Args:
            error: AnswerNotDurableError where the answer's record is not confirmed. It may arrive
                on the log later, so neither it nor another answer may be sent. A closed connection
                looks to the charge point and to the log like an answer lost on its way.
        """


class Exchange:
    """Meets what sessions ask for.

    Args:
        journal: The log of record.
        transaction_ids: Gives 1.6's transactionIds.
        authorizer: Decides on idTags.
        clock_ns: Unix time in nanoseconds.
    """

    def __init__(
        self,
        journal: Journal,
        transaction_ids: TransactionIds,
        authorizer: Authorizer,
        clock_ns: Callable[[], int],
    ) -> None:
        self.journal = journal
        self.clock_ns = clock_ns
        self._transaction_ids = transaction_ids
        self._authorizer = authorizer
        self._tasks: set[asyncio.Task[None]] = set()

    def handle(self, session: Session, raw: bytes, peer: Peer) -> None:
        """Take one websocket message; `peer` hears, now or later, when its way has ended.

        Args:
            session: The connection's.
            raw: The message.
            peer: The connection.
        """
        received = session.receive(raw, self.clock_ns())
        todo = received.todo
        if todo is None or isinstance(todo, Objection):
            self.in_task(self._keep(session, received, todo, peer), session, peer)
        else:
            _Way(self, session, received.frame, todo, peer).begin()

    async def call(self, session: Session, call: Call) -> bytes:
        """The text to send for a CALL of the central system's, which is on the log.

        Raises:
            NotSentError: Its record is not confirmed; it must not be sent.
        """
        outgoing = session.call(call, self.clock_ns())
        try:
            await self.journal.append(outgoing.frame)
        except NotDurableError as error:
            raise NotSentError(f"not sent, since it could not be stored: {error}") from error
        return outgoing.frame.raw

    def authorize(self, needs: Needs) -> Authorization | None:
        """What the answer says of an idTag, where it says something."""
        if needs.id_tag is None:
            return needs.authorization
        return self._authorizer.authorize(needs.id_tag)

    async def transaction_id(self, request: TransactionIdRequest) -> int:
        """The transactionId for a StartTransaction.

        Raises:
            NotDurableError: Kafka did not confirm the request for it.
        """
        return await self._transaction_ids.assign(request)

    def in_task(self, way: Coroutine[Any, Any, None], session: Session, peer: Peer) -> None:
        """Go a message's way, or the rest of it, in a task."""

        async def go() -> None:
            structlog.contextvars.bind_contextvars(
                client_id=session.client_id, connection_id=session.connection_id
            )
            try:
                await way
            except Exception as error:  # noqa: BLE001 - for the connection's task to raise
                peer.fail(error)

        task = asyncio.create_task(go())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def abandon(self) -> None:
        """Give up what is under way in tasks; a frame that is not on the log is logged."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _keep(
        self, session: Session, received: Received, objection: Objection | None, peer: Peer
    ) -> None:
        # Its sender would not send it again, so it waits for as long as it takes.
        frame = received.frame
        try:
            await self.journal.append_patiently(frame)
        except asyncio.CancelledError:
            log.error(  # noqa: TRY400 - the shutdown's limit ended it; a traceback says no more
                "a frame that gets no answer is not on the log",
                client_id=frame.client_id,
                raw=frame.raw,
            )
            raise
        if received.answer is not None:
            peer.answered(received.answer)
        if objection is None:
            peer.answer(None)
            return
        CALL_ERRORS.labels(objection.error.code).inc()
        answer = session.answer(objection, self.clock_ns()).frame
        try:
            await self.journal.append(answer)
        except NotDurableError as error:
            raise AnswerNotDurableError(str(error)) from error
        peer.answer(answer.raw)


class _Way:
    """A CALL's way, by plain calls.

    A task each for the thousands that wait for Kafka at any time would cost more than all that is
    done for them.
    """

    __slots__ = ("_began_s", "_exchange", "_frame", "_peer", "_session", "_todo")

    def __init__(
        self,
        exchange: Exchange,
        session: Session,
        frame: OcppFrame,
        todo: Pending | Refusal,
        peer: Peer,
    ) -> None:
        self._exchange = exchange
        self._session = session
        self._frame = frame
        self._todo = todo
        self._peer = peer
        self._began_s = monotonic()

    def begin(self) -> None:
        self._exchange.journal.append_then(self._frame, self._logged)

    def _logged(self, outcome: int | NotDurableError) -> None:
        try:
            if isinstance(outcome, NotDurableError):
                self._unavailable(outcome)
                return
            count(self._frame)
            if isinstance(self._todo, Refusal):
                CALL_ERRORS.labels(self._todo.error.code).inc()
                self._release(None, None)
            elif (request := self._todo.needs.transaction) is not None:
                way = self._with_transaction_id(request, self._todo.needs)
                self._exchange.in_task(way, self._session, self._peer)
            else:
                self._release(self._exchange.authorize(self._todo.needs), None)
        except Exception as unexpected:  # noqa: BLE001 - for the connection's task to raise
            self._peer.fail(unexpected)

    async def _with_transaction_id(self, request: TransactionIdRequest, needs: Needs) -> None:
        try:
            transaction_id = await self._exchange.transaction_id(request)
        except NotDurableError as error:
            self._unavailable(error)
        else:
            self._release(self._exchange.authorize(needs), transaction_id)

    def _release(self, authorization: Authorization | None, transaction_id: int | None) -> None:
        answer = self._session.answer(
            self._todo,
            self._exchange.clock_ns(),
            authorization=authorization,
            transaction_id=transaction_id,
        ).frame
        self._exchange.journal.append_then(answer, partial(self._released, answer))

    def _released(self, answer: OcppFrame, outcome: int | NotDurableError) -> None:
        if isinstance(outcome, NotDurableError):
            failure = AnswerNotDurableError(str(outcome))
            failure.__cause__ = outcome
            self._peer.fail(failure)
            return
        count(answer)
        waited_s = monotonic() - self._began_s
        ANSWER_SECONDS.observe(waited_s, action_label(self._frame.action))
        try:
            self._peer.answer(answer.raw)
        except Exception as unexpected:  # noqa: BLE001 - for the connection's task to raise
            self._peer.fail(unexpected)

    def _unavailable(self, error: NotDurableError) -> None:
        UNAVAILABLE.inc()
        CALL_ERRORS.labels(self._session.version.codes.internal).inc()
        log.warning(
            "answered with InternalError",
            client_id=self._session.client_id,
            message_id=self._frame.message_id,
            action=self._frame.action,
            error=str(error),
        )
        self._peer.answer(self._session.unavailable(self._todo))
