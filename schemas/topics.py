"""The Kafka topics: names, keys, partitions, settings. `schemas.topic_admin` creates them."""

from collections.abc import Mapping
from typing import Final

import msgspec

FRAMES: Final = "ocpp.frames"
EVENTS: Final = "csms.events"
DEAD_LETTER: Final = "csms.dead-letter"
TRANSACTION_IDS: Final = "ocpp.transaction-ids"
COMMANDS: Final = "ocpp.commands"
COMMAND_RESULTS: Final = "ocpp.command-results"

PROCESSOR_APP_ID: Final = "chargelog-processor"
CONNECTORS_TABLE: Final = "connectors"

_DAY_MS: Final = 24 * 60 * 60 * 1000
_FOREVER: Final = "-1"
# A command lives for a day at most, and its id is known for two.
_WEEK: Final = {"cleanup.policy": "delete", "retention.ms": str(7 * _DAY_MS)}


class TopicSpec(msgspec.Struct, frozen=True):
    """One topic of the contract.

    Attributes:
        name: Full name, prefix included.
        key: What the record key holds.
        partitions: Number of partitions.
        config: Topic-level settings that the contract needs; others stay the broker's.
    """

    name: str
    key: str
    partitions: int
    config: Mapping[str, str]


class TopicNames(msgspec.Struct, frozen=True):
    """The topics' full names under one prefix (empty in production)."""

    prefix: str = ""

    @property
    def frames(self) -> str:
        """The log of record."""
        return self.prefix + FRAMES

    @property
    def events(self) -> str:
        """Business events."""
        return self.prefix + EVENTS

    @property
    def dead_letter(self) -> str:
        """Records that a stage could not digest."""
        return self.prefix + DEAD_LETTER

    @property
    def transaction_ids(self) -> str:
        """The log that hands out OCPP 1.6 transactionIds."""
        return self.prefix + TRANSACTION_IDS

    @property
    def commands(self) -> str:
        """CALLs to be sent to charge points."""
        return self.prefix + COMMANDS

    @property
    def command_results(self) -> str:
        """What became of them; its order decides which instance sends one."""
        return self.prefix + COMMAND_RESULTS

    @property
    def processor_app_id(self) -> str:
        """Faust app id: consumer group and prefix of changelog and transactional ids."""
        return self.prefix + PROCESSOR_APP_ID

    @property
    def connectors_changelog(self) -> str:
        """Changelog of the processor's per-connector table, named as Faust names it."""
        return f"{self.processor_app_id}-{CONNECTORS_TABLE}-changelog"


def specs(names: TopicNames, partitions: int) -> tuple[TopicSpec, ...]:
    """Every topic of the contract; frames, events and changelog have equal partition counts."""
    return (
        TopicSpec(
            names.frames,
            "clientId",
            partitions,
            {"cleanup.policy": "delete", "retention.ms": _FOREVER},
        ),
        TopicSpec(names.events, "clientId", partitions, {"cleanup.policy": "delete"}),
        TopicSpec(names.dead_letter, "clientId", partitions, {"cleanup.policy": "delete"}),
        TopicSpec(
            names.transaction_ids,
            "fingerprint",
            1,
            # An id must outlive the longest time a charge point may retry its StartTransaction.
            {"cleanup.policy": "delete", "retention.ms": str(90 * _DAY_MS)},
        ),
        TopicSpec(names.commands, "clientId", partitions, _WEEK),
        TopicSpec(names.command_results, "clientId", partitions, _WEEK),
        TopicSpec(
            names.connectors_changelog, "table key", partitions, {"cleanup.policy": "compact"}
        ),
    )
