"""The processor's settings."""

import socket
from pathlib import Path

from pydantic import Field

from runtime.settings import KafkaSettings


class ProcessorSettings(KafkaSettings):
    """Environment variables of the processor."""

    processor_web_host: str = Field(
        "127.0.0.1", description="address of /healthz, /readyz, /metrics and /charge-points"
    )
    processor_web_port: int = Field(6066, ge=1, le=65535, description="its port")
    processor_canonical_host: str | None = Field(
        None,
        description="name under which other workers reach this one's web; not set: the web host, "
        "or this machine's name where that is every address",
    )
    tariff_file: Path | None = Field(
        None, description="TOML file of tariffs; not set: 0.12 USD per kWh"
    )

    @property
    def canonical_host(self) -> str:
        """The name under which other workers reach this one's web."""
        if self.processor_canonical_host:
            return self.processor_canonical_host
        everywhere = {"0.0.0.0", "::"}  # noqa: S104 - compared with, not bound
        if self.processor_web_host in everywhere:
            return socket.gethostname()
        return self.processor_web_host
