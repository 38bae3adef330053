"""What is on a Kafka topic, for the tests that look at what was written."""

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

_TIMEOUT_S = 60


def committed_records(bootstrap_servers: str, topic: str) -> list[Message]:
    """Every committed record of the topic now, partition after partition, each in order."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "reader",  # asked for by the library; no offset is committed
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            # The end is to be told at once, not after a wait for more.
            "fetch.wait.max.ms": 10,
        }
    )
    try:
        # Before the partitions are assigned: otherwise librdkafka 2.16 looks for their leaders
        # only every 500 ms.
        partitions = consumer.list_topics(topic, timeout=_TIMEOUT_S).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
        found: dict[int, list[Message]] = {number: [] for number in sorted(partitions)}
        unread = set(partitions)
        while unread:
            record = consumer.poll(_TIMEOUT_S)
            assert record is not None, f"Kafka gives nothing of {topic} {sorted(unread)}"
            number, error = record.partition(), record.error()
            assert number is not None
            if error is None:
                found[number].append(record)
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's name
                unread.discard(number)
            else:
                raise KafkaException(error)
    finally:
        consumer.close()
    return [record for records in found.values() for record in records]


def key_and_value(record: Message) -> tuple[bytes, bytes]:
    """Of a record that has both."""
    key, value = record.key(), record.value()
    assert key is not None
    assert value is not None
    return key, value
