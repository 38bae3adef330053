"""Downstream commands and what became of them: `ocpp.commands` and `ocpp.command-results`."""

from typing import Final, Literal, TypeAlias

import msgspec

Outcome: TypeAlias = Literal["sent", "result", "error", "timeout", "expired", "rejected"]
"""What a record on the results topic says of its command.

sent: an instance took it and is about to send the CALL. Not final.
result: the charge point answered with a CALLRESULT; `payload` holds it, `description` what is wrong
    with it, if anything.
error: it answered with a CALLERROR.
timeout: no answer came, or none is known; whether the charge point acted is not known.
expired: it was never sent, since the charge point was not connected in time.
rejected: it was never sent, since it is no valid CALL of the charge point's OCPP version.
"""

MAX_COMMAND_ID: Final = 36
"""The command's id is its CALL's message id (OCPP-J 1.6 §4.1.4)."""


class Command(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A CALL to be sent to a charge point; the record value of `ocpp.commands`.

    Attributes:
        command_id: Unique, 1 to 36 characters; a second record with the same id changes nothing.
        client_id: The charge point's identity; also the record key.
        action: E.g. RemoteStartTransaction.
        payload: The CALL's payload as JSON text.
        issued_at: Unix microseconds.
        expires_at: Unix microseconds; not sent after that.
    """

    command_id: str
    client_id: str
    action: str
    payload: str
    issued_at: int
    expires_at: int


class CommandResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What became of a command; the record value of `ocpp.command-results`.

    The first record of a command decides: which instance sends it, or that nobody does. After a
    `sent`, the first record with another outcome is the command's result. Later ones say nothing.

    Attributes:
        command_id: The command's.
        client_id: The charge point's identity; also the record key.
        outcome: See `Outcome`.
        instance: The ingress process that wrote the record.
        at: Unix microseconds.
        payload: The CALLRESULT's payload, or the CALLERROR's details, as JSON text.
        error_code: The CALLERROR's code.
        description: The CALLERROR's description, or what happened instead of an answer.
    """

    command_id: str
    client_id: str
    outcome: Outcome
    instance: str
    at: int
    payload: str | None = None
    error_code: str | None = None
    description: str | None = None

    @property
    def is_final(self) -> bool:
        """Nothing follows."""
        return self.outcome != "sent"
