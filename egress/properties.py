"""MQTT 5 PUBLISH properties, packed once (MQTT 5 §3.3.2.3).

paho-mqtt builds several tables for each `Properties` object and searches them for each value,
which took half of the egress' time; ours are always the same three, so they are written here.
"""

from typing import Final

from paho.mqtt.properties import Properties

CONTENT_TYPE: Final = "application/json"

_USER_PROPERTY: Final = b"\x26"
_SEVEN_BITS: Final = 0x7F


class PackedProperties(Properties):
    """Bytes that paho writes as they are."""

    _packed: bytes

    def __init__(self, packed: bytes) -> None:
        """Wrap properties with their length in front."""
        # Not paho's own __init__, nor its __setattr__: they are what costs.
        object.__setattr__(self, "_packed", packed)

    def pack(self) -> bytes:
        """The property length and the properties."""
        return self._packed


def publish_properties(user_properties: tuple[tuple[str, str], ...]) -> PackedProperties:
    """Payload format UTF-8, content type, and the user properties (name, value) in their order.

    Raises:
        ValueError: A text is longer than 65,535 bytes.
    """
    body = bytearray(_CONSTANT)
    for name, value in user_properties:
        body += _USER_PROPERTY
        body += _text(name)
        body += _text(value)
    return PackedProperties(_variable_length(len(body)) + body)


def _text(text: str) -> bytes:
    encoded = text.encode()
    try:
        return len(encoded).to_bytes(2, "big") + encoded
    except OverflowError:
        raise ValueError(f"a property of {len(encoded)} bytes: {text[:32]}…") from None


def _variable_length(number: int) -> bytes:
    # MQTT 5 §1.5.5: seven bits a byte, the lowest first, the eighth bit says that more follow.
    out = bytearray()
    while True:
        number, low = number >> 7, number & _SEVEN_BITS
        if not number:
            out.append(low)
            return bytes(out)
        out.append(low | 0x80)


_CONSTANT: Final = b"\x01\x01\x03" + _text(CONTENT_TYPE)
