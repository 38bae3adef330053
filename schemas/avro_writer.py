"""Struct → Avro bytes, generated; see schemas.avro_source."""

import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, TypeAlias

from schemas.avro_source import Schema, Source, Structs, UnusualError, fields_of, kind_of

_PYTHON: Final[dict[str, type]] = {
    "string": str,
    "int": int,
    "long": int,
    "double": float,
    "decimal": Decimal,
}
"""What a union's branch is told by; records by their Structs."""

Writer: TypeAlias = Callable[[Any], bytes]

_FEW: Final = 3
_INT: Final = 2**31
_LONG: Final = 2**63
_BYTE: Final = 2**7
_PAIR: Final = 2**14

# The bytes of a zigzag code below 2**14 that ends a number, and of two groups with more to follow.
_LAST: Final = [
    bytes([code]) if code < _BYTE else bytes([code & 127 | 128, code >> 7]) for code in range(_PAIR)
]
_MORE: Final = [bytes([code & 127 | 128, code >> 7 | 128]) for code in range(_PAIR)]


def struct_writer(schema: Schema, structs: Structs) -> Writer:
    """A function from the schema's Struct to its bytes.

    Raises:
        NotImplementedError: The schema uses a type that is not provided for here.
    """
    return _Writers(structs).made(schema)


class _Writers:
    def __init__(self, structs: Structs) -> None:
        self._structs = structs
        self._kinds: dict[str, Callable[[Source, Schema, str], list[str]]] = {
            "string": self._text,
            "bytes": self._bytes,
            "int": self._int,
            "long": self._long,
            "double": self._double,
            "decimal": self._decimal,
            "enum": self._enum,
            "array": self._array,
            "map": self._map,
            "record": self._record,
            "union": self._union,
        }

    def made(self, schema: Schema) -> Writer:
        source = Source({"LAST": _LAST})
        with source.block("def write(record):"):
            parts = self._record(source, schema, "record")
            source.add(f"return {_joined(parts)}")
        function: Writer = source.function("write")
        return function

    def _parts(self, source: Source, schema: Schema, value: str) -> list[str]:
        """Adds what is to be done first; expressions of the value's bytes, in order."""
        kind = kind_of(schema)
        if kind not in self._kinds:
            raise NotImplementedError(f"Avro type {kind}")
        return self._kinds[kind](source, schema, value)

    def _record(self, source: Source, schema: Schema, value: str) -> list[str]:
        parts = []
        for attribute, field in fields_of(schema, self._structs[schema["name"]]):
            name = source.name()
            source.add(f"{name} = {value}.{attribute}")
            parts += self._parts(source, field, name)
        return parts

    @staticmethod
    def _text(source: Source, _: Schema, value: str) -> list[str]:
        source.add(f"{value} = {value}.encode()")
        # A text beyond the table is unusual, too.
        return [f"LAST[len({value}) << 1]", value]

    @staticmethod
    def _bytes(source: Source, _: Schema, value: str) -> list[str]:
        source.globals["sized"] = _sized
        return [f"sized({value})"]

    @staticmethod
    def _int(source: Source, _: Schema, value: str) -> list[str]:
        source.globals["int_bytes"] = _int_bytes
        return [f"int_bytes({value})"]

    @staticmethod
    def _long(source: Source, _: Schema, value: str) -> list[str]:
        source.globals["long_bytes"] = _long_bytes
        return [f"long_bytes({value})"]

    @staticmethod
    def _double(source: Source, _: Schema, value: str) -> list[str]:
        source.globals["double_bytes"] = _double_bytes
        return [f"double_bytes({value})"]

    @staticmethod
    def _decimal(source: Source, schema: Schema, value: str) -> list[str]:
        source.globals["decimal_bytes"] = _decimal_bytes
        return [f"decimal_bytes({value}, {schema['precision']}, {schema['scale']})"]

    @staticmethod
    def _enum(source: Source, schema: Schema, value: str) -> list[str]:
        codes = {symbol: _LAST[place << 1] for place, symbol in enumerate(schema["symbols"])}
        return [f"{source.constant(codes)}[{value}]"]

    def _array(self, source: Source, schema: Schema, value: str) -> list[str]:
        item = source.name()
        return self._block(source, schema["items"], value, f"for {item} in {value}:", item, "")

    def _map(self, source: Source, schema: Schema, value: str) -> list[str]:
        key, item = source.name(), source.name()
        head = f"for {key}, {item} in {value}.items():"
        return self._block(source, schema["values"], value, head, item, key)

    def _block(  # noqa: PLR0913, PLR0917  # a map's loop and an array's differ in their head only
        self, source: Source, items: Schema, value: str, head: str, item: str, key: str
    ) -> list[str]:
        out = source.name()
        source.globals["UnusualError"] = UnusualError
        with source.block(f"if type({value}) is not {'dict' if key else 'tuple'}:"):
            source.add("raise UnusualError")
        source.add(f'{out} = b""')
        with source.block(f"if {value}:"):
            source.add(f"{out} = [LAST[len({value}) << 1]]")
            with source.block(head):
                parts = self._text(source, "string", key) if key else []
                parts += self._parts(source, items, item)
                source.add(f"{out} += ({', '.join(parts)},)")
            source.add(f'{out} = b"".join({out})')
        return [out, r'b"\0"']

    def _union(self, source: Source, schema: Schema, value: str) -> list[str]:
        """The branch by the value's very type; each is of a type of its own."""
        out = source.name()
        word = "if"
        for place, branch in enumerate(schema):
            kind = kind_of(branch)
            mark = repr(_LAST[place << 1])
            if kind == "null":
                test = f"{value} is None"
            else:
                python = _PYTHON.get(kind) or self._structs[branch["name"]]
                test = f"type({value}) is {source.constant(python)}"
            with source.block(f"{word} {test}:"):
                parts = [] if kind == "null" else self._parts(source, branch, value)
                source.add(f"{out} = {_joined([mark, *parts])}")
            word = "elif"
        source.globals["UnusualError"] = UnusualError
        with source.block("else:"):
            source.add("raise UnusualError")
        return [out]


