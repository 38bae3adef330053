"""Access to Kafka that every service needs: waiting for the broker."""

import asyncio
import logging
from typing import Final

import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

log = structlog.get_logger(__name__)

_ATTEMPT_S: Final = 3.0

JAVA_PARTITIONER: Final = "murmur2_random"
"""librdkafka's name for the Java client's partitioner; its own default (CRC32) would put a charge
point's records on other partitions than the Java, aiokafka and Faust producers do."""


async def wait_for_kafka(bootstrap_servers: str) -> None:
    """Return once a broker answers; until then say every few seconds what is waited for."""
    # librdkafka's own lines about each refused connection would bury ours.
    quiet = logging.getLogger("librdkafka.wait")
    quiet.propagate = False
    client = AdminClient({"bootstrap.servers": bootstrap_servers}, logger=quiet)
    while True:
        try:
            await asyncio.to_thread(client.list_topics, timeout=_ATTEMPT_S)
        except KafkaException as error:
            log.warning(
                "waiting for Kafka",
                kafka_bootstrap_servers=bootstrap_servers,
                error=error.args[0].str(),
                hint="start the broker or correct KAFKA_BOOTSTRAP_SERVERS",
            )
            await asyncio.sleep(1)
        else:
            return
