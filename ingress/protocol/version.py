"""What one OCPP version is to the session: a table row (`versions` lists the rows)."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from ingress.protocol.validation import Validator
from schemas.records import TransactionIdRequest

Payload: TypeAlias = dict[str, Any]


class Authorization(msgspec.Struct, frozen=True):
    """What is known about an idTag.

    Attributes:
        status: In OCPP 1.6's words: Accepted, Blocked, Expired, Invalid or ConcurrentTx.
    """

    status: str


class Needs(msgspec.Struct, frozen=True, gc=False):
    """What an answer needs from outside; all None: nothing.

    Attributes:
        id_tag: The idTag (2.x: idToken) to authorize.
        authorization: One that holds without asking.
        transaction: The request for a transactionId.
    """

    id_tag: str | None = None
    authorization: Authorization | None = None
    transaction: TransactionIdRequest | None = None


class Facts(msgspec.Struct, frozen=True, gc=False):
    """What the needs were met with, beside what every answer may use.

    Attributes:
        request: The CALL's payload, for an action that repeats parts of it; else empty.
        now_ns: Unix time in nanoseconds.
        heartbeat_interval_s: For BootNotification.
        authorization: Set where an idTag was to be authorized.
        transaction_id: Set where one was asked for.
    """

    request: Payload
    now_ns: int
    heartbeat_interval_s: int
    authorization: Authorization | None = None
    transaction_id: int | None = None


class Action(msgspec.Struct, frozen=True):
    """One action that a charge point may send.

    Attributes:
        request: Schema of the CALL's payload.
        response: Schema of the CALLRESULT's payload.
        answer: Facts → the CALLRESULT's payload.
        needs: (client_id, payload) → needs; raises UnanswerableError. None: needs nothing.
        repeats_request: The answer repeats parts of the request, so that a request which breaks
            its schema is refused in lenient mode, too.
    """

    request: Validator
    response: Validator
    answer: Callable[[Facts], Payload]
    needs: Callable[[str, Payload], Needs] | None = None
    repeats_request: bool = False


class Command(msgspec.Struct, frozen=True):
    """One action that the central system may send: the schemas of its CALL and CALLRESULT."""

    request: Validator
    response: Validator


class ErrorCodes(msgspec.Struct, frozen=True):
    """CALLERROR codes by cause; None: the version says that such a frame is not answered.

    Attributes:
        malformed: A CALL whose array has the wrong form, or which is no JSON.
        unreadable: A frame whose message id can't be read; answered under `UNREADABLE_ID`.
        unknown_message_type: A message type number that the version doesn't have.
        unknown_action: An action that the version doesn't have.
        wrong_direction: An action that only the central system may send.
        incomplete: A payload without something that the answer depends on.
        internal: The central system can't do its part now.
    """

    malformed: str
    unreadable: str | None
    unknown_message_type: str | None
    unknown_action: str
    wrong_direction: str
    incomplete: str
    internal: str


UNREADABLE_ID: Final = "-1"
"""OCPP 2.0.1 and 2.1 Part 4 §4.2.3: the id of a CALLERROR where the message id can't be read."""


class Version(msgspec.Struct, frozen=True):
    """One OCPP version.

    Attributes:
        protocol: The websocket subprotocol.
        codes: Its error codes.
        from_charge_point: Action → what to do with it.
        from_central_system: Action → schemas of the CALL and of the charge point's CALLRESULT.
        sends: Action of a SEND → schema of its payload; empty where the version has no SEND.
        objects_to_results: Whether a CALLRESULT that can't be processed gets a CALLRESULTERROR.
    """

    protocol: str
    codes: ErrorCodes
    from_charge_point: Mapping[str, Action]
    from_central_system: Mapping[str, Command]
    sends: Mapping[str, Validator] = {}
    objects_to_results: bool = False
