"""HTTP Basic authentication as charge points use it (RFC 7617; OCPP 2.0.1 Part 2 A00.FR.204)."""

import base64
import binascii
from typing import Final

import msgspec

_SCHEME: Final = "basic"


class Credentials(msgspec.Struct, frozen=True):
    """What an `Authorization` header holds.

    Attributes:
        username: Has to be the charge point's identity.
        password: Bytes: the AuthorizationKey of OCPP 1.6 is 20 of any value (OCPP-J 1.6 §6.2.2).
    """

    username: str
    password: bytes


def from_header(header: str | None) -> Credentials | None:
    """The credentials in an `Authorization` header's value; None if it holds none."""
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != _SCHEME:
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    username, colon, password = decoded.partition(b":")
    if not colon:
        return None
    try:
        return Credentials(username.decode(), password)
    except UnicodeDecodeError:
        return None
