"""Kafka as a run first meets it: there, or not, and then why not."""

import re
import sys
import time
from collections.abc import Mapping
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka.admin import TopicMetadata  # type: ignore[attr-defined]  # see targets

from processor.replay.errors import ReplayError

_ATTEMPT_S: Final = 1.0
"""Enough to try each address of each broker several times."""
_TIMEOUT_S: Final = 15.0


def topics_of(bootstrap_servers: str) -> Mapping[str, TopicMetadata]:
    """The topics there are, by name.

    Says on stderr that it waits, if Kafka neither answers nor refuses at once.

    Raises:
        ReplayError: All brokers refuse the connection, or none answers within 15 seconds.
    """
    errors: list[KafkaError] = []
    # Errors come by the callback; librdkafka's own lines would bury what is said here.
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "chargelog-replay",
            "log_level": 0,
            "error_cb": errors.append,
        }
    )
    give_up = time.monotonic() + _TIMEOUT_S
    waits = False
    try:
        while True:
            try:
                # All topics: asked for one by name, a broker may create it.
                topics: dict[str, TopicMetadata] = consumer.list_topics(timeout=_ATTEMPT_S).topics
            except KafkaException as error:
                failure = error
            else:
                return topics
            consumer.poll(0)
            down = any(error.code() == KafkaError._ALL_BROKERS_DOWN for error in errors)  # noqa: SLF001 - its public name
            if down or time.monotonic() > give_up:
                raise unreachable(bootstrap_servers, _reason(errors, failure)) from failure
            if not waits:
                waits = True
                sys.stderr.write(
                    f"waiting for Kafka at {bootstrap_servers}, which gives no answer\n"
                )
    finally:
        consumer.close()


def unreachable(bootstrap_servers: str, reason: str) -> ReplayError:
    """What to say, and what to do, where Kafka does not answer."""
    return ReplayError(
        f"Kafka at {bootstrap_servers} does not answer ({reason}); start it or correct "
        "KAFKA_BOOTSTRAP_SERVERS"
    )


def _reason(errors: list[KafkaError], failure: KafkaException) -> str:
    """The last thing that a broker's connection met, without which connection and how long."""
    for error in reversed(errors):
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - its public name
            return re.sub(r"^\S+: | \(after \d+ms in state \w+\)$", "", error.str())
    return str(failure.args[0].str())
