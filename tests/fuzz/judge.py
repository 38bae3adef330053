"""Which answers a frame deserves, read off its bytes alone; shares no code with the ingress.

It scans the array's head with the standard library's JSON scanner: a message is a CALL once its
type and its id can be read, whatever follows.
"""

import json
import re
import sys
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_STRICT: Final = json.JSONDecoder(strict=True)
_MAX_ID: Final = 36
_DEEP: Final = 10_000
_MAX_DESCRIPTION: Final = 255
_CALL, _RESULT, _ERROR, _RESULT_ERROR, _SEND = 2, 3, 4, 5, 6

CODES: Final[Mapping[str, frozenset[str]]] = {
    # OCPP-J 1.6 §4.2.3
    "ocpp1.6": frozenset((
        "NotImplemented", "NotSupported", "InternalError", "ProtocolError", "SecurityError",
        "FormationViolation", "PropertyConstraintViolation", "OccurenceConstraintViolation",
        "TypeConstraintViolation", "GenericError",
    )),
    **dict.fromkeys(("ocpp2.0.1", "ocpp2.1"), frozenset((
        # OCPP 2.0.1 Part 4 §4.3
        "FormatViolation", "GenericError", "InternalError", "MessageTypeNotSupported",
        "NotImplemented", "NotSupported", "OccurrenceConstraintViolation",
        "PropertyConstraintViolation", "ProtocolError", "RpcFrameworkError", "SecurityError",
        "TypeConstraintViolation",
    ))),
}  # fmt: skip
_UNREADABLE_ID: Final[Mapping[str, str | None]] = {
    # OCPP 2.0.1 Part 4 §4.2.3: the id of an answer to a message whose own can't be read.
    "ocpp1.6": None, "ocpp2.0.1": "-1", "ocpp2.1": "-1",
}  # fmt: skip
_UNANSWERED: Final[Mapping[str, frozenset[int]]] = {
    "ocpp1.6": frozenset((_RESULT, _ERROR)),
    "ocpp2.0.1": frozenset((_RESULT, _ERROR)),
    "ocpp2.1": frozenset((_RESULT, _ERROR, _RESULT_ERROR, _SEND)),
}


class Head(NamedTuple):
    """What can be read at an array's start; None: it can't."""

    number: int | None
    message_id: str | None


def head_of(raw: bytes) -> Head | None:
    """The array's head; None where the bytes begin no array."""
    text = raw.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    place = _after_space(text, 0)
    if text[place : place + 1] != "[":
        return None
    first = _scan(text, place + 1)
    if first is None or text[first.end : first.end + 1] not in {",", "]"}:
        return Head(None, None)
    # bool is an int in Python, and 2.0 is no integer here.
    number = first.value if type(first.value) is int else None
    second = _scan(text, first.end + 1)
    if text[first.end] == "]" or second is None or not _is_id(second.value):
        return Head(number, None)
    # `[2,"id"]` ends there, so it must be whole; behind a comma anything may follow.
    readable = text[second.end : second.end + 1] == "," or _is_json(raw)
    return Head(number, second.value if readable else None)


class _Scanned(NamedTuple):
    value: Any
    end: int


def _scan(text: str, place: int) -> _Scanned | None:
    """The JSON value at `place` and where the text goes on behind it; None: there is none."""
    usual = sys.getrecursionlimit()
    # For arrays of 3,000 levels; the code under test must do without.
    sys.setrecursionlimit(_DEEP)
    try:
        value, end = _STRICT.raw_decode(text, _after_space(text, place))
    except (ValueError, RecursionError):
        return None
    finally:
        sys.setrecursionlimit(usual)
    return _Scanned(value, _after_space(text, end))


def complaint(raw: bytes, answer: bytes | None, protocol: str) -> str | None:
    """What is wrong with `answer` (None: there was none) to the frame `raw`; None: nothing."""
    head = head_of(raw) or Head(None, None)
    is_call = head.number == _CALL and head.message_id is not None
    if answer is None:
        return "a CALL without an answer" if is_call else None
    malformed = malformed_answer(answer, protocol)
    if malformed is not None:
        return malformed
    number, message_id = json.loads(answer)[:2]
    if is_call:
        return None if message_id == head.message_id else f"answer to another id {message_id!r}"
    unreadable = _UNREADABLE_ID[protocol]
    rules = (
        (unreadable is None, "an answer to what is no CALL"),
        (number != _ERROR, "a result for what is no CALL"),
        (message_id not in {unreadable, head.message_id}, f"no such id: {message_id!r}"),
        (head.number in _UNANSWERED[protocol], "an answer to what is never answered"),
    )
    return next((text for broken, text in rules if broken), None)


def malformed_answer(answer: bytes, protocol: str) -> str | None:
    """What is wrong with an answer's own form (OCPP-J 1.6 §4.2); None: nothing."""
    try:
        array: Any = json.loads(answer)
    except ValueError as error:
        return f"the answer is no JSON: {error}"
    match array:
        case [3, str(message_id), dict()] if message_id:
            return None
        case [4, str(message_id), str(code), str(description), dict()] if message_id:
            if code not in CODES[protocol]:
                return f"{code} is no error code of {protocol}"
            long = len(description) > _MAX_DESCRIPTION
            return "the error's description is too long" if long else None
        case _:
            return f"the answer is no result and no error: {answer!r:.200}"


def _after_space(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return place if found is None else found.end()


def _is_id(value: object) -> bool:
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_ID:
        return False
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _is_json(raw: bytes) -> bool:
    try:
        json.loads(raw.decode())
    except (ValueError, RecursionError):
        return False
    return True
