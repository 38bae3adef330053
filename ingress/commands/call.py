"""`chargelog-ingress call`: put a command on the log and wait for what becomes of it."""

import argparse
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Final

import msgspec
import orjson
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka import Message as Record

from runtime.kafka import JAVA_PARTITIONER, why_unreachable
from runtime.settings import EXIT_USAGE, KafkaSettings, from_environment
from schemas.codec import command_codec, command_result_codec
from schemas.commands import Command, CommandResult
from schemas.errors import ChargelogError, CodecError
from schemas.registry import registry_for
from schemas.topics import TopicNames

_PROG: Final = "chargelog-ingress call"
_MICROS: Final = 1_000_000
_CONNECT_S: Final = 10.0
_PATIENCE_S: Final = 90.0
"""Beyond the expiry: the charge point's time to answer, and another instance's grace."""


def main(argv: list[str]) -> int:
    """Exit 0 where the charge point answered, 1 where it did not or refused, 2 on wrong usage."""
    arguments = _parser().parse_args(argv)
    try:
        payload = orjson.loads(arguments.payload)
    except orjson.JSONDecodeError as error:
        return _fail(f"PAYLOAD is not JSON: {error}", EXIT_USAGE)
    if not isinstance(payload, dict):
        return _fail('PAYLOAD must be a JSON object, such as \'{"type":"Soft"}\'', EXIT_USAGE)
    settings = from_environment(KafkaSettings, prog=_PROG)
    now = time.time_ns() // 1000
    command = Command(
        command_id=arguments.command_id or str(uuid.uuid4()),
        client_id=arguments.identity,
        action=arguments.action,
        payload=arguments.payload,
        issued_at=now,
        expires_at=now + int(arguments.expires_in * _MICROS),
    )
    try:
        result = _send(settings, command, arguments.expires_in + _PATIENCE_S)
    except KafkaException as error:
        why = why_unreachable(settings.kafka, error)
        return _fail(f"Kafka at {settings.kafka}: {why}", 1)
    except ChargelogError as error:
        return _fail(f"Kafka at {settings.kafka}: {error}", 1)
    if result is None:
        return _fail(f"nothing became of {command.command_id}: is an ingress running?", 1)
    sys.stdout.write(_printed(result) + "\n")
    return 0 if result.outcome == "result" else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROG,
        description="Send a command to a charge point through whichever ingress it is connected "
        "to, and print its answer as JSON. Kafka is taken from the ingress's settings.",
    )
    parser.add_argument("identity", metavar="IDENTITY", help="the charge point")
    parser.add_argument("action", metavar="ACTION", help="such as RemoteStartTransaction")
    parser.add_argument("payload", metavar="PAYLOAD", nargs="?", default="{}", help="JSON [{}]")
    parser.add_argument(
        "--expires-in",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="how long it waits for the charge point to be connected [60]",
    )
    parser.add_argument(
        "--command-id",
        metavar="ID",
        help="give the same id again to be sure that it is sent once [a new UUID]",
    )
    return parser


def _send(settings: KafkaSettings, command: Command, patience_s: float) -> CommandResult | None:
    names = TopicNames(settings.topic_prefix)
    registry = registry_for(settings.schema_registry_url)
    results = command_result_codec(registry, names.command_results)
    consumer = Consumer(
        {
            **settings.kafka.librdkafka(),
            "group.id": f"{names.command_results}-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    try:
        _seek(consumer, names.command_results, command)
        _append(settings, names, command_codec(registry, names.commands).encode(command), command)
        for record in _records(consumer, patience_s):
            try:
                result = results.decode(record.value() or b"")
            except CodecError:
                continue  # somebody else's; ours can be read
            if result.command_id == command.command_id and result.is_final:
                return result
    finally:
        consumer.close()
    return None


def _seek(consumer: Consumer, topic: str, command: Command) -> None:
    """Every result from a day ago on: the command may be one that is given again."""
    metadata = consumer.list_topics(topic, timeout=_CONNECT_S).topics[topic]
    since_ms = command.issued_at // 1000 - 24 * 3600 * 1000
    consumer.assign(
        consumer.offsets_for_times(
            [TopicPartition(topic, number, since_ms) for number in metadata.partitions],
            timeout=_CONNECT_S,
        )
    )


def _append(settings: KafkaSettings, names: TopicNames, value: bytes, command: Command) -> None:
    failures: list[str] = []
    producer = Producer(
        {
            **settings.kafka.librdkafka(),
            "partitioner": JAVA_PARTITIONER,
            "enable.idempotence": True,
            "delivery.timeout.ms": int(_CONNECT_S * 1000),
        }
    )
    producer.produce(
        names.commands,
        key=command.client_id.encode(),
        value=value,
        on_delivery=lambda error, _: failures.append(str(error)) if error is not None else None,
    )
    producer.flush()
    if failures:
        raise ChargelogError(f"the command was not put on the log: {failures[0]}")


def _records(consumer: Consumer, patience_s: float) -> Iterator[Record]:
    end = time.monotonic() + patience_s
    while (left := end - time.monotonic()) > 0:
        record = consumer.poll(min(left, 1.0))
        if record is not None and record.error() is None:
            yield record


def _printed(result: CommandResult) -> str:
    known = {
        name: value for name, value in msgspec.to_builtins(result).items() if value is not None
    }
    if result.payload is not None:
        known["payload"] = orjson.Fragment(result.payload)
    return orjson.dumps(known).decode()


def _fail(reason: str, code: int) -> int:
    sys.stderr.write(f"{_PROG}: {reason}\n")
    return code
