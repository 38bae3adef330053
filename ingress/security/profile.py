"""What the settings of OCPP's security profiles come to."""

from ingress.security.access import Access, ByCertificate, ByPassword, Open
from ingress.security.attempts import Attempts
from ingress.security.passwords import PasswordFile
from ingress.security.tls import Tls
from ingress.settings import WITH_CERTIFICATE, WITH_PASSWORD, WITH_TLS, IngressSettings


class Security:
    """Who may connect, and over what.

    Raises:
        PasswordFileError: At construction: the passwords can't be read.
        TlsFileError: At construction: certificates or keys can't be used.

    Attributes:
        access: Decides on connections.
        tls: Where connections are encrypted.
    """

    def __init__(self, settings: IngressSettings) -> None:
        profile = settings.security_profile
        self._passwords = (
            PasswordFile(settings.ingress_password_file)
            if profile in WITH_PASSWORD and settings.ingress_password_file is not None
            else None
        )
        self.tls = (
            Tls(
                settings.ingress_tls_cert_files,
                settings.ingress_tls_key_files,
                settings.ingress_tls_client_ca_file if profile in WITH_CERTIFICATE else None,
            )
            if profile in WITH_TLS
            else None
        )
        self.access: Access = Open()
        if profile in WITH_CERTIFICATE:
            self.access = ByCertificate()
        elif self._passwords is not None:
            self.access = ByPassword(self._passwords, Attempts(settings.ingress_password_failures))

    def reload(self, *, force: bool) -> None:
        """Take up changed passwords and certificates; connections that stand are left alone."""
        for part in (self._passwords, self.tls):
            if part is not None:
                part.reload(force=force)

    def close(self) -> None:
        """End what checks passwords."""
        if self._passwords is not None:
            self._passwords.close()
