"""Examples of OCPP messages, made from the JSON schemas of the `ocpp` package."""

from importlib import resources
from typing import Any, Final

from ingress.protocol.validation import load_schema

PACKAGES: Final = {
    "ocpp1.6": "ocpp.v16.schemas",
    "ocpp2.0.1": "ocpp.v201.schemas",
    "ocpp2.1": "ocpp.v21.schemas",
}
_FORMATS: Final = {"date-time": "2023-12-07T10:15:30Z", "uri": "https://example.com/x"}


def actions(protocol: str) -> set[str]:
    """Every action that the package has schemas of, whoever sends it."""
    names = (file.name for file in resources.files(PACKAGES[protocol]).iterdir())
    stems = (name.removesuffix(".json") for name in names if name.endswith(".json"))
    return {stem.removesuffix("Response").removesuffix("Request") for stem in stems}


def request_schema(protocol: str, action: str) -> dict[str, Any]:
    name = action if protocol == "ocpp1.6" or action == "NotifyPeriodicEventStream" else None
    return load_schema(PACKAGES[protocol], name or f"{action}Request")


def example(schema: dict[str, Any], *, full: bool) -> dict[str, Any]:
    """A payload that the schema allows: with its required fields only, or with all."""
    made = _value(schema, schema, full=full)
    assert isinstance(made, dict)
    return made


def _value(schema: dict[str, Any], root: dict[str, Any], *, full: bool) -> Any:  # noqa: ANN401 - a JSON value
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/definitions/")
        schema = root["definitions"][name]
    match schema:
        case {"enum": [*values]}:
            return values[-1 if full else 0]
        case {"type": "object"}:
            fields = schema.get("properties", {})
            wanted = fields if full else schema.get("required", ())
            return {name: _value(fields[name], root, full=full) for name in wanted}
        case {"type": "array"}:
            return [_value(schema["items"], root, full=full)] * max(1, schema.get("minItems", 0))
        case {"type": "string"}:
            text = "x" * min(8, schema.get("maxLength", 8))
            return _FORMATS.get(schema.get("format", ""), text)
        case {"type": "integer" | "number"}:
            return int(min(schema.get("minimum", 1), schema.get("maximum", 1)))
    # A field of any type: DataTransfer's data.
    return schema.get("type") == "boolean" or {"any": "JSON"}
