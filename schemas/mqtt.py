"""MQTT topics: event type → topic, and the escaping of identities and actions."""

import re
from typing import Final

EVENT_TOPICS: Final[dict[str, str]] = {
    "started": "csms/transactions/{client_id}/started",
    "completed": "csms/transactions/{client_id}/completed",
    "meter_reading": "csms/transactions/{client_id}/meter_reading",
    "status_changed": "csms/connectors/{client_id}/status_changed",
    "session_cost": "csms/billing/{client_id}/session_cost",
}
STATUS_TOPIC: Final = "csms/connectors/{client_id}/{connector_id}/status"
"""A connector's last `status_changed`, kept by the broker where MQTT_RETAIN_STATUS is set."""
EVSE_STATUS_TOPIC: Final = "csms/connectors/{client_id}/{evse_id}/{connector_id}/status"
"""The same for OCPP 2.0.1 and 2.1, where connectors are numbered for each EVSE."""
CALL_TOPIC: Final = "ocpp/messages/{client_id}/{action}"
RESULT_TOPIC: Final = "ocpp/responses/{client_id}/{action}"
INVALID_TOPIC: Final = "ocpp/invalid/{client_id}"

_PLAIN: Final = re.compile(r'[ -"$&-*,-.0-~]*')
"""Printable ASCII without `/ + # %`: most identities and every action of OCPP."""


def escape_level(text: str) -> str:
    """Percent-encode what MQTT forbids in a topic level, and `%` itself so that it can be undone.

    `/` would split the level, `+` and `#` are wildcards (MQTT 5 §4.7.1), control characters may
    make a broker close the connection (MQTT 5 §1.5.4).
    """
    if _PLAIN.fullmatch(text):
        return text
    return "".join(
        "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
        if character in "/+#%" or not character.isprintable()
        else character
        for character in text
    )


def event_topic(event_type: str, client_id: str) -> str:
    """Topic of a business event, e.g. `csms/billing/CP1/session_cost`.

    Raises:
        KeyError: `event_type` is not one of `EVENT_TOPICS`.
    """
    return EVENT_TOPICS[event_type].format(client_id=escape_level(client_id))
