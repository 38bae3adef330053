"""Errors of the egress."""

from schemas.errors import ChargelogError


class RoutingError(ChargelogError):
    """A record is readable but has no MQTT form; it belongs in the dead letter."""


class MqttConnectionError(ChargelogError):
    """The MQTT broker can't be reached, or refuses the connection; it is tried again."""


class MqttProtocolError(ChargelogError):
    """What the peer sends is not MQTT as a broker speaks it; the connection is given up."""


class TlsFilesError(ChargelogError):
    """The certificates or the key for the MQTT connection can't be used."""


class TopicFilterError(ChargelogError, ValueError):
    """A text is no MQTT topic filter."""


class ReplayError(ChargelogError):
    """What is to be replayed does not exist."""
