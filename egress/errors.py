"""Errors of the egress."""

from schemas.errors import ChargelogError


class RoutingError(ChargelogError):
    """A record is readable but has no MQTT form; it belongs in the dead letter."""


class MqttConnectionError(ChargelogError):
    """The MQTT broker can't be reached, or refuses the connection; it is tried again."""
