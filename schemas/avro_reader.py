"""Avro bytes → Struct, generated; see schemas.avro_source."""

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Final, TypeAlias

from schemas.avro_source import Schema, Source, Structs, UnusualError, fields_of, kind_of

Reader: TypeAlias = Callable[[bytes, int], tuple[Any, int]]
"""Bytes, and where a value begins → the value, and where it ends."""

_BYTE: Final = 2**7


def struct_reader(schema: Schema, structs: Structs) -> Reader:
    """A function from bytes to the schema's Struct.

    Raises:
        NotImplementedError: The schema uses a type that is not provided for here.
    """
    return _Readers(structs).made(schema)


class _Readers:
    def __init__(self, structs: Structs) -> None:
        self._structs = structs
        self._kinds: dict[str, Callable[[Source, Schema, str], None]] = {
            "null": self._null,
            "string": self._text,
            "bytes": self._bytes,
            "int": self._long,
            "long": self._long,
            "double": self._double,
            "decimal": self._decimal,
            "enum": self._enum,
            "array": self._array,
            "map": self._map,
            "record": self._record,
            "union": self._union,
        }

    def made(self, schema: Schema) -> Reader:
        source = Source({"read_long": _read_long, "UnusualError": UnusualError})
        with source.block("def read(data, at):"):
            self._record(source, schema, "record")
            source.add("return record, at")
        function: Reader = source.function("read")
        return function

    def _value(self, source: Source, schema: Schema, name: str) -> None:
        """Adds the lines that put the next value into the variable."""
        kind = kind_of(schema)
        if kind not in self._kinds:
            raise NotImplementedError(f"Avro type {kind}")
        self._kinds[kind](source, schema, name)

    def _record(self, source: Source, schema: Schema, name: str) -> None:
        record = self._structs[schema["name"]]
        arguments = []
        for attribute, field in fields_of(schema, record):
            value = source.name()
            self._value(source, field, value)
            arguments.append(f"{attribute}={value}")
        source.add(f"{name} = {source.constant(record)}({', '.join(arguments)})")

    @staticmethod
    def _null(source: Source, _: Schema, name: str) -> None:
        source.add(f"{name} = None")

    @staticmethod
    def _slice(source: Source) -> str:
        """The next length's bytes; one beyond the end shows in `at`, at the end."""
        end = source.name()
        source.add(f"{end} = data[at]")
        with source.block(f"if {end} & 129:"):  # longer than 63, or negative
            source.add(f"{end}, at = read_long(data, at)")
            with source.block(f"if {end} < 0:"):
                source.add("raise UnusualError")
            source.add(f"{end} += at")
        with source.block("else:"):
            source.add("at += 1", f"{end} = at + ({end} >> 1)")
        return end

    def _text(self, source: Source, _: Schema, name: str) -> None:
        end = self._slice(source)
        source.add(f"{name} = data[at:{end}].decode()", f"at = {end}")

    def _bytes(self, source: Source, _: Schema, name: str) -> None:
        end = self._slice(source)
        source.add(f"{name} = data[at:{end}]", f"at = {end}")

    def _decimal(self, source: Source, schema: Schema, name: str) -> None:
        self._bytes(source, schema, name)
        source.globals["decimal"] = _decimal
        source.add(f"{name} = decimal({name}, {schema['precision']}, {schema['scale']})")

    @staticmethod
    def _long(source: Source, _: Schema, name: str) -> None:
        source.add(f"{name}, at = read_long(data, at)")

    @staticmethod
    def _double(source: Source, _: Schema, name: str) -> None:
        source.globals["double"] = struct.Struct("<d").unpack_from
        source.add(f"({name},) = double(data, at)", "at += 8")

    @staticmethod
    def _enum(source: Source, schema: Schema, name: str) -> None:
        symbols = {place << 1: symbol for place, symbol in enumerate(schema["symbols"])}
        source.add(f"{name} = {source.constant(symbols)}[data[at]]", "at += 1")

    def _array(self, source: Source, schema: Schema, name: str) -> None:
        source.add(f"{name} = []")
        with self._items(source):
            item = source.name()
            self._value(source, schema["items"], item)
            source.add(f"{name}.append({item})")
        source.add(f"{name} = tuple({name})")

    def _map(self, source: Source, schema: Schema, name: str) -> None:
        source.add(f"{name} = {{}}")
        with self._items(source):
            key, item = source.name(), source.name()
            self._text(source, "string", key)
            self._value(source, schema["values"], item)
            source.add(f"{name}[{key}] = {item}")

    @staticmethod
    @contextmanager
    def _items(source: Source) -> Iterator[None]:
        """Around an item's lines: no item, or one block of at most 63 and the end mark."""
        count = source.name()
        source.add(f"{count} = data[at]", "at += 1")
        with source.block(f"if {count}:"):
            with source.block(f"if {count} & 129:"):
                source.add("raise UnusualError")
            with source.block(f"for _ in range({count} >> 1):"):
                yield
            with source.block("if data[at]:"):
                source.add("raise UnusualError")
            source.add("at += 1")

    def _union(self, source: Source, schema: Schema, name: str) -> None:
        branch = source.name()
        source.add(f"{branch} = data[at]", "at += 1")
        word = "if"
        for place, schema_ in enumerate(schema):
            with source.block(f"{word} {branch} == {place << 1}:"):
                self._value(source, schema_, name)
            word = "elif"
        with source.block("else:"):
            source.add("raise UnusualError")


def _read_long(data: bytes, at: int) -> tuple[int, int]:
    byte = data[at]
    at += 1
    if byte < _BYTE:
        return byte >> 1 ^ -(byte & 1), at
    code = byte & 127
    shift = 7
    while True:
        byte = data[at]
        at += 1
        if byte < _BYTE:
            break
        code |= (byte & 127) << shift
        shift += 7
    code |= byte << shift
    if code >> 64:
        raise UnusualError
    return code >> 1 ^ -(code & 1), at


def _decimal(data: bytes, precision: int, scale: int) -> Decimal:
    unscaled = int.from_bytes(data, "big", signed=True)
    if abs(unscaled) >= 10**precision:
        raise UnusualError
    return Decimal(unscaled).scaleb(-scale)
