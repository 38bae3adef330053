"""Settings of the ingress."""

import ipaddress
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_settings import NoDecode

from runtime.settings import KafkaSettings

_MAX_PORT = 65535

WITH_PASSWORD: Final = frozenset({1, 2})
"""Security profiles whose charge points show a password."""
WITH_TLS: Final = frozenset({2, 3})
"""Security profiles whose connections are encrypted."""
WITH_CERTIFICATE: Final = frozenset({3})
"""Security profiles whose charge points show a certificate."""


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


Paths = Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_split)]
"""Comma-separated file names."""


class IngressSettings(KafkaSettings):
    """Every variable of `chargelog-ingress`."""

    ingress_host: str = Field("127.0.0.1", min_length=1, description="address for charge points")
    ingress_port: int = Field(9000, ge=0, le=_MAX_PORT, description="port for charge points")
    ingress_security_profile: int | None = Field(
        None,
        ge=0,
        le=3,
        description="OCPP's security profile. 0: none; 1: Basic; 2: TLS and Basic; 3: TLS with the "
        "charge point's certificate. Not set: 0 on a loopback address, and refused elsewhere",
    )
    ingress_password_file: Path | None = Field(
        None,
        description="charge points' passwords (profiles 1 and 2), written by "
        "`chargelog-ingress password add`",
    )
    ingress_password_failures: int = Field(
        5,
        ge=1,
        description="wrong passwords a minute for one identity from one address (profiles 1 and "
        "2); 20 times as many for an address",
    )
    ingress_tls_cert_files: Paths = Field(
        (), description="PEM files of the server's certificates (profiles 2 and 3), comma-separated"
    )
    ingress_tls_key_files: Paths = Field(
        (), description="PEM files of their keys, in the same order"
    )
    ingress_tls_client_ca_file: Path | None = Field(
        None,
        description="PEM file of those who sign charge points' certificates, and of their "
        "revocation lists, if any (profile 3)",
    )
    ingress_ops_host: str = Field(
        "127.0.0.1", min_length=1, description="address of health checks and metrics"
    )
    ingress_ops_port: int = Field(
        9100, ge=0, le=_MAX_PORT, description="port of health checks and metrics"
    )
    ingress_validation: Literal["strict", "lenient"] = Field(
        "lenient",
        description="strict: a payload that breaks its schema gets a CALLERROR; lenient: it is "
        "flagged on the log and answered where possible",
    )
    ingress_default_protocol: Literal["ocpp1.6", "none"] = Field(
        "ocpp1.6",
        description="taken for charge points that offer no subprotocol at all; none: refuse them",
    )
    ingress_authorization_file: Path | None = Field(
        None, description="list of idTags, one a line; not set: every idTag is accepted"
    )
    upstream_url: str | None = Field(
        None,
        pattern=r"^wss?://",
        description="a central system to stand in front of: frames are relayed to it byte for "
        "byte, put on the log on the way, and answered by it; the identity is appended to the URL",
    )
    heartbeat_interval_s: int = Field(
        300, ge=1, le=86400, description="heartbeat interval given to charge points, seconds"
    )
    ingress_command_timeout_s: float = Field(
        30.0,
        gt=0,
        le=600,
        description="seconds that a charge point may take to answer a command; the same for all "
        "instances",
    )
    kafka_timeout_s: float = Field(
        10.0,
        gt=0,
        le=300,
        description="seconds until an unconfirmed frame is answered with InternalError",
    )
    ingress_reuse_port: bool = Field(
        False,
        description="let several processes listen on the port (SO_REUSEPORT); the kernel spreads "
        "the connections",
    )
    ingress_max_connections: int = Field(10_000, ge=1, description="connections at a time")
    ingress_max_frame_bytes: int = Field(
        256 * 1024,
        ge=1024,
        le=900_000,
        description="a larger frame closes its connection (1009); below Kafka's record limit",
    )
    ingress_max_held_bytes: int = Field(
        256 * 1024 * 1024,
        ge=4 * 1024 * 1024,
        description="what all connections together may hold of messages that are not handled yet; "
        "beyond it those that hold most for longest are closed (1013)",
    )
    ingress_max_frames_per_s: float = Field(
        50.0, gt=0, description="a connection that sends more is read slower"
    )
    ingress_compression: bool = Field(
        True, description="offer permessage-deflate to charge points that ask for it"
    )
    ingress_open_timeout_s: float = Field(10.0, gt=0, description="limit of the handshake, seconds")
    ingress_ping_interval_s: float = Field(
        30.0, gt=0, description="seconds between websocket pings"
    )
    ingress_ping_timeout_s: float = Field(
        30.0, gt=0, description="seconds without a pong until a connection is closed"
    )
    ingress_drain_timeout_s: float = Field(
        20.0, gt=0, description="limit on SIGTERM for finishing what is in flight, seconds"
    )

    @property
    def security_profile(self) -> int:
        """The profile that holds: 0 where none is set, which is so on a loopback address only."""
        return self.ingress_security_profile or 0

    @model_validator(mode="after")
    def _check_security(self) -> Self:
        if self.ingress_security_profile is None and not _is_loopback(self.ingress_host):
            raise ValueError(
                f"set INGRESS_SECURITY_PROFILE, as INGRESS_HOST={self.ingress_host} can be reached "
                "from outside: 1 to 3, or 0 if a network of its own or a proxy protects it"
            )
        profile = self.security_profile
        needed = {
            "INGRESS_PASSWORD_FILE": profile in WITH_PASSWORD and not self.ingress_password_file,
            "INGRESS_TLS_CERT_FILES": profile in WITH_TLS and not self.ingress_tls_cert_files,
            "INGRESS_TLS_KEY_FILES": profile in WITH_TLS and not self.ingress_tls_key_files,
            "INGRESS_TLS_CLIENT_CA_FILE": profile in WITH_CERTIFICATE
            and not self.ingress_tls_client_ca_file,
        }
        missing = [name for name, is_missing in needed.items() if is_missing]
        if missing:
            raise ValueError(f"set {' and '.join(missing)} for INGRESS_SECURITY_PROFILE={profile}")
        if len(self.ingress_tls_cert_files) != len(self.ingress_tls_key_files):
            raise ValueError(
                "set INGRESS_TLS_KEY_FILES to one key for each of INGRESS_TLS_CERT_FILES"
            )
        return self


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
