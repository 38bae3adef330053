"""The AsyncAPI 3 document: what Chargelog takes and gives on websockets, Kafka and MQTT.

Every channel comes from the contract's own tables (`schemas.topics`, `schemas.mqtt`), every payload
is a reference to a committed schema, so the document can't say anything else than the code does.
"""

import re
from typing import Any, Final, TypeAlias

from schemas.json_schema import EVENT_NAMES
from schemas.mqtt import (
    CALL_TOPIC,
    EVENT_TOPICS,
    EVSE_STATUS_TOPIC,
    INVALID_TOPIC,
    RESULT_TOPIC,
    STATUS_TOPIC,
)
from schemas.topics import TopicNames, TopicSpec, specs

Document: TypeAlias = dict[str, Any]

DEFAULT_PARTITIONS: Final = 8
_AVRO: Final = "application/vnd.apache.avro;version=1.9.0"
_JSON_SCHEMA: Final = "application/schema+json;version=draft-07"

_RECORDS: Final = {
    "frames": ("OcppFrame", "ocpp_frame", "An OCPP frame, byte for byte, in either direction."),
    "events": ("BusinessEvent", "business_event", "What a frame means to the business."),
    "dead_letter": ("DeadLetter", "dead_letter", "A record that a stage could not digest."),
    "transaction_ids": (
        "TransactionIdRequest",
        "transaction_id_request",
        "A request for an OCPP 1.6 transactionId: offset + 1 of the first with the same key.",
    ),
    "commands": ("Command", "command", "A CALL to be sent to a charge point."),
    "command_results": ("CommandResult", "command_result", "What became of a command."),
}
"""Attribute of `TopicNames` → record, its Avro schema, its summary."""
_TAKEN: Final = ("commands",)
"""Topics that others write and Chargelog reads; all others it writes."""

_PARAMETERS: Final = {
    "client_id": "The charge point's identity; `/ + # %` and control characters percent-encoded.",
    "action": "The OCPP action, encoded in the same way.",
    "connector_id": "The connector's number.",
    "evse_id": "The EVSE's number.",
}
_MQTT: Final = {
    **{event_type: (topic, event_type) for event_type, topic in EVENT_TOPICS.items()},
    "connector_status": (STATUS_TOPIC, "status_changed"),
    "evse_connector_status": (EVSE_STATUS_TOPIC, "status_changed"),
    "request": (CALL_TOPIC, "request"),
    "result": (RESULT_TOPIC, "result"),
    "error": (RESULT_TOPIC, "error"),
    "invalid": (INVALID_TOPIC, "invalid"),
}
"""Name of the message → topic, and payload."""
_EGRESS_STATUS: Final = "egress_status"
_RETAINED: Final = frozenset({"connector_status", "evse_connector_status", _EGRESS_STATUS})


def document(version: str) -> Document:
    """The whole document; `version` is Chargelog's."""
    topics = specs(TopicNames(), DEFAULT_PARTITIONS)
    kafka = {spec.name: _kafka_channel(spec) for spec in topics if _record_of(spec) is not None}
    mqtt = _mqtt_channels()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Chargelog",
            "version": version,
            "description": "OCPP frames in, business events out. Topic names are those without "
            "TOPIC_PREFIX (Kafka) and MQTT_TOPIC_PREFIX; a reader must ignore fields it does not "
            "know.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "ingress": _server("localhost:9000", "ws", "Where charge points connect."),
            "kafka": _server("localhost:9092", "kafka", "The log."),
            "mqtt": {
                **_server("localhost:1883", "mqtt", "Where field systems read."),
                "protocolVersion": "5.0",
            },
        },
        "channels": {"chargePoint": _charge_point(), **kafka, **mqtt},
        "operations": _operations(topics, mqtt),
    }


def _server(host: str, protocol: str, description: str) -> Document:
    return {"host": host, "protocol": protocol, "description": description}


def _charge_point() -> Document:
    return {
        "address": "/{clientId}",
        "title": "OCPP-J",
        "description": "One websocket per charge point, subprotocol ocpp1.6, ocpp2.0.1 or ocpp2.1.",
        "servers": [{"$ref": "#/servers/ingress"}],
        "parameters": {"clientId": {"description": "The identity, percent-encoded once."}},
        "messages": {
            "ocppMessage": {
                "title": "An OCPP-J message",
                "contentType": "application/json",
                "payload": {
                    "type": "array",
                    "minItems": 3,
                    "maxItems": 5,
                    "items": [
                        {
                            "enum": [2, 3, 4, 5, 6],
                            "description": "CALL, CALLRESULT, CALLERROR; from OCPP 2.1 on "
                            "CALLRESULTERROR, SEND",
                        },
                        {"type": "string", "description": "The message id."},
                    ],
                },
            }
        },
        "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
    }


