"""Where Kafka is and how one gets in."""

import ssl
from typing import Any

import msgspec


class KafkaAccess(msgspec.Struct, frozen=True):
    """Where Kafka is and how one gets in, for both client libraries.

    Attributes:
        servers: Brokers, host:port[,host:port…].
        protocol: Kafka's `security.protocol`.
        mechanism: Its `sasl.mechanism`, where the protocol has SASL.
        username: The user of that.
        password: The user's password; in no representation.
        ca_file: PEM file of those who sign the brokers' certificates; None: the system's.
        cert_file: PEM file of a client certificate with its chain.
        key_file: PEM file of its key.
    """

    servers: str
    protocol: str = "PLAINTEXT"
    mechanism: str = "PLAIN"
    username: str | None = None
    password: str | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    def __str__(self) -> str:
        return self.servers

    def __repr__(self) -> str:
        return f"KafkaAccess({self.servers!r}, {self.protocol!r}, username={self.username!r})"

    @property
    def public(self) -> "KafkaAccess":
        """The same place without user, password and files: to be written down."""
        return KafkaAccess(self.servers)

    @property
    def has_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.protocol.endswith("SSL")

    @property
    def has_sasl(self) -> bool:
        """Whether a user name and a password are shown."""
        return self.protocol.startswith("SASL")

    def librdkafka(self) -> dict[str, str | int | float | bool]:
        """Settings of a confluent-kafka client."""
        settings = {
            "bootstrap.servers": self.servers,
            "security.protocol": self.protocol,
            "sasl.mechanism": self.mechanism if self.has_sasl else None,
            "sasl.username": self.username,
            "sasl.password": self.password,
            "ssl.ca.location": self.ca_file,
            "ssl.certificate.location": self.cert_file,
            "ssl.key.location": self.key_file,
        }
        return {name: value for name, value in settings.items() if value is not None}

    def aiokafka(self) -> dict[str, Any]:
        """Arguments of an aiokafka client."""
        return {
            "bootstrap_servers": self.servers,
            "security_protocol": self.protocol,
            "ssl_context": self.ssl_context(),
            "sasl_mechanism": self.mechanism,
            "sasl_plain_username": self.username,
            "sasl_plain_password": self.password,
        }

    def ssl_context(self) -> ssl.SSLContext | None:
        """The TLS side of a connection; None where there is none.

        Raises:
            OSError: A file can't be read, or is no PEM file (`ssl.SSLError`).
        """
        if not self.has_tls:
            return None
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.cert_file is not None:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context
