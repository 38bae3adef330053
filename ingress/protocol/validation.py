"""Payloads against the JSON schemas of OCPP, compiled once (jsonschema-rs)."""

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any, Final

import jsonschema_rs
import msgspec

_MAX_TEXT: Final = 500


class Violation(msgspec.Struct, frozen=True):
    """What is wrong with a payload: the CALLERROR code for it, and a text for people."""

    code: str
    text: str

    def __str__(self) -> str:
        """The form in which it stands on the log: `<code>: <text>`."""
        return f"{self.code}: {self.text}"


class Validator:
    """One message's schema.

    Args:
        schema: The JSON schema.
        codes: JSON Schema keyword → CALLERROR code of the OCPP version.
        default_code: For keywords that `codes` doesn't name.
    """

    def __init__(self, schema: dict[str, Any], codes: Mapping[str, str], default_code: str) -> None:
        self._validator = jsonschema_rs.validator_for(schema, validate_formats=True)
        self._codes = codes
        self._default_code = default_code

    def check(self, payload: object) -> Violation | None:
        """None if `payload` conforms; else the first thing that is wrong with it.

        Only the first: to collect them all takes jsonschema-rs 0.60 (`iter_errors` is not lazy)
        50 ms for a frame of 256 KiB made for that, and every other charge point would wait.
        """
        try:
            self._validator.validate(payload)
        except jsonschema_rs.ValidationError as error:
            where = ".".join(str(part) for part in error.instance_path) or "payload"
            text = shorten(f"{where}: {error.message}", _MAX_TEXT)
            return Violation(self._codes.get(error.kind.name, self._default_code), text)
        except ValueError as error:
            # Not about the schema: jsonschema-rs follows no more than 255 levels.
            return Violation(self._default_code, f"payload: nested too deeply ({error})")
        return None


def shorten(text: str, limit: int) -> str:
    """`text`, cut to `limit` characters: a hostile value must not fill log and answer."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def load_schema(package: str, name: str) -> dict[str, Any]:
    """A schema that the `ocpp` package ships, e.g. ("ocpp.v16.schemas", "Heartbeat")."""
    file = resources.files(package).joinpath(f"{name}.json")
    # Some of the files start with a byte order mark.
    schema: dict[str, Any] = json.loads(file.read_text(encoding="utf-8-sig"))
    return schema
