"""MQTT 5 PUBLISH properties, packed once (MQTT 5 §3.3.2.3)."""

from typing import Final

from egress.packets import variable_length

CONTENT_TYPE: Final = "application/json"

_USER_PROPERTY: Final = b"\x26"
_MESSAGE_EXPIRY: Final = b"\x02"


def publish_properties(
    user_properties: tuple[tuple[str, str], ...], expiry_s: int | None = None
) -> bytes:
    """Payload format UTF-8, content type, expiry, and the user properties in their order.

    Args:
        user_properties: (name, value).
        expiry_s: Seconds after which the broker drops it undelivered; None: never.

    Returns:
        The property length and the properties.

    Raises:
        ValueError: A text is longer than 65,535 bytes.
    """
    parts = [_CONSTANT]
    if expiry_s is not None:
        parts.append(_MESSAGE_EXPIRY + expiry_s.to_bytes(4, "big"))
    for name, value in user_properties:
        parts += (_USER_PROPERTY, _text(name), _text(value))
    packed = b"".join(parts)
    return variable_length(len(packed)) + packed


def _text(text: str) -> bytes:
    encoded = text.encode()
    try:
        return len(encoded).to_bytes(2, "big") + encoded
    except OverflowError:
        raise ValueError(f"a property of {len(encoded)} bytes: {text[:32]}…") from None


_CONSTANT: Final = b"\x01\x01\x03" + _text(CONTENT_TYPE)
