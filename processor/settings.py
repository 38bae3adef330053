"""The processor's settings."""

import socket
from pathlib import Path
from typing import Literal

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
    processor_guarantee: Literal["exactly_once", "at_least_once"] = Field(
        "exactly_once",
        description="exactly_once: events, state and offset of a chunk in one transaction; "
        "at_least_once: without transactions, a crash repeats a chunk",
    )
    processor_chunk_frames: int = Field(
        5000,
        ge=1,
        le=100_000,
        description="frames in one chunk, at most; nothing is waited for to fill it",
    )
    tariff_file: Path | None = Field(
        None, description="TOML file of tariffs; not set: 0.12 USD per kWh"
    )

    @property
    def chunk_frames(self) -> int:
        """Frames in one chunk, at most.

        Without transactions a crash repeats a chunk whose rows may be written already. The reducer
        knows a repeated session as long as the chunk ends no more sessions than it remembers (32).
        """
        limit = 30 if self.processor_guarantee == "at_least_once" else self.processor_chunk_frames
        return min(limit, self.processor_chunk_frames)

    @property
    def canonical_host(self) -> str:
        """The name under which other workers reach this one's web."""
        if self.processor_canonical_host:
            return self.processor_canonical_host
        everywhere = {"0.0.0.0", "::"}  # noqa: S104 - compared with, not bound
        if self.processor_web_host in everywhere:
            return socket.gethostname()
        return self.processor_web_host
