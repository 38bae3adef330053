"""The replay's settings: Kafka's, and the processor's tariffs."""

from pathlib import Path

from pydantic import Field

from runtime.settings import KafkaSettings


class ReplaySettings(KafkaSettings):
    """Environment variables of the replay; options of the command line go before them."""

    tariff_file: Path | None = Field(
        None, description="TOML file of tariffs; not set: 0.12 USD per kWh"
    )
    replay_checkpoint_seconds: float = Field(
        10.0, gt=0, description="seconds between checkpoints of a run with an output"
    )
