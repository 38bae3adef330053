r"""Avro writers and readers as Python functions, generated from a schema for its Structs.

A generic library walks the schema for every record and makes a dict on the way. Here the walk is
done once, and what is left of it is straight code between Struct and bytes, e.g. for a field
`{"name": "messageId", "type": ["null", "string"]}`

    v6 = record.message_id              # schemas.avro_writer
    if v6 is None:
        v7 = b"\x00"
    elif type(v6) is C3:                # str
        v6 = v6.encode()
        v7 = b"\x02" + LAST[len(v6) << 1] + v6

    v8 = data[at]                       # schemas.avro_reader
    at += 1
    if v8 == 0:
        v7 = None
    elif v8 == 2: ...

The functions do what is usual only. On anything else (a value of another type, a truncated record,
a form of encoding that our writers don't produce) they raise whatever comes, and the codec asks
fastavro, whose answer counts. So they may be strict and need not explain. docs/decisions/0011 says
what this is worth.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import msgspec

Schema: TypeAlias = Any
"""A schema as parsed JSON: a text, a list or an object."""
Structs: TypeAlias = Mapping[str, type[msgspec.Struct]]
"""The record's name in the schema → the Struct that stands for it."""


class UnusualError(Exception):
    """Not what the generated functions are made for."""


class Source:
    """Python text, line by line.

    Attributes:
        globals: What the text finds as its globals.
    """

    def __init__(self, globals_: dict[str, Any]) -> None:
        self.globals = globals_
        self._lines: list[str] = []
        self._indent = ""
        self._names = 0

    def add(self, *lines: str) -> None:
        """Lines at the present indentation."""
        self._lines += [self._indent + line for line in lines]

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """The lines under `head`, indented."""
        self.add(head)
        self._indent += "    "
        yield
        self._indent = self._indent[4:]

    def name(self) -> str:
        """A new variable."""
        self._names += 1
        return f"v{self._names}"

    def constant(self, value: object) -> str:
        """A global that holds the value."""
        name = f"C{len(self.globals)}"
        self.globals[name] = value
        return name

    def function(self, name: str) -> Any:  # noqa: ANN401 - writer or reader
        """What the text defines under the name."""
        # As dataclasses do; the text is made of our own schemas' field names only.
        exec("\n".join(self._lines), self.globals)  # noqa: S102
        return self.globals[name]


def kind_of(schema: Schema) -> str:
    """The table key of a schema's type."""
    if isinstance(schema, list):
        return "union"
    if isinstance(schema, str):
        return schema
    logical = schema.get("logicalType")
    return "decimal" if logical == "decimal" else kind_of(schema["type"])


def fields_of(schema: Schema, record: type[msgspec.Struct]) -> list[tuple[str, Schema]]:
    """Attribute and schema of each field, in the schema's order."""
    attributes = {field.encode_name: field.name for field in msgspec.structs.fields(record)}
    return [(attributes[field["name"]], field["type"]) for field in schema["fields"]]
