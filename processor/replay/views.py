"""How exactly a kind of event file tells an event, so that what is replayed is told the same way.

A view is an event as flat fields, each a JSON value: `payload.estimatedCost` → "0.85".
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias

import msgspec

from schemas.event_json import to_json_object
from schemas.events import BusinessEvent

Fields: TypeAlias = dict[str, Any]
ViewName: TypeAlias = Literal["exact", "columns", "mqtt"]


def exact(event: BusinessEvent) -> Fields:
    """As on the events topic and in Avro files: microseconds, money as decimal texts."""
    return flat(msgspec.to_builtins(event, builtin_types=(Decimal,)))


def columns(event: BusinessEvent) -> Fields:
    """As in Parquet files: without nulls, a transactionId is a text, money has six digits."""
    fields = exact(event)
    transaction = fields.get("payload.transactionId")
    if transaction is not None:
        fields["payload.transactionId"] = str(transaction)
    return {name: value for name, value in fields.items() if value is not None}


def mqtt(event: BusinessEvent) -> Fields:
    """As on MQTT and in JSON files: whole seconds, money as JSON numbers."""
    return flat(to_json_object(event))


VIEWS: Final[dict[ViewName, Callable[[BusinessEvent], Fields]]] = {
    "exact": exact,
    "columns": columns,
    "mqtt": mqtt,
}


def flat(event: Mapping[str, Any]) -> Fields:
    """The nested event with dotted names; lists stay, money becomes text without idle zeros."""
    fields: Fields = {}
    for name, value in event.items():
        if isinstance(value, Mapping):
            fields.update({f"{name}.{inner}": v for inner, v in flat(value).items()})
        elif isinstance(value, Decimal):
            # 0.12 and 0.120000 are one price; the topic's schema has six digits.
            fields[name] = f"{value.normalize():f}"
        elif isinstance(value, tuple):
            fields[name] = list(value)
        else:
            fields[name] = value
    return fields
