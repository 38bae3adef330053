"""JSON Schemas (draft 2020-12) of the MQTT payloads.

Those of the business events are made from the Avro schema, which has the fields, their order,
types and units: `schemas.event_json` writes an event by the same rules (times become RFC 3339
texts, money numbers, an optional field that holds nothing is left out). A consumer must ignore
fields it does not know: later versions may add some, so none of the schemas forbids them.
"""

from typing import Any, Final, TypeAlias

import orjson

from schemas.codec import load_schema
from schemas.events import PAYLOAD_TYPES

JsonSchema: TypeAlias = dict[str, Any]

_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_TIME: Final[JsonSchema] = {"type": "string", "format": "date-time", "pattern": "Z$"}
_MONEY: Final[JsonSchema] = {"type": "number"}
_LOGICAL: Final = {"timestamp-micros": _TIME, "decimal": _MONEY}
_PRIMITIVE: Final = {
    "null": "null",
    "string": "string",
    "int": "integer",
    "long": "integer",
    "double": "number",
}
_TEXT: Final[JsonSchema] = {"type": "string"}
_TEXT_OR_NULL: Final[JsonSchema] = {"type": ["string", "null"]}
_DIRECTION: Final[JsonSchema] = {
    "enum": ["inbound", "outbound"],
    "description": "inbound: from the charge point; outbound: to it.",
}
_RECEIVED: Final[JsonSchema] = {**_TIME, "description": "When the frame was received."}

_FRAME: Final[dict[str, JsonSchema]] = {
    "timestamp": _RECEIVED,
    "clientId": {**_TEXT, "description": "The charge point's identity, not encoded."},
    "messageType": {
        **_TEXT,
        "description": "The action; of results and errors the action and `Response`.",
    },
    "requestId": {**_TEXT, "description": "The OCPP-J message id."},
    "direction": _DIRECTION,
}
_ON_THE_WIRE: Final = "As it was on the wire, digit for digit."

_OTHERS: Final[dict[str, tuple[str, dict[str, JsonSchema]]]] = {
    "request": (
        "A CALL, or a SEND of OCPP 2.1.",
        {**_FRAME, "payload": {"description": _ON_THE_WIRE}},
    ),
    "result": (
        "A CALLRESULT.",
        {**_FRAME, "payload": {"description": _ON_THE_WIRE}},
    ),
    "error": (
        "A CALLERROR, or a CALLRESULTERROR of OCPP 2.1.",
        {
            **_FRAME,
            "errorCode": _TEXT,
            "errorDescription": _TEXT,
            "errorDetails": {"description": _ON_THE_WIRE},
        },
    ),
    "invalid": (
        "What is no OCPP-J message.",
        {
            "timestamp": _RECEIVED,
            "clientId": _FRAME["clientId"],
            "requestId": {**_TEXT_OR_NULL, "description": "Null where none could be read."},
            "direction": _DIRECTION,
            "violation": {**_TEXT_OR_NULL, "description": "What is wrong with it."},
            "encoding": {"enum": ["utf-8", "base64"]},
            "raw": {**_TEXT, "description": "The whole of it, as `encoding` says."},
        },
    ),
    "egress_status": (
        "Whether an egress is connected; retained.",
        {
            "clientId": {**_TEXT, "description": "The egress's MQTT client id."},
            "status": {"enum": ["online", "offline"]},
            "reason": {**_TEXT_OR_NULL, "description": "Null while online."},
            "timestamp": {
                "type": ["string", "null"],
                "format": "date-time",
                "description": "Null in the last will, which was written before the fact.",
            },
        },
    ),
}

EVENT_NAMES: Final = tuple(PAYLOAD_TYPES)
FRAME_NAMES: Final = ("request", "result", "error", "invalid")
NAMES: Final = (*EVENT_NAMES, *_OTHERS)
"""Every payload: the five events by their type, and what is no event."""


def payload_schema(name: str) -> JsonSchema:
    """The schema of one payload.

    Raises:
        KeyError: `name` is none of `NAMES`.
    """
    if name in PAYLOAD_TYPES:
        return _event(name)
    description, properties = _OTHERS[name]
    return _document(name, description, properties, list(properties))


def _event(event_type: str) -> JsonSchema:
    envelope = orjson.loads(load_schema("business_event"))
    record_name = PAYLOAD_TYPES[event_type].__name__
    fields = {field["name"]: field for field in envelope["fields"]}
    (payload,) = (each for each in fields["payload"]["type"] if each["name"] == record_name)
    schema = _record(envelope)
    schema["properties"] |= {
        "eventType": {"const": event_type},
        "eventId": {
            "type": "string",
            "pattern": f"^{event_type}_[0-9]+$",
            "description": fields["eventId"]["doc"],
        },
        "payload": _record(payload),
    }
    description = f"A business event: {event_type}."
    return _document(event_type, description, schema["properties"], schema["required"])


def _document(
    name: str, description: str, properties: dict[str, JsonSchema], required: list[str]
) -> JsonSchema:
    return {
        "$schema": _DRAFT,
        "$id": f"urn:chargelog:mqtt:{name}",
        "title": name,
        "description": description,
        "type": "object",
        "properties": properties,
        "required": required,
    }


def _record(record: JsonSchema) -> JsonSchema:
    properties = {}
    for field in record["fields"]:
        schema = _of(field["type"])
        if "default" in field and isinstance(field["type"], list):
            # Left out where there is nothing, so never null.
            schema = _of([branch for branch in field["type"] if branch != "null"])
        if "doc" in field:
            schema = {**schema, "description": field["doc"]}
        properties[field["name"]] = schema
    required = [field["name"] for field in record["fields"] if "default" not in field]
    return {"type": "object", "properties": properties, "required": required}


def _of(avro: Any) -> JsonSchema:  # noqa: ANN401 - an Avro schema: a name, a union or an object
    if isinstance(avro, str):
        return {"type": _PRIMITIVE[avro]}
    if isinstance(avro, list):
        return _union([_of(branch) for branch in avro])
    if avro.get("logicalType") in _LOGICAL:
        return dict(_LOGICAL[avro["logicalType"]])
    match avro["type"]:
        case "record":
            return _record(avro)
        case "map":
            return {"type": "object", "additionalProperties": _of(avro["values"])}
        case "array":
            return {"type": "array", "items": _of(avro["items"])}
        case other:
            raise KeyError(f"no rule for the Avro type {other!r}")


def _union(branches: list[JsonSchema]) -> JsonSchema:
    if len(branches) == 1:
        return branches[0]
    if sum(len(branch) > 1 for branch in branches) > 1:
        return {"anyOf": branches}
    # Plain types in one list, which readers find easier; keywords of the one that has any apply
    # to values of its type alone.
    merged: JsonSchema = {"type": []}
    for branch in branches:
        merged["type"].append(branch["type"])
        merged |= {key: value for key, value in branch.items() if key != "type"}
    order = [kind for kind in merged["type"] if kind != "null"]
    return {**merged, "type": [*order, *(["null"] if "null" in merged["type"] else [])]}
