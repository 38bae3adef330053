"""One connection's OCPP-J session without I/O: bytes in; frames for the log and answers out.

Two rules hold it together:
1. Whatever came in becomes exactly one inbound frame, valid or not; whatever is to go out is an
   outbound frame first.
2. Times strictly increase within a connection, over both directions, so that the log's order can
   be told from the frames alone.
"""

import re
from typing import Final, Literal, TypeAlias

import msgspec
import orjson

from ingress.errors import UnanswerableError
from ingress.protocol.validation import Violation, shorten
from ingress.protocol.version import (
    UNREADABLE_ID,
    Action,
    Authorization,
    Facts,
    Needs,
    Payload,
    Version,
)
from schemas import ocppj
from schemas.errors import MalformedFrameError, UnknownMessageTypeError
from schemas.frames import INBOUND, OUTBOUND, Direction, OcppFrame
from schemas.ocppj import Call, CallError, CallResult, CallResultError, Message, Send

Mode: TypeAlias = Literal["strict", "lenient"]

_CALL = 2
_NO_NEEDS: Final = Needs()
_MAX_OPEN_CALLS = 32
"""CALLs that never got an answer are remembered so far: a late answer still finds its action."""
_HEAD_OF_ANSWER: Final = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*\[[ \t\r\n]*[3-6][ \t\r\n]*,")
"""A result, an error or a SEND, whatever follows: none of them is answered, broken or not."""
_MAX_DESCRIPTION = 255
"""OCPP-J 1.6 §4.2.3: errorDescription; later versions limit it to 255 characters."""


class Pending(msgspec.Struct, frozen=True, gc=False):
    """A CALL that is answered normally once its `needs` are met.

    Attributes:
        message_id: The CALL's.
        action: The CALL's.
        row: What the version says about the action.
        needs: What the answer needs from outside.
        request: The payload, where the answer repeats parts of it. No other is kept while Kafka is
            waited for: parsed, 256 KiB of `[],[],…` hold 7 MB.
    """

    message_id: str
    action: str
    row: Action
    needs: Needs
    request: Payload


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """A CALL that is answered with a CALLERROR, which is ready."""

    error: CallError
    action: str | None


class Objection(msgspec.Struct, frozen=True, gc=False):
    """A CALLRESULT that can't be processed, and the CALLRESULTERROR that says so (2.1)."""

    error: CallResultError
    action: str | None


Todo: TypeAlias = Pending | Refusal | Objection | None


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What a charge point says to a CALL of the central system's, and what is wrong with it."""

    message: CallResult | CallError
    violation: str | None


class Received(msgspec.Struct, frozen=True, gc=False):
    """What came in, and what is to be done about it.

    Attributes:
        frame: For the log.
        todo: What it asks for; None: nothing.
        answer: The answer to an open CALL of the central system's, if it is one.
    """

    frame: OcppFrame
    todo: Todo
    answer: Answer | None = None


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """What goes out: `frame` on the log first, then `frame.raw` on the wire."""

    frame: OcppFrame


class Session:
    """One connection: the last time given out, the central system's open CALLs, the last answer.

    Args:
        client_id: The charge point's identity.
        connection_id: Identifies the connection.
        version: The table row of the negotiated version.
        mode: strict: a payload that breaks its schema gets a CALLERROR. lenient: it is flagged on
            the log, and answered normally where the answer can be built.
        heartbeat_interval_s: Given to the charge point on BootNotification.
    """

    __slots__ = (
        "_heartbeat_interval_s",
        "_last_answered",
        "_last_ns",
        "_mode",
        "_open_calls",
        "client_id",
        "connection_id",
        "version",
    )

    def __init__(
        self,
        *,
        client_id: str,
        connection_id: str,
        version: Version,
        mode: Mode,
        heartbeat_interval_s: int,
    ) -> None:
        self.client_id = client_id
        self.connection_id = connection_id
        self.version = version
        self._mode = mode
        self._heartbeat_interval_s = heartbeat_interval_s
        self._last_ns = 0
        self._open_calls: dict[str, str] = {}
        self._last_answered: tuple[str, str] | None = None

    def receive(self, raw: bytes, now_ns: int) -> Received:
        """Take one websocket message. Never raises, whatever the bytes are.

        Args:
            raw: The message as it was on the wire.
            now_ns: Unix time in nanoseconds.
        """
        try:
            message = ocppj.parse(raw, self.version.protocol)
        except MalformedFrameError as error:
            return self._malformed(raw, error, now_ns)
        if isinstance(message, Call):
            return self._call(raw, message, now_ns)
        if isinstance(message, Send):
            return self._unconfirmed(raw, message, now_ns)
        if isinstance(message, CallResultError):
            return self._objection(raw, message, now_ns)
        return self._result(raw, message, now_ns)

    def answer(
        self,
        todo: Pending | Refusal | Objection,
        now_ns: int,
        *,
        authorization: Authorization | None = None,
        transaction_id: int | None = None,
    ) -> Outgoing:
        """The answer to a CALL whose needs have been met, or to a broken CALLRESULT."""
        if isinstance(todo, (Refusal, Objection)):
            return self._send(todo.error, todo.action, now_ns)
        stamped = self._stamp(now_ns)
        facts = Facts(
            request=todo.request,
            now_ns=stamped,
            heartbeat_interval_s=self._heartbeat_interval_s,
            authorization=authorization,
            transaction_id=transaction_id,
        )
        result = CallResult(todo.message_id, todo.row.answer(facts))
        self._last_answered = (todo.message_id, todo.action)
        return Outgoing(self._frame(OUTBOUND, ocppj.dump(result), stamped, result, todo.action))

    def unavailable(self, todo: Pending | Refusal) -> bytes:
        """The CALLERROR for a CALL that can't be put on the log now. It is on no log itself."""
        message_id = todo.message_id if isinstance(todo, Pending) else todo.error.message_id
        return ocppj.dump(
            CallError(
                message_id,
                self.version.codes.internal,
                "the central system can't store the message now; send it again later",
                {},
            )
        )

    def call(self, call: Call, now_ns: int) -> Outgoing:
        """A CALL of the central system's own; its result will be told by the message id."""
        self._open_calls[call.message_id] = call.action
        if len(self._open_calls) > _MAX_OPEN_CALLS:
            del self._open_calls[next(iter(self._open_calls))]
        return self._send(call, call.action, now_ns)

    @property
    def _objects(self) -> bool:
        return self.version.objects_to_results and self._mode == "strict"

    def _malformed(self, raw: bytes, error: MalformedFrameError, now_ns: int) -> Received:
        codes = self.version.codes
        unknown_type = isinstance(error, UnknownMessageTypeError)
        code = codes.malformed if error.message_id else codes.unreadable
        if unknown_type:
            code = codes.unknown_message_type
        text = shorten(str(error), _MAX_DESCRIPTION)
        frame = OcppFrame(
            client_id=self.client_id,
            received_at_ns=self._stamp(now_ns),
            direction=INBOUND,
            protocol=self.version.protocol,
            kind="INVALID",
            message_id=error.message_id,
            raw=raw,
            violation=text if code is None else str(Violation(code, text)),
            connection_id=self.connection_id,
        )
        if code is None or not (unknown_type or _is_call_or_unreadable(raw)):
            # Mostly a broken answer, which gets none: two peers could go on for ever.
            return Received(frame, None)
        message_id = error.message_id or UNREADABLE_ID
        return Received(frame, Refusal(CallError(message_id, code, text, {}), None))

    def _call(self, raw: bytes, call: Call, now_ns: int) -> Received:
        codes = self.version.codes
        row = self.version.from_charge_point.get(call.action)
        if row is None:
            known = call.action in self.version.from_central_system
            violation = Violation(
                codes.wrong_direction if known else codes.unknown_action,
                f"{call.action!r:.64} is sent by the central system only"
                if known
                else f"{self.version.protocol} has no action {call.action!r:.64}",
            )
            return self._refuse(raw, call, violation, now_ns)
        found = row.request.check(call.payload)
        if found is not None and (self._mode == "strict" or row.repeats_request):
            return self._refuse(raw, call, found, now_ns)
        try:
            needs = _NO_NEEDS if row.needs is None else row.needs(self.client_id, call.payload)
        except UnanswerableError as error:
            violation = found or Violation(codes.incomplete, str(error))
            return self._refuse(raw, call, violation, now_ns)
        frame = self._frame(INBOUND, raw, self._stamp(now_ns), call, call.action, found)
        request = call.payload if row.repeats_request else {}
        return Received(frame, Pending(call.message_id, call.action, row, needs, request))

    def _result(self, raw: bytes, message: Message, now_ns: int) -> Received:
        action = self._open_calls.pop(message.message_id, None)
        violation = None
        if action is None:
            violation = Violation(self.version.codes.malformed, "answers no open CALL")
        elif isinstance(message, CallResult) and action in self.version.from_central_system:
            violation = self.version.from_central_system[action].response.check(message.payload)
        frame = self._frame(INBOUND, raw, self._stamp(now_ns), message, action, violation)
        answer = (
            Answer(message, frame.violation)
            if action is not None and isinstance(message, CallResult | CallError)
            else None
        )
        if action is None or violation is None or not self._objects:
            return Received(frame, None, answer)
        text = shorten(violation.text, _MAX_DESCRIPTION)
        error = CallResultError(message.message_id, violation.code, text, {})
        return Received(frame, Objection(error, action), answer)

    def _unconfirmed(self, raw: bytes, send: Send, now_ns: int) -> Received:
        # OCPP 2.1 Part 4 §4.2.4: a SEND is never answered, however wrong it is.
        codes = self.version.codes
        validator = self.version.sends.get(send.action)
        if validator is not None:
            violation = validator.check(send.payload)
        else:
            known = send.action in self.version.from_charge_point
            violation = Violation(
                codes.wrong_direction if known else codes.unknown_action,
                f"{self.version.protocol} has no SEND {send.action!r:.64}",
            )
        frame = self._frame(INBOUND, raw, self._stamp(now_ns), send, send.action, violation)
        return Received(frame, None)

    def _objection(self, raw: bytes, error: CallResultError, now_ns: int) -> Received:
        message_id, action = self._last_answered or (None, None)
        action = action if message_id == error.message_id else None
        violation = (
            Violation(self.version.codes.malformed, "answers no CALLRESULT")
            if action is None
            else None
        )
        frame = self._frame(INBOUND, raw, self._stamp(now_ns), error, action, violation)
        return Received(frame, None)

    def _refuse(self, raw: bytes, call: Call, violation: Violation, now_ns: int) -> Received:
        frame = self._frame(INBOUND, raw, self._stamp(now_ns), call, call.action, violation)
        description = shorten(violation.text, _MAX_DESCRIPTION)
        error = CallError(call.message_id, violation.code, description, {})
        return Received(frame, Refusal(error, call.action))

    def _send(self, message: Message, action: str | None, now_ns: int) -> Outgoing:
        return Outgoing(
            self._frame(OUTBOUND, ocppj.dump(message), self._stamp(now_ns), message, action)
        )

    def _frame(  # noqa: PLR0913, PLR0917 - private; one argument for each part of the frame
        self,
        direction: Direction,
        raw: bytes,
        stamped_ns: int,
        message: Message,
        action: str | None,
        violation: Violation | None = None,
    ) -> OcppFrame:
        return OcppFrame(
            client_id=self.client_id,
            received_at_ns=stamped_ns,
            direction=direction,
            protocol=self.version.protocol,
            kind=ocppj.KIND_OF[type(message)],
            message_id=message.message_id,
            action=action,
            raw=raw,
            violation=None if violation is None else str(violation),
            connection_id=self.connection_id,
        )

    def _stamp(self, now_ns: int) -> int:
        # The system clock may stand still between two frames, or be set back.
        last_ns = self._last_ns
        self._last_ns = now_ns = now_ns if now_ns > last_ns else last_ns + 1
        return now_ns


def _is_call_or_unreadable(raw: bytes) -> bool:
    try:
        array = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _HEAD_OF_ANSWER.match(raw) is None
    return not isinstance(array, list) or not array or array[0] == _CALL
