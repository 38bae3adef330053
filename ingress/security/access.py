"""Who may connect under an identity: OCPP's security profiles (OCPP 2.0.1 Part 2 A00).

| profile | the connection | the charge point proves its identity by |
|---|---|---|
| 0 | plain | nothing |
| 1 | plain | HTTP Basic |
| 2 | TLS | HTTP Basic |
| 3 | TLS | its certificate, whose CN or a DNS name is the identity |
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, Protocol

from ingress.errors import AccessError
from ingress.security import basic, tls
from ingress.security.attempts import Attempts
from ingress.security.passwords import PasswordFile

_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="chargelog", charset="UTF-8"'}
_RETRY_AFTER: Final = {"Retry-After": "60"}


class Access(Protocol):
    """Decides whether a connection may have its identity."""

    async def check(
        self,
        identity: str,
        *,
        address: str,
        authorization: str | None,
        certificate: Mapping[str, Any] | None,
    ) -> None:
        """Return where it may.

        Args:
            identity: The charge point that the connection says it is.
            address: Where it comes from.
            authorization: The header of that name.
            certificate: The peer's, verified.

        Raises:
            AccessError: It may not.
        """


class Open:
    """Profile 0: everyone may."""

    async def check(self, identity: str, **_: object) -> None:
        """Return."""


class ByPassword:
    """Profiles 1 and 2.

    Args:
        passwords: The passwords.
        attempts: How often one may be tried.
    """

    def __init__(self, passwords: PasswordFile, attempts: Attempts) -> None:
        self._passwords = passwords
        self._attempts = attempts

    async def check(
        self, identity: str, *, address: str, authorization: str | None, **_: object
    ) -> None:
        """HTTP Basic with the identity as username (A00.FR.204)."""
        given = basic.from_header(authorization)
        if given is None:
            raise AccessError(
                HTTPStatus.UNAUTHORIZED, "no credentials", "authentication", _CHALLENGE
            )
        # Before the limit: another's attempts must not keep the charge point itself out.
        if given.username == identity and self._passwords.is_known(identity, given.password):
            return
        now_s = asyncio.get_running_loop().time()
        if not self._attempts.begin(address, identity, now_s):
            raise AccessError(
                HTTPStatus.TOO_MANY_REQUESTS, "too many attempts", "attempts", _RETRY_AFTER
            )
        try:
            right = await self._passwords.check(identity, given.password)
        except (asyncio.CancelledError, AccessError):
            # In a storm of handshakes it was not this one's turn: not the charge point's fault.
            self._attempts.withdrawn(address, identity, now_s)
            raise
        if right and given.username == identity:
            self._attempts.withdrawn(address, identity, now_s)
            return
        self._attempts.failed(address, now_s)
        raise AccessError(
            HTTPStatus.UNAUTHORIZED, "wrong credentials", "authentication", _CHALLENGE
        )


class ByCertificate:
    """Profile 3."""

    async def check(
        self, identity: str, *, certificate: Mapping[str, Any] | None, **_: object
    ) -> None:
        """The certificate's CN, or one of its DNS names, is the identity."""
        if not tls.stands_for(certificate or {}, identity):
            raise AccessError(HTTPStatus.FORBIDDEN, "the certificate is another's", "certificate")
