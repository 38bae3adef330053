"""OCPP-J messages: arrays ⇄ types (OCPP-J 1.6 §4.2; OCPP 2.0.1 and 2.1 Part 4 §4.2)."""

import re
from reprlib import repr as shown
from typing import Any, Final, TypeAlias

import msgspec
import orjson

from schemas.errors import MalformedFrameError, UnknownMessageTypeError
from schemas.frames import Kind


class Call(msgspec.Struct, frozen=True, gc=False):
    """`[2, id, action, payload]`."""

    message_id: str
    action: str
    payload: Any


class CallResult(msgspec.Struct, frozen=True, gc=False):
    """`[3, id, payload]`."""

    message_id: str
    payload: Any


class CallError(msgspec.Struct, frozen=True, gc=False):
    """`[4, id, code, description, details]`."""

    message_id: str
    code: str
    description: str
    details: Any


class CallResultError(msgspec.Struct, frozen=True, gc=False):
    """`[5, id, code, description, details]` (OCPP 2.1): the CALLRESULT could not be processed."""

    message_id: str
    code: str
    description: str
    details: Any


class Send(msgspec.Struct, frozen=True, gc=False):
    """`[6, id, action, payload]` (OCPP 2.1): a message that expects no answer."""

    message_id: str
    action: str
    payload: Any


Message: TypeAlias = Call | CallResult | CallError | CallResultError | Send

KIND_OF: Final[dict[type[Message], Kind]] = {
    Call: "CALL",
    CallResult: "CALLRESULT",
    CallError: "CALLERROR",
    CallResultError: "CALLRESULTERROR",
    Send: "SEND",
}

_BASE_TYPES: Final[dict[int, type[Message]]] = {2: Call, 3: CallResult, 4: CallError}
_TYPES: Final[dict[str, dict[int, type[Message]]]] = {
    "ocpp1.6": _BASE_TYPES,
    "ocpp2.0.1": _BASE_TYPES,
    "ocpp2.1": {**_BASE_TYPES, 5: CallResultError, 6: Send},
}
_NUMBER_OF: Final[dict[type[Message], int]] = {
    Call: 2, CallResult: 3, CallError: 4, CallResultError: 5, Send: 6,
}  # fmt: skip
_SHAPES: Final[dict[type[Message], tuple[int, str]]] = {
    Call: (4, '[2, "<id>", "<action>", {payload}]'),
    CallResult: (3, '[3, "<id>", {payload}]'),
    CallError: (5, '[4, "<id>", "<code>", "<description>", {details}]'),
    CallResultError: (5, '[5, "<id>", "<code>", "<description>", {details}]'),
    Send: (4, '[6, "<id>", "<action>", {payload}]'),
}
_WITH_PAYLOAD: Final = {Call, CallResult, Send}
"""OCPP-J 1.6 §4.1.5, 2.x §4.1.5: a payload without fields may be written as null."""
MAX_MESSAGE_ID: Final = 36
"""OCPP-J 1.6 §4.1.4: a message id is a string of at most 36 characters (a UUID's length)."""

_HEAD_OF_CALL: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?[ \t\r\n]*\[[ \t\r\n]*2[ \t\r\n]*,[ \t\r\n]*"
    rb'("(?:[^"\\\x00-\x1f]|\\.){1,432}")[ \t\r\n]*,'
)
"""A CALL up to its message id, of which each character may be an escape like \\u0041."""


def parse(raw: bytes, protocol: str) -> Message:
    """The OCPP-J message in `raw`.

    Raises:
        UnknownMessageTypeError: The array's first element is no message type of `protocol`.
        MalformedFrameError: Anything else that is wrong with the array's form; its `message_id`
            is set where it could still be read, also from a CALL that is no JSON further on.
    """
    try:
        array = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise MalformedFrameError(f"not JSON: {error}", _id_of_broken_call(raw)) from error
    if not isinstance(array, list) or not array:
        raise MalformedFrameError("not a JSON array with a message type, e.g. [2, id, action, {}]")
    message_id = array[1] if len(array) > 1 and _is_id(array[1]) else None
    number = array[0]
    # bool is an int in Python; `[true, …]` must not pass for a number.
    kind = _TYPES[protocol].get(number) if type(number) is int else None
    if kind is None:
        raise UnknownMessageTypeError(
            f"message type {shown(number):.40} does not exist in {protocol}", message_id
        )
    length, shape = _SHAPES[kind]
    if message_id is None:
        raise MalformedFrameError(
            f"the message id must be a string of 1 to {MAX_MESSAGE_ID} characters; expected {shape}"
        )
    if len(array) != length:
        raise MalformedFrameError(f"{len(array)} elements; expected {shape}", message_id)
    if array[-1] is None and kind in _WITH_PAYLOAD:
        array[-1] = {}
    # No generator: in 3.11 its coming and going takes longer than what it would do here.
    texts = [text for text in array[2:-1] if type(text) is str]
    if type(array[-1]) is not dict or len(texts) != length - 3:
        raise MalformedFrameError(
            f"an element has the wrong JSON type; expected {shape}", message_id
        )
    return kind(*array[1:])


def dump(message: Message) -> bytes:
    """The message as the UTF-8 JSON text that goes on the wire."""
    return orjson.dumps([_NUMBER_OF[type(message)], *msgspec.structs.astuple(message)])


def _id_of_broken_call(raw: bytes) -> str | None:
    # Firmware writes NaN, and cuts texts in the middle of a character. Without an answer its
    # charge point would wait for the time limit, and send the same again.
    head = _HEAD_OF_CALL.match(raw)
    if head is None:
        return None
    try:
        message_id: str = orjson.loads(head[1])
    except orjson.JSONDecodeError:
        return None
    return message_id if _is_id(message_id) else None


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_MESSAGE_ID