def _joined(parts: list[str]) -> str:
    few = " + ".join(parts)  # the quicker way for two or three
    return few if len(parts) <= _FEW else f'b"".join(({", ".join(parts)}))'


def _sized(value: object) -> bytes:
    if type(value) is not bytes:
        raise UnusualError
    return _LAST[len(value) << 1] + value


def _long_bytes(number: object) -> bytes:
    if type(number) is not int or not -_LONG <= number < _LONG:
        raise UnusualError
    code = number << 1 ^ number >> 63
    if code < _PAIR:
        return _LAST[code]
    out = _MORE[code & 16383]
    code >>= 14
    while code >= _PAIR:
        out += _MORE[code & 16383]
        code >>= 14
    return out + _LAST[code]


def _int_bytes(number: object) -> bytes:
    if type(number) is not int or not -_INT <= number < _INT:
        raise UnusualError
    return _long_bytes(number)


_pack_double = struct.Struct("<d").pack


def _double_bytes(number: object) -> bytes:
    if type(number) is not float:
        raise UnusualError
    return _pack_double(number)


def _decimal_bytes(value: object, precision: int, scale: int) -> bytes:
    if type(value) is not Decimal:
        raise UnusualError
    _, digits, exponent = value.as_tuple()
    if type(exponent) is not int or exponent < -scale or len(digits) > precision:
        raise UnusualError
    unscaled = int(value.scaleb(scale))
    # One bit more for the sign, whatever it is, as fastavro has it.
    body = unscaled.to_bytes((unscaled.bit_length() + 8) // 8, "big", signed=True)
    return _LAST[len(body) << 1] + body
