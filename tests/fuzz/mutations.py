"""Frames that go wrong, from a seed: valid ones bent in one or several ways, and plain garbage.

The ways are tables: values that break a field, heads that break the array, cuts and slips that
break the bytes. The same seed gives the same frames.
"""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

from samples import SCHEMAS, load_request, sample

from ingress.protocol.versions import VERSIONS


class Token(str):
    """JSON text that stands as it is, also where it is none."""

    __slots__ = ()


_DEPTHS: Final = (100, 254, 255, 256, 990, 1005, 1019, 1022, 1024, 3000)
"""Around the limits of jsonschema-rs (255), Python's repr (some 1,000) and orjson (1,024)."""
HOSTILE_VALUES: Final[Sequence[bytes]] = (
    # No JSON, though Python's json, JavaScript's eval and much firmware write it.
    b"NaN", b"Infinity", b"-Infinity", b"undefined", b"True", b"'x'", b"01", b"+1", b".5", b"1.",
    b"0x10", b"1e400", b"-1e400", b"/* */1", b'"\n"', b'"\x00"', b'"\\x41"', b'"\\u12"',
    # Numbers beyond every integer and float.
    b"9" * 30, b"-" + b"9" * 30, b"9" * 5000, b"1." + b"1" * 5000, b"1e-400", b"-0", b"1E5",
    b"9223372036854775807", b"9223372036854775808", b"-9223372036854775809",
    b"18446744073709551615", b"18446744073709551616",
    # Texts: lone surrogates, a pair, no UTF-8, an overlong form, NUL, separators, a long one.
    b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud83d\\ude00"', b'"\xff"', b'"\xc0\x80"',
    b'"\xed\xa0\x80"', b'"\\u0000"', b'"\xe2\x80\xa8"', b'"' + b"x" * 20_000 + b'"', b'""',
    b'"2023-12-07T10:15:30"', b'"1969-12-31T23:59:59Z"', b'"9999-12-31T23:59:59.999999999Z"',
    b'"0000-00-00T00:00:00Z"', b'"NaN"', b'"1e999999999"', b'"-1"', b'" 12 "', b'"0x1F"',
    # Shapes: depth around each parser's limit, width, keys that come twice.
    *(b"[" * depth + b"]" * depth for depth in _DEPTHS),
    *(b'{"a":' * depth + b"1" + b"}" * depth for depth in _DEPTHS),
    b"[" + b",".join([b"0"] * 2000) + b"]",
    b"{" + b",".join(b'"k%d":%d' % (n, n) for n in range(500)) + b"}",
    b'{"a":1,"a":2}', b'{"":1}', b'{"\\u0000":1}', b'{"__proto__":{}}',
    b"null", b"true", b"false", b"0", b"1", b"-1", b"0.1", b"1.5", b"[]", b"{}", b'"x"', b"[[]]",
)  # fmt: skip

HOSTILE_IDS: Final[Sequence[bytes]] = (
    b'""', b'"' + b"i" * 36 + b'"', b'"' + b"i" * 37 + b'"', b'"' + b"i" * 9000 + b'"', b"1",
    b"null", b"{}", b"[]", b'"\\u0000"', b'"\\u0041"', b'"' + b"\\u00e9" * 36 + b'"', b'"\\ud800"',
    b'"\xff"', b'"\\ud83d\\ude00"', b'"-1"', b"NaN", b'"a"b"', b'"' + "é".encode() * 36 + b'"',
    b'"' + b"\\ud83d\\ude00" * 36 + b'"',
)  # fmt: skip
HOSTILE_TYPES: Final[Sequence[bytes]] = (
    b"0", b"1", b"3", b"4", b"5", b"6", b"7", b"-2", b"2.0", b"2e0", b"02", b'"2"', b"true",
    b"null", b"[2]", b"9" * 40, b"NaN", b" 2 ", b"2.5", b"18446744073709551618",
)  # fmt: skip
HOSTILE_ACTIONS: Final[Sequence[bytes]] = (
    b'""', b'"NoSuchAction"', b'"Reset"', b'"heartbeat"', b"7", b"null", b'"\\u0000"',
    b'"a/b/+/#"', b'"' + b"A" * 9000 + b'"', b'"\\ud800"', b'"\xff"', b'"Heartbeat\\n"',
    b'"__class__"', b'"../x"',
)  # fmt: skip
GARBAGE: Final[Sequence[bytes]] = (
    b"", b" ", b"\x00", b"[", b"[2", b"[2,", b'[2,"a', b'[2,"a"', b'[2,"a",', b"]", b"{}", b"[]",
    b"null", b"hello", b"\xff\xfe", b"\xef\xbb\xbf", b"[" * 100_000, b'[2,"a"]', b"[[2]]", b'"[2]"',
    b'[2,"a","Heartbeat",{}][2,"b","Heartbeat",{}]', b"GET / HTTP/1.1\r\n\r\n",
)  # fmt: skip
_FRAMINGS: Final[Sequence[Callable[[bytes], bytes]]] = (
    lambda raw: b"\xef\xbb\xbf" + raw,
    lambda raw: b" \r\n\t" + raw + b"\n ",
    lambda raw: raw.replace(b",", b" ,\n"),
    lambda raw: raw + b",",
    lambda raw: raw + raw,
    lambda raw: b"[" + raw + b"]",
    lambda raw: raw[:-1] + b",1]",
    lambda raw: raw.decode("utf-8", "replace").encode("utf-16"),
    lambda raw: raw.decode("utf-8", "replace").encode("latin-1", "replace"),
    lambda raw: raw.replace(b"{", b"{{", 1),
    lambda raw: raw + b"\x00",
)


