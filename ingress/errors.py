"""Errors of the ingress, below `schemas.errors.ChargelogError`.

ChargelogError
├── IdentityError             a charge point connected under a name that can't be one
├── NotDurableError           Kafka did not confirm a record within the limit
├── AnswerNotDurableError     an answer could not be confirmed, so it must not be sent
├── UnanswerableError         a CALL's payload lacks what its answer needs
├── NotSentError              a command's CALL did not reach the wire
├── AnswerLostError           it did, but the connection ended before its answer
├── UpstreamError             the central system behind refuses a charge point, or is away
├── AccessError               a connection may not have the identity that it asks for
└── SettingFileError          a file that a setting names can't be used
    ├── AuthorizationFileError    the list of idTags
    ├── PasswordFileError         the passwords of charge points
    └── TlsFileError              certificates and keys
"""

from collections.abc import Mapping

from schemas.errors import ChargelogError


class IdentityError(ChargelogError):
    """The websocket path names no charge point (OCPP-J 1.6 §3.1.1).

    Attributes:
        status: HTTP status of the refusal: 404 where there is no name, 400 where it is wrong.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class NotDurableError(ChargelogError):
    """Kafka has not confirmed a record. It may still arrive on the log later."""


class AnswerNotDurableError(NotDurableError):
    """The answer's own record was not confirmed: the connection has to be closed without it."""


class UnanswerableError(ChargelogError):
    """A field that the answer depends on is missing or unreadable; the charge point's fault."""


class NotSentError(ChargelogError):
    """A CALL of the central system's was not written to the connection."""


class AnswerLostError(ChargelogError):
    """A CALL of the central system's was sent; whether the charge point acted is not known."""


class UpstreamError(ChargelogError):
    """The central system behind this one did not let a charge point in (`UPSTREAM_URL`).

    Attributes:
        status: HTTP status for the charge point: the central system's own, or 502 or 504.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class AccessError(ChargelogError):
    """A connection may not have the identity that it asks for (OCPP 2.0.1 Part 2 A00), or not now.

    Attributes:
        status: HTTP status of the refusal.
        reason: One word for the metric.
        headers: Headers of the refusal.
    """

    def __init__(
        self, status: int, text: str, reason: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(text)
        self.status = status
        self.reason = reason
        self.headers = headers or {}


class SettingFileError(ChargelogError):
    """A file that a setting names is missing or wrong; the operator's to correct.

    Attributes:
        variable: The setting.
    """

    variable: str


class AuthorizationFileError(SettingFileError):
    """The list of idTags is missing or has a wrong line."""

    variable = "INGRESS_AUTHORIZATION_FILE"


class PasswordFileError(SettingFileError):
    """The passwords can't be read or written, or a line is wrong."""

    variable = "INGRESS_PASSWORD_FILE"


class TlsFileError(SettingFileError):
    """A certificate or key can't be read, or they don't fit."""

    variable = "INGRESS_TLS_CERT_FILES, INGRESS_TLS_KEY_FILES, INGRESS_TLS_CLIENT_CA_FILE"
