"""Kafka as a run first meets it: there, or not, and then why not."""

import re
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka.admin import TopicMetadata  # type: ignore[attr-defined]  # see targets

from processor.replay.errors import ReplayError
from runtime.kafka import START_IT, remedy
from runtime.kafka_access import KafkaAccess

_ATTEMPT_S: Final = 1.0
"""Enough to try each address of each broker several times."""
_TIMEOUT_S: Final = 15.0


def topics_of(kafka: KafkaAccess) -> Mapping[str, TopicMetadata]:
    """The topics there are, by name.

    Says on stderr that it waits, if Kafka neither answers nor refuses at once.

    Raises:
        ReplayError: All brokers refuse the connection, or none answers within 15 seconds.
    """
    errors: list[KafkaError] = []
    # Errors come by the callback; librdkafka's own lines would bury what is said here.
    settings: dict[str, Any] = {
        **kafka.librdkafka(),
        "group.id": "chargelog-replay",
        "log_level": 0,
        "error_cb": errors.append,
    }
    consumer = Consumer(settings)
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
                raise unreachable(kafka, _reason(errors, failure), remedy(errors)) from failure
            if not waits:
                waits = True
                sys.stderr.write(f"waiting for Kafka at {kafka}, which gives no answer\n")
    finally:
        consumer.close()


def unreachable(kafka: KafkaAccess, reason: str, hint: str = START_IT) -> ReplayError:
    """What to say, and what to do, where Kafka does not answer."""
    return ReplayError(f"Kafka at {kafka} does not answer ({reason}); {hint}")


def _reason(errors: list[KafkaError], failure: KafkaException) -> str:
    """The last thing that a broker's connection met, without which connection and how long."""
    for error in reversed(errors):
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - its public name
            return re.sub(r"^\S+: | \(after \d+ms in state \w+\)$", "", error.str())
    return str(failure.args[0].str())
