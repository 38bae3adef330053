"""Waiting for Kafka, and what is wrong where it does not come."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, Final

import structlog
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from runtime.kafka_access import KafkaAccess

log = structlog.get_logger(__name__)

_ATTEMPT_S: Final = 3.0

JAVA_PARTITIONER: Final = "murmur2_random"
"""librdkafka's name for the Java client's partitioner; its own default (CRC32) would put a charge
point's records on other partitions than the Java, aiokafka and Faust producers do."""


START_IT: Final = "start it or correct KAFKA_BOOTSTRAP_SERVERS"
"""What to do where nothing answers."""
_OTHER_PROTOCOL: Final = (
    "correct KAFKA_SECURITY_PROTOCOL: the broker seems to speak another one there"
)
_HINTS: Final = {
    KafkaError._AUTHENTICATION: "correct KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD or "  # noqa: SLF001 - librdkafka's name
    "KAFKA_SASL_MECHANISM",
    KafkaError._SSL: "correct KAFKA_TLS_CA_FILE (who signed the broker's certificate?) or "  # noqa: SLF001 - librdkafka's name
    "KAFKA_BOOTSTRAP_SERVERS (is it a name on that certificate?)",
}


def remedy(errors: Iterable[KafkaError]) -> str:
    """What to do about what librdkafka has met."""
    for error in errors:
        if "PLAINTEXT broker listener" in error.str():
            return _OTHER_PROTOCOL
        if error.code() in _HINTS:
            return _HINTS[error.code()]
    return START_IT


class _Complaints(logging.Handler):
    """What librdkafka says, as an error or in its log, beside a call that only runs out of time."""

    def __init__(self) -> None:
        super().__init__()
        self._error: KafkaError | None = None
        self._hung_up = False

    def emit(self, record: logging.LogRecord) -> None:
        """A connection that the broker ends at the first request is no error to librdkafka 2.16."""
        self._hung_up |= "in state APIVERSION_QUERY" in record.getMessage()

    def heard(self, error: KafkaError) -> None:
        """Keep the most telling one: a refused connection does not say why a user was refused."""
        if self._error is None or error.code() in _HINTS:
            self._error = error

    def take(self, otherwise: KafkaError) -> tuple[str, str]:
        """What is wrong, and what to do about it; the next attempt complains anew."""
        error, self._error = self._error or otherwise, None
        hung_up, self._hung_up = self._hung_up, False
        return error.str(), _OTHER_PROTOCOL if hung_up else remedy([error])


def why_unreachable(kafka: KafkaAccess, seen: KafkaException) -> str:
    """What is behind an error that a command met, and what to do; asks Kafka once more for that."""
    complaints = _Complaints()
    client = _asking(kafka, complaints)
    try:
        client.list_topics(timeout=_ATTEMPT_S)
    except KafkaException as error:
        client.poll(0)
        return "; ".join(complaints.take(error.args[0]))
    return str(seen.args[0].str())


async def wait_for_kafka(kafka: KafkaAccess) -> None:
    """Return once a broker answers; until then say every few seconds what is waited for."""
    complaints = _Complaints()
    client = _asking(kafka, complaints)
    while True:
        try:
            await asyncio.to_thread(client.list_topics, timeout=_ATTEMPT_S)
        except KafkaException as error:
            client.poll(0)
            what, hint = complaints.take(error.args[0])
            log.warning(
                "waiting for Kafka",
                kafka_bootstrap_servers=kafka.servers,
                error=what,
                hint=hint,
            )
            await asyncio.sleep(1)
        else:
            return


def _asking(kafka: KafkaAccess, complaints: _Complaints) -> AdminClient:
    # A logger without parent: librdkafka's lines about each refused connection would bury ours.
    quiet = logging.Logger("librdkafka")  # noqa: LOG001 - getLogger's has a parent
    quiet.addHandler(complaints)
    settings: dict[str, Any] = {**kafka.librdkafka(), "error_cb": complaints.heard}
    return AdminClient(settings, logger=quiet)
