"""TLS for security profiles 2 and 3: contexts from files that may change, and who the peer is."""

import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import structlog

from ingress.errors import TlsFileError
from ingress.metrics import REFUSED
from ingress.watched import Watched

log = structlog.get_logger(__name__)

_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:AES128-GCM-SHA256:AES256-GCM-SHA384"
"""Of TLS 1.2, best first. The last two are without forward secrecy, but OCPP wants a central system
to have them (security whitepaper edition 3 A00.FR.317; OCPP 2.0.1 Part 2 A00.FR.318).
"""

_CRL: Final = b"-----BEGIN X509 CRL-----"


class _Handshake(ssl.SSLObject):
    """Tells of handshakes that fail: asyncio and uvloop end their connections without a word.

    Nobody knows here where the connection comes from, nor which charge point it is.
    """

    def do_handshake(self) -> None:
        """As the base class does it."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            REFUSED.labels("tls").inc()
            detail = getattr(error, "verify_message", None)
            log.warning("TLS handshake failed", reason=error.reason, detail=detail)
            raise


class Tls:
    """The server's side of TLS; certificates are read again when their files change.

    Args:
        certificates: PEM files, each the server's certificate and the intermediate ones after it.
            One with an ECDSA key and one with an RSA key serve every charge point (A00.FR.318).
        keys: PEM files: their private keys, in the same order, not encrypted.
        client_ca: PEM file: the authorities that charge points' certificates are signed by, and
            their revocation lists, if there are any; where given, a charge point has to show a
            certificate (profile 3).

    Raises:
        TlsFileError: At construction: a file can't be read or doesn't fit.
    """

    def __init__(
        self, certificates: Sequence[Path], keys: Sequence[Path], client_ca: Path | None
    ) -> None:
        pairs = tuple(zip(certificates, keys, strict=True))
        paths = [*certificates, *keys, *([client_ca] if client_ca else [])]
        self._contexts = Watched("TLS certificates", paths, lambda: _context(pairs, client_ca))
        self.context = _context(pairs, client_ca)
        # Called in each handshake, with a server name or without. A handshake that is over is not
        # touched, so connections outlive a change.
        self.context.sni_callback = self._take_current
        self.context.sslobject_class = _Handshake

    def reload(self, *, force: bool) -> None:
        """Take up changed files for the handshakes to come."""
        self._contexts.reload(force=force)
        # A connection takes these from the context that it begins with, whichever it goes on with.
        self.context.verify_flags = self._contexts.value.verify_flags

    def _take_current(
        self, connection: ssl.SSLSocket | ssl.SSLObject, _: str | None, __: ssl.SSLContext
    ) -> None:
        connection.context = self._contexts.value


def _context(pairs: Sequence[tuple[Path, Path]], client_ca: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # OCPP 2.0.1 Part 2 A00.FR.313
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION
    for certificate, key in pairs:
        try:
            context.load_cert_chain(certificate, key, password=_refuse_encrypted)
        except (OSError, ValueError) as error:
            raise TlsFileError(f"{certificate} with {key} can't be used: {error}") from error
    if client_ca is not None:
        # A resumed session would skip the look at the charge point's certificate.
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(client_ca)
            if _CRL in client_ca.read_bytes():
                # A certificate that its authority took back is refused, and so is every one as soon
                # as the list is out of date: OpenSSL can't know then.
                context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        except OSError as error:
            raise TlsFileError(f"{client_ca} can't be used: {error}") from error
    return context


def _refuse_encrypted() -> str:
    # Without it OpenSSL would ask on the terminal.
    raise ValueError("the key is encrypted; store it without a passphrase")


def stands_for(certificate: Mapping[str, Any], identity: str) -> bool:
    """Whether a certificate is the charge point's: its CN is the identity, or a DNS name of it is.

    Args:
        certificate: As `ssl.SSLSocket.getpeercert` gives it; verified.
        identity: The charge point's.
    """
    common = (
        value
        for part in certificate.get("subject", ())
        for kind, value in part
        if kind == "commonName"
    )
    # DNS names are written in any case (RFC 4343).
    alternative = (
        value.lower() for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"
    )
    return identity in common or identity.lower() in alternative
