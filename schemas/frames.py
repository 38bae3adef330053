"""`OcppFrame`: one OCPP-J frame on the log."""

from typing import Final, Literal, TypeAlias

import msgspec

Direction: TypeAlias = Literal["inbound", "outbound"]
Kind: TypeAlias = Literal["CALL", "CALLRESULT", "CALLERROR", "SEND", "CALLRESULTERROR", "INVALID"]
Protocol: TypeAlias = Literal["ocpp1.6", "ocpp2.0.1", "ocpp2.1"]

INBOUND: Final = "inbound"
"""From the charge point to the central system."""
OUTBOUND: Final = "outbound"
"""From the central system to the charge point."""


class OcppFrame(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """A frame as it crossed the websocket; the record value of `ocpp.frames`.

    Attributes:
        client_id: The charge point's identity, percent-decoded once; also the record key.
        received_at_ns: Unix time in nanoseconds, strictly increasing per connection.
        direction: `inbound` (from the charge point) or `outbound`.
        protocol: The negotiated websocket subprotocol.
        kind: OCPP-J message type, or `INVALID` for what is no OCPP-J message.
        message_id: The message's id; None where none could be read.
        action: The action; on results filled in from the CALL they answer.
        raw: The frame's text, byte for byte (bytes: a hostile peer's need not be UTF-8).
        violation: What is wrong with the frame, or None.
        connection_id: Identifies one websocket connection.
    """

    client_id: str
    received_at_ns: int
    direction: Direction
    protocol: str
    kind: Kind
    message_id: str | None = None
    action: str | None = None
    raw: bytes
    violation: str | None = None
    connection_id: str