class Mutator:
    """Gives one frame after another.

    Args:
        protocol: Whose actions and payloads are bent.
        seed: Of the dice.
    """

    def __init__(self, protocol: str, seed: str) -> None:
        self.protocol = protocol
        self._dice = random.Random(seed)  # noqa: S311 - a seed is to repeat a run, not a secret
        names = sorted(VERSIONS[protocol].from_charge_point)
        self._schemas = {
            action: load_request(protocol, action) for action in names if protocol in SCHEMAS
        }
        self._actions = sorted(self._schemas)
        self._number = 0

    def frame(self) -> bytes:
        """The next frame."""
        dice = self._dice
        way = dice.choices(
            (self._plain, self._bent_payload, self._bent_head, self._bent_bytes, self._garbage),
            (3, 8, 4, 4, 1),
        )[0]
        raw = way()
        return dice.choice(_FRAMINGS)(raw) if dice.random() < 1 / 20 else raw

    def call(self, action: str, message_id: str) -> bytes:
        """A CALL as it should be."""
        payload = sample(self._schemas[action], self._dice)
        return json.dumps([2, message_id, action, payload], ensure_ascii=False).encode()

    def _parts(self) -> list[Any]:
        action = self._dice.choice(self._actions)
        self._number += 1
        return [2, f"m{self._number}", action, sample(self._schemas[action], self._dice)]

    def _plain(self) -> bytes:
        return _text(self._parts())

    def _bent_payload(self) -> bytes:
        parts = self._parts()
        for _ in range(self._dice.choice((1, 1, 1, 2, 5))):
            self._bend(parts, 3)
        return _text(parts)

    def _bend(self, holder: Any, key: Any) -> None:  # noqa: ANN401 - any JSON value and key
        """Replace something at or below `holder[key]`, or add something that does not belong."""
        dice = self._dice
        inner = holder[key]
        keys = list(inner if isinstance(inner, dict) else range(len(inner)))  \
            if isinstance(inner, dict | list) else []  # fmt: skip
        if keys and dice.random() < 4 / 5:
            return self._bend(inner, dice.choice(keys))
        value = _token(dice.choice(HOSTILE_VALUES))
        if isinstance(inner, dict) and dice.random() < 1 / 2:
            inner[dice.choice(("extra", "", "customData", "a" * 5000))] = value
        elif isinstance(inner, dict) and inner and dice.random() < 1 / 2:
            del inner[dice.choice(list(inner))]
        else:
            holder[key] = value
        return None

    def _bent_head(self) -> bytes:
        parts = self._parts()
        dice = self._dice
        place, values = dice.choice(
            ((0, HOSTILE_TYPES), (1, HOSTILE_IDS), (2, HOSTILE_ACTIONS), (3, HOSTILE_VALUES))
        )
        parts[place] = _token(dice.choice(values))
        match dice.randrange(6):
            case 0:
                del parts[dice.randrange(1, 4)]
            case 1:
                parts.insert(dice.randrange(5), _token(dice.choice(HOSTILE_VALUES)))
            case 2:
                parts[0] = dice.choice((3, 4, 5, 6))
            case _:
                pass
        return _text(parts)

    def _bent_bytes(self) -> bytes:
        dice = self._dice
        raw = bytearray(self._plain())
        for _ in range(dice.choice((1, 1, 2, 3, 10))):
            place = dice.randrange(len(raw) + 1)
            match dice.randrange(6):
                case 0:
                    raw[place : place + 1] = bytes((dice.randrange(256),))
                case 1:
                    raw[place:place] = dice.choice(
                        (b'"', b"\\", b",", b"[", b"}", b"\x00", b"\xff")
                    )
                case 2:
                    del raw[place : place + dice.randrange(1, 9)]
                case 3:
                    del raw[place:]
                case 4:
                    raw[place:place] = raw[dice.randrange(len(raw) + 1) :][:50]
                case _:
                    raw[place:place] = dice.choice(HOSTILE_VALUES)
        return bytes(raw)

    def _garbage(self) -> bytes:
        if self._dice.random() < 1 / 2:
            return self._dice.choice(GARBAGE)
        return self._dice.randbytes(self._dice.randrange(60))


def _token(raw: bytes) -> Token:
    return Token(raw.decode("utf-8", "surrogateescape"))


def _text(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    return _written(value).encode("utf-8", "surrogateescape")


def _written(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(value, Token):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_written(k)}:{_written(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
