"""Payloads made from OCPP's own JSON schemas: what a charge point may send, before it is bent."""

import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from ingress.protocol.validation import load_schema

SCHEMAS: Final[Mapping[str, tuple[str, str]]] = {
    "ocpp1.6": ("ocpp.v16.schemas", ""),
    "ocpp2.0.1": ("ocpp.v201.schemas", "Request"),
    "ocpp2.1": ("ocpp.v21.schemas", "Request"),
}
"""Protocol → the `ocpp` package's folder, and what a request's file name ends with."""

_TIME: Final = "2023-12-07T10:15:30Z"
_TEXTS: Final = ("A", "04A2B3C4", "é", "CP 1/+#", "1200", "", "x" * 600, '"\\\n')
_MAX_ITEMS: Final = 3


def load_request(protocol: str, action: str) -> dict[str, Any]:
    """The schema of a CALL's payload."""
    package, ending = SCHEMAS[protocol]
    return load_schema(package, action + ending)


def sample(schema: Mapping[str, Any], dice: random.Random) -> Any:  # noqa: ANN401 - any JSON value
    """A value with the schema's shape: the required fields, and each other one or not."""
    return _Sampler(schema, dice).value(schema)


class _Sampler:
    def __init__(self, root: Mapping[str, Any], dice: random.Random) -> None:
        self._root = root
        self._dice = dice
        self._of_type: Mapping[str | None, Callable[[Mapping[str, Any]], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": lambda part: dice.choice((0, 1, 2, 7, 25_000, part.get("minimum", -1))),
            "number": lambda _: dice.choice((0, 1, 0.5, 231.7, -1.25, 12.5)),
            "boolean": lambda _: dice.random() < 1 / 2,
            None: lambda _: {"any": "thing"},
        }

    def value(self, part: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON value
        while "$ref" in part:
            found: Any = self._root
            for name in part["$ref"].removeprefix("#/").split("/"):
                found = found[name]
            part = found
        if "enum" in part:
            return self._dice.choice(part["enum"])
        return self._of_type[part.get("type")](part)

    def _object(self, part: Mapping[str, Any]) -> dict[str, Any]:
        required = part.get("required", ())
        return {
            name: self.value(field)
            for name, field in part.get("properties", {}).items()
            if name in required or self._dice.random() < 1 / 3
        }

    def _array(self, part: Mapping[str, Any]) -> list[Any]:
        least = part.get("minItems", 0)
        most = max(least, min(part.get("maxItems", _MAX_ITEMS), _MAX_ITEMS))
        return [self.value(part.get("items", {})) for _ in range(self._dice.randint(least, most))]

    def _string(self, part: Mapping[str, Any]) -> str:
        if part.get("format") == "date-time":
            return _TIME
        return self._dice.choice(_TEXTS)[: part.get("maxLength", 1000)]
