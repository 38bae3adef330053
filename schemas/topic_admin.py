"""Creates the topics of `schemas.topics`, checks those that exist: `chargelog-topics`."""

import asyncio
import sys
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its __init__ names no __all__
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from runtime.kafka import wait_for_kafka
from runtime.kafka_access import KafkaAccess
from runtime.logs import configure
from runtime.settings import KafkaSettings, load
from schemas.errors import TopicError
from schemas.topics import TopicNames, TopicSpec, specs

_TIMEOUT_S: Final = 30.0
_WARNINGS: Final = 5
"""librdkafka's log level (syslog's): errors, warnings and what is worth a notice."""
_CHECKED_CONFIG: Final = "cleanup.policy"


def ensure_topics(kafka: KafkaAccess, names: TopicNames, partitions: int) -> list[str]:
    """Create what is missing, check what exists; returns the names of those created.

    Raises:
        TopicError: A topic exists with another partition count or cleanup policy, or could not be
            created. Nothing is altered: a changed partition count would send a charge point's
            records elsewhere.
    """
    # Without its notes (6), such as "Purging 1 unserved events from background queue", with which
    # librdkafka 2.16 may end: behind an error of ours they would be the last line.
    admin = AdminClient({**kafka.librdkafka(), "log_level": _WARNINGS})
    wanted = {spec.name: spec for spec in specs(names, partitions)}
    created = _create(admin, wanted)
    problems = _problems(admin, [spec for name, spec in wanted.items() if name not in created])
    if problems:
        raise TopicError("; ".join(problems))
    return created


def _create(admin: AdminClient, wanted: dict[str, TopicSpec]) -> list[str]:
    existing = admin.list_topics(timeout=_TIMEOUT_S).topics
    # replication_factor -1: the broker's default.replication.factor.
    missing = [
        NewTopic(s.name, num_partitions=s.partitions, replication_factor=-1, config=dict(s.config))
        for s in wanted.values()
        if s.name not in existing
    ]
    created = []
    futures = admin.create_topics(missing, operation_timeout=_TIMEOUT_S) if missing else {}
    for name, future in futures.items():
        try:
            future.result(_TIMEOUT_S)
            created.append(name)
        except KafkaException as error:
            # Another service that started at the same time was quicker.
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise TopicError(f"topic {name} can't be created: {error.args[0].str()}") from error
    return created


def _problems(admin: AdminClient, existing: list[TopicSpec]) -> list[str]:
    if not existing:
        return []
    metadata = admin.list_topics(timeout=_TIMEOUT_S).topics
    configs = admin.describe_configs([ConfigResource(ResourceType.TOPIC, s.name) for s in existing])
    by_name = {resource.name: future.result(_TIMEOUT_S) for resource, future in configs.items()}
    problems = []
    for spec in existing:
        count = len(metadata[spec.name].partitions)
        if count != spec.partitions:
            problems.append(
                f"topic {spec.name} has {count} partitions, expected {spec.partitions}: "
                "set PARTITIONS to the existing number, or recreate the topics"
            )
        policy = by_name[spec.name][_CHECKED_CONFIG].value
        if policy != spec.config[_CHECKED_CONFIG]:
            problems.append(
                f"topic {spec.name} has cleanup.policy={policy}, expected "
                f"{spec.config[_CHECKED_CONFIG]}: alter the topic's configuration"
            )
    return problems


class TopicsSettings(KafkaSettings):
    """Settings of the command."""


def main() -> int:
    """Create and check the topics; exit 1 where they break the contract."""
    settings = load(
        TopicsSettings,
        prog="chargelog-topics",
        description="Create Chargelog's Kafka topics, or check those that exist.",
    )
    configure(settings.log_level, settings.log_format)
    names = TopicNames(settings.topic_prefix)
    asyncio.run(wait_for_kafka(settings.kafka))
    try:
        created = ensure_topics(settings.kafka, names, settings.partitions)
    except TopicError as error:
        sys.stderr.write(f"chargelog-topics: {error}\n")
        return 1
    for spec in specs(names, settings.partitions):
        state = "created" if spec.name in created else "ok"
        sys.stdout.write(f"{state:<8} {spec.name} ({spec.partitions} partitions)\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
