"""Checks MQTT messages against the committed JSON Schemas, by the AsyncAPI document's channels."""

import json
import re
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import yaml

ROOT: Final = Path(__file__).parents[1]
DOCUMENT: Final[dict[str, Any]] = yaml.safe_load(
    (ROOT / "docs/asyncapi.yaml").read_text(encoding="utf-8")
)


def schema_of(name: str) -> dict[str, Any]:
    """The committed schema of a payload."""
    path = ROOT / "schemas/json" / f"{name}.schema.json"
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without room for fields that it does not name, at any depth."""
    shut = {
        key: {name: closed(value) for name, value in part.items()} if key == "properties" else part
        for key, part in schema.items()
    }
    if isinstance(schema.get("additionalProperties"), dict):
        shut["additionalProperties"] = closed(schema["additionalProperties"])
    elif "properties" in schema:
        shut["additionalProperties"] = False
    return shut


def _compiled(path: str) -> jsonschema_rs.Validator:
    name = Path(path).name.removesuffix(".schema.json")
    return jsonschema_rs.validator_for(closed(schema_of(name)), validate_formats=True)


def _channels() -> list[tuple[re.Pattern[str], list[jsonschema_rs.Validator]]]:
    found = []
    for channel in DOCUMENT["channels"].values():
        # Without an address: an installation's own setting names it.
        if channel["servers"] == [{"$ref": "#/servers/mqtt"}] and channel["address"] is not None:
            address = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(channel["address"]))
            messages = channel["messages"].values()
            validators = [_compiled(each["payload"]["schema"]["$ref"]) for each in messages]
            found.append((re.compile(address), validators))
    return found


_CHANNELS: Final = _channels()


def complaints(topic: str, payload: bytes) -> list[str]:
    """What is wrong with a message; empty: it is as documented."""
    places = [validators for pattern, validators in _CHANNELS if pattern.fullmatch(topic)]
    if len(places) != 1:
        return [f"{topic} is the topic of {len(places)} channels"]
    message = json.loads(payload)
    if any(validator.is_valid(message) for validator in places[0]):
        return []
    return [
        f"{topic}: {error}" for validator in places[0] for error in validator.iter_errors(message)
    ]
