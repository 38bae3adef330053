"""Settings of the ingress."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from runtime.settings import KafkaSettings

_MAX_PORT = 65535


class IngressSettings(KafkaSettings):
    """Every variable of `chargelog-ingress`."""

    ingress_host: str = Field("127.0.0.1", min_length=1, description="address for charge points")
    ingress_port: int = Field(9000, ge=0, le=_MAX_PORT, description="port for charge points")
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
    ingress_max_connections: int = Field(10_000, ge=1, description="connections at a time")
    ingress_max_frame_bytes: int = Field(
        256 * 1024,
        ge=1024,
        le=900_000,
        description="a larger frame closes its connection (1009); below Kafka's record limit",
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
