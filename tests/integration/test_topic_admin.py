import asyncio
import socket

import pytest
from confluent_kafka.admin import AdminClient

from devstack.kafka import KafkaBroker
from runtime.kafka import wait_for_kafka
from runtime.kafka_access import KafkaAccess
from schemas.errors import TopicError
from schemas.topic_admin import ensure_topics
from schemas.topics import TopicNames, specs

pytestmark = pytest.mark.integration


def test_topics_are_created_once_with_the_contracts_settings(
    kafka: KafkaBroker, topic_prefix: str
) -> None:
    names = TopicNames(topic_prefix)
    created = ensure_topics(kafka.access, names, 3)
    assert sorted(created) == sorted(spec.name for spec in specs(names, 3))
    assert ensure_topics(kafka.access, names, 3) == []
    topics = AdminClient({"bootstrap.servers": kafka.bootstrap_servers}).list_topics().topics
    assert len(topics[names.frames].partitions) == 3
    assert len(topics[names.connectors_changelog].partitions) == 3
    assert len(topics[names.transaction_ids].partitions) == 1


def test_another_partition_count_is_refused_with_what_to_do(
    kafka: KafkaBroker, topic_prefix: str
) -> None:
    names = TopicNames(topic_prefix)
    ensure_topics(kafka.access, names, 3)
    with pytest.raises(TopicError, match=r"ocpp\.frames has 3 partitions, expected 4: set PART"):
        ensure_topics(kafka.access, names, 4)


async def test_an_unreachable_broker_is_waited_for_with_a_message(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wait_for_kafka(KafkaAccess(address)), 4)
    printed = capsys.readouterr().out
    assert "waiting for Kafka" in printed
    assert address in printed
