"""The MQTT form of a business event: the seed's fields, in the seed's order.

Times become RFC 3339 texts, money JSON numbers. A field that is not known is null; the optional
ones (`evseId`, `sessionFee`, `anomalies`) are left out where they hold nothing.
"""

from decimal import Decimal
from typing import Any, Final

import msgspec
import orjson

from schemas.events import BusinessEvent
from schemas.timestamps import format_seconds

_TIMES: Final = frozenset({"timestamp", "startTime", "stopTime", "endTime"})


def to_json_object(event: BusinessEvent) -> dict[str, Any]:
    """The event as a JSON-ready dict, keys in contract order."""
    envelope: dict[str, Any] = msgspec.to_builtins(event, builtin_types=(Decimal,))
    envelope["timestamp"] = format_seconds(event.timestamp)
    payload: dict[str, Any] = envelope["payload"]
    for name, value in payload.items():
        if value is None:
            continue
        if name in _TIMES:
            payload[name] = format_seconds(value)
        elif isinstance(value, Decimal):
            payload[name] = float(value)
    return envelope


def to_json(event: BusinessEvent) -> bytes:
    """The event as UTF-8 JSON without white space."""
    return orjson.dumps(to_json_object(event))
