"""One frame after another: onto the log, its needs met, the answer onto the log, back.

The order of these steps is the ingress's promise: a CALL is answered only after its frame is
durable, and an answer is on the log before it is sent.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from ingress.errors import AnswerNotDurableError, NotDurableError, NotSentError
from ingress.journal import Journal
from ingress.metrics import ANSWER_SECONDS, CALL_ERRORS, UNAVAILABLE
from ingress.session import Answer, Objection, Outgoing, Pending, Refusal, Session
from ingress.transaction_ids import TransactionIds
from ingress.version import Authorization
from ingress.versions import action_label
from schemas.frames import OcppFrame
from schemas.ocppj import Call

log = structlog.get_logger(__name__)


class Authorizer(Protocol):
    """Decides on idTags."""

    def authorize(self, id_tag: str, /) -> Authorization:
        """What is known about the idTag."""


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
        self._journal = journal
        self._transaction_ids = transaction_ids
        self._authorizer = authorizer
        self._clock_ns = clock_ns

    async def handle(
        self, session: Session, raw: bytes, answered: Callable[[Answer], None]
    ) -> bytes | None:
        """The answer to send for one websocket message, or None.

        Args:
            session: The connection's.
            raw: The message.
            answered: Told of an answer to a CALL of the central system's once it is on the log.

        Raises:
            AnswerNotDurableError: The answer's record is not confirmed. It may arrive on the log
                later, so neither it nor another answer may be sent: close the connection, which
                to the charge point and to the log looks like an answer lost on its way.
        """
        began_s = asyncio.get_running_loop().time()
        received = session.receive(raw, self._clock_ns())
        todo = received.todo
        if todo is None or isinstance(todo, Objection):
            # Its sender would not send it again.
            await self._keep(received.frame)
            if received.answer is not None:
                answered(received.answer)
            if todo is None:
                return None
            CALL_ERRORS.labels(todo.error.code).inc()
            return await self._release(session.answer(todo, self._clock_ns()))
        try:
            await self._journal.append(received.frame)
            authorization, transaction_id = await self._meet(todo)
        except NotDurableError as error:
            UNAVAILABLE.inc()
            CALL_ERRORS.labels(session.version.codes.internal).inc()
            log.warning(
                "answered with InternalError",
                client_id=session.client_id,
                message_id=received.frame.message_id,
                action=received.frame.action,
                error=str(error),
            )
            return session.unavailable(todo)
        outgoing = session.answer(
            todo,
            self._clock_ns(),
            authorization=authorization,
            transaction_id=transaction_id,
        )
        if isinstance(todo, Refusal):
            CALL_ERRORS.labels(todo.error.code).inc()
        answer = await self._release(outgoing)
        ANSWER_SECONDS.labels(action_label(received.frame.action)).observe(
            asyncio.get_running_loop().time() - began_s
        )
        return answer

    async def call(self, session: Session, call: Call) -> bytes:
        """The text to send for a CALL of the central system's, which is on the log.

        Raises:
            NotSentError: Its record is not confirmed; it must not be sent.
        """
        outgoing = session.call(call, self._clock_ns())
        try:
            await self._journal.append(outgoing.frame)
        except NotDurableError as error:
            raise NotSentError(f"not sent, since it could not be stored: {error}") from error
        return outgoing.frame.raw

    async def _release(self, outgoing: Outgoing) -> bytes:
        try:
            await self._journal.append(outgoing.frame)
        except NotDurableError as error:
            raise AnswerNotDurableError(str(error)) from error
        return outgoing.frame.raw

    async def _keep(self, frame: OcppFrame) -> None:
        try:
            await self._journal.append_patiently(frame)
        except asyncio.CancelledError:
            log.error(  # noqa: TRY400 - the shutdown's limit ended it; a traceback says no more
                "a frame that gets no answer is not on the log",
                client_id=frame.client_id,
                raw=frame.raw,
            )
            raise

    async def _meet(self, todo: Pending | Refusal) -> tuple[Authorization | None, int | None]:
        if isinstance(todo, Refusal):
            return None, None
        needs = todo.needs
        transaction_id = (
            None
            if needs.transaction is None
            else await self._transaction_ids.assign(needs.transaction)
        )
        authorization = needs.authorization
        if needs.id_tag is not None:
            authorization = self._authorizer.authorize(needs.id_tag)
        return authorization, transaction_id
