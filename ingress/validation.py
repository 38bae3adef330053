"""Payloads against the JSON schemas of OCPP, compiled once (jsonschema-rs)."""

import json
from collections.abc import Mapping
from importlib import resources
from itertools import islice
from typing import Any, Final

import jsonschema_rs
import msgspec

_MAX_ERRORS: Final = 3
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
        """None if `payload` conforms; else the first error's code, and the first three's texts."""
        if self._validator.is_valid(payload):
            return None
        errors = list(islice(self._validator.iter_errors(payload), _MAX_ERRORS))
        text = "; ".join(
            f"{'.'.join(str(part) for part in error.instance_path) or 'payload'}: {error.message}"
            for error in errors
        )
        return Violation(
            self._codes.get(errors[0].kind.name, self._default_code), shorten(text, _MAX_TEXT)
        )


def shorten(text: str, limit: int) -> str:
    """`text`, cut to `limit` characters: a hostile value must not fill log and answer."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def load_schema(package: str, name: str) -> dict[str, Any]:
    """A schema that the `ocpp` package ships, e.g. ("ocpp.v16.schemas", "Heartbeat")."""
    file = resources.files(package).joinpath(f"{name}.json")
    # Some of the files start with a byte order mark.
    schema: dict[str, Any] = json.loads(file.read_text(encoding="utf-8-sig"))
    return schema