def _record_of(spec: TopicSpec) -> tuple[str, str, str] | None:
    names = TopicNames()
    for attribute, record in _RECORDS.items():
        if getattr(names, attribute) == spec.name:
            return record
    return None  # the changelog: no one else's to read


def _kafka_channel(spec: TopicSpec) -> Document:
    record = _record_of(spec)
    if record is None:
        raise KeyError(spec.name)
    name, schema, summary = record
    return {
        "address": spec.name,
        "description": summary,
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {
            name: {
                "name": name,
                "contentType": "application/avro",
                "summary": "Avro single-object encoding, or the Confluent wire format where a "
                "schema registry is set.",
                "payload": {
                    "schemaFormat": _AVRO,
                    "schema": {"$ref": f"../schemas/avro/{schema}.avsc"},
                },
                "bindings": {
                    "kafka": {
                        "key": {"type": "string", "description": spec.key},
                        "bindingVersion": "0.5.0",
                    }
                },
            }
        },
        "bindings": {
            "kafka": {
                "topic": spec.name,
                "partitions": spec.partitions,
                "topicConfiguration": _configuration(spec),
                "bindingVersion": "0.5.0",
            }
        },
    }


def _configuration(spec: TopicSpec) -> Document:
    # The binding wants a list and numbers where Kafka's own settings are texts.
    settings: Document = {"cleanup.policy": [spec.config["cleanup.policy"]]}
    if "retention.ms" in spec.config:
        settings["retention.ms"] = int(spec.config["retention.ms"])
    return settings


def _mqtt_channels() -> Document:
    channels: Document = {}
    for name, (topic, payload) in _MQTT.items():
        channel = channels.setdefault(_channel_name(topic), _mqtt_channel(topic))
        channel["messages"][name] = {
            "name": name,
            "headers": _user_properties(payload),
            "payload": _payload(payload),
        }
    channels["egress.status"] = {
        "address": None,
        "description": "The topic that MQTT_STATUS_TOPIC names; none where it is not set.",
        "servers": [{"$ref": "#/servers/mqtt"}],
        "messages": {_EGRESS_STATUS: {"name": _EGRESS_STATUS, "payload": _payload(_EGRESS_STATUS)}},
    }
    return channels


def _payload(name: str) -> Document:
    return {
        "schemaFormat": _JSON_SCHEMA,
        "schema": {"$ref": f"../schemas/json/{name}.schema.json"},
    }


def _channel_name(topic: str) -> str:
    """A channel's key: the topic without charge point and action."""
    levels = topic.replace("/{client_id}", "").replace("/{action}", "").split("/")
    return ".".join(level.strip("{}").removesuffix("_id") for level in levels)


def _mqtt_channel(topic: str) -> Document:
    names = re.findall(r"{(\w+)}", topic)
    return {
        "address": topic.format(**{name: f"{{{_camel(name)}}}" for name in names}),
        "servers": [{"$ref": "#/servers/mqtt"}],
        "parameters": {_camel(name): {"description": _PARAMETERS[name]} for name in names},
        "messages": {},
    }


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def _user_properties(payload: str) -> Document:
    properties: Document
    text = {"type": "string"}
    event_id = {**text, "description": "Equal in a repeated delivery."}
    if payload in EVENT_NAMES:
        properties = {"eventId": event_id, "traceparent": text}
        required = ["eventId"]
    else:
        protocol: Document = {"enum": ["ocpp1.6", "ocpp2.0.1", "ocpp2.1"]}
        properties = {
            "eventId": event_id, "protocol": protocol, "violation": text, "traceparent": text,
        }  # fmt: skip
        required = ["eventId", "protocol"]
    return {
        "type": "object",
        "description": "User properties (MQTT 5).",
        "properties": properties,
        "required": required,
    }


def _operations(topics: tuple[TopicSpec, ...], mqtt: Document) -> Document:
    charge_point = {"$ref": "#/channels/chargePoint"}
    operations: Document = {
        "receiveFromChargePoint": {"action": "receive", "channel": charge_point},
        "sendToChargePoint": {"action": "send", "channel": charge_point},
    }
    taken = {getattr(TopicNames(), attribute) for attribute in _TAKEN}
    for spec in topics:
        if _record_of(spec) is not None:
            action = "receive" if spec.name in taken else "send"
            operations[f"{action}:{spec.name}"] = _operation(action, spec.name)
    for name, channel in mqtt.items():
        retained = any(message in _RETAINED for message in channel["messages"])
        operations[f"send:{name}"] = {
            **_operation("send", name),
            "bindings": {"mqtt": {"qos": 1, "retain": retained, "bindingVersion": "0.2.0"}},
        }
    return operations


def _operation(action: str, channel: str) -> Document:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}}
