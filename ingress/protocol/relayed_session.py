"""A connection that another central system answers: what each frame is, without touching it. Pure.

In front of an existing central system (`ingress.relay`) nothing is answered or refused here. Each
message of either side becomes one frame for the log, with its action told by correlation and with
what is wrong with it, and its bytes go on as they came.
"""

from typing import Final

from ingress.protocol.validation import Violation, shorten
from ingress.protocol.version import Version
from schemas import ocppj
from schemas.errors import MalformedFrameError
from schemas.frames import INBOUND, OUTBOUND, Direction, Kind, OcppFrame
from schemas.ocppj import Call, CallResult, CallResultError, Message, Send

_MAX_OPEN: Final = 64
"""CALLs of one side without an answer; OCPP-J 1.6 §4.1.1 allows one at a time."""
_MAX_TEXT: Final = 255
_OPPOSITE: Final[dict[Direction, Direction]] = {INBOUND: OUTBOUND, OUTBOUND: INBOUND}


class RelayedSession:
    """The state of one relayed connection: the last time given out, and both sides' open CALLs.

    Args:
        client_id: The charge point's identity.
        connection_id: Identifies the connection.
        version: The table row of the negotiated version.
    """

    def __init__(self, *, client_id: str, connection_id: str, version: Version) -> None:
        self.client_id = client_id
        self.connection_id = connection_id
        self._version = version
        self._last_ns = 0
        self._open: dict[Direction, dict[str, str]] = {INBOUND: {}, OUTBOUND: {}}
        self._answered: dict[Direction, tuple[str, str | None]] = {}

    def observe(self, direction: Direction, raw: bytes, now_ns: int) -> OcppFrame:
        """The frame of one message. Never raises, whatever the bytes are.

        Args:
            direction: `inbound`: the charge point sent it; `outbound`: the central system.
            raw: The message as it was on the wire.
            now_ns: Unix time in nanoseconds.
        """
        try:
            message = ocppj.parse(raw, self._version.protocol)
        except MalformedFrameError as error:
            found = Violation(self._version.codes.malformed, shorten(str(error), _MAX_TEXT))
            return self._frame(direction, raw, now_ns, "INVALID", error.message_id, violation=found)
        if isinstance(message, Call | Send):
            action: str | None = message.action
            violation = self._check_request(direction, message)
            if isinstance(message, Call):
                self._remember(direction, message)
        elif isinstance(message, CallResultError):
            # About the other side's answer to a CALL of this side's own, the last one.
            message_id, answered = self._answered.get(direction, ("", None))
            action = answered if message_id == message.message_id else None
            violation = self._check_answer(direction, message, action)
        else:
            # The answer to the other side's CALL.
            action = self._open[_OPPOSITE[direction]].pop(message.message_id, None)
            self._answered[_OPPOSITE[direction]] = (message.message_id, action)
            violation = self._check_answer(direction, message, action)
        return self._frame(
            direction,
            raw,
            now_ns,
            ocppj.KIND_OF[type(message)],
            message.message_id,
            action=action,
            violation=violation,
        )

    def _remember(self, direction: Direction, call: Call) -> None:
        calls = self._open[direction]
        calls[call.message_id] = call.action
        if len(calls) > _MAX_OPEN:
            del calls[next(iter(calls))]

    def _check_request(self, direction: Direction, message: Call | Send) -> Violation | None:
        version = self._version
        if direction == INBOUND:
            row = version.from_charge_point.get(message.action)
            sent = version.sends.get(message.action) if isinstance(message, Send) else None
            validator = sent or (None if row is None else row.request)
            if validator is not None:
                return validator.check(message.payload)
            misdirected = message.action in version.from_central_system
        else:
            command = version.from_central_system.get(message.action)
            if command is not None:
                return command.request.check(message.payload)
            misdirected = message.action in version.from_charge_point
        if misdirected:
            return Violation(
                version.codes.wrong_direction, f"{message.action!r:.64} is the other side's to send"
            )
        return Violation(
            version.codes.unknown_action, f"{version.protocol} has no action {message.action!r:.64}"
        )

    def _check_answer(
        self, direction: Direction, message: Message, action: str | None
    ) -> Violation | None:
        if action is None:
            return Violation(self._version.codes.malformed, "answers no open CALL")
        if not isinstance(message, CallResult):
            return None
        table = (
            self._version.from_central_system
            if direction == INBOUND
            else self._version.from_charge_point
        )
        row = table.get(action)
        return None if row is None else row.response.check(message.payload)

    def _frame(  # noqa: PLR0913 - private; one argument for each part of the frame
        self,
        direction: Direction,
        raw: bytes,
        now_ns: int,
        kind: Kind,
        message_id: str | None,
        *,
        action: str | None = None,
        violation: Violation | None = None,
    ) -> OcppFrame:
        # The system clock may stand still between two frames, or be set back.
        self._last_ns = max(now_ns, self._last_ns + 1)
        return OcppFrame(
            client_id=self.client_id,
            received_at_ns=self._last_ns,
            direction=direction,
            protocol=self._version.protocol,
            kind=kind,
            message_id=message_id,
            action=action,
            raw=raw,
            violation=None if violation is None else str(violation),
            connection_id=self.connection_id,
        )
