"""All of Chargelog on a Kafka that has to be shown a password or a certificate."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException
from processor_kit import eventually
from secured_kafka import PASSWORD, USER, SecuredKafka, secured_kafka

from runtime.kafka import why_unreachable
from runtime.kafka_access import KafkaAccess

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    with secured_kafka(tmp_path_factory.mktemp("secured")) as kafka:
        yield kafka


def run(
    arguments: list[str], folder: Path, variables: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )


def test_the_demo_runs_with_a_user_and_a_replay_keeps_the_password_to_itself(
    secured: SecuredKafka, topic_prefix: str, tmp_path: Path
) -> None:
    variables = {**secured.with_user, "TOPIC_PREFIX": topic_prefix}
    demo = run(["devstack", "demo"], tmp_path, variables)
    assert demo.returncode == 0, demo.stderr
    assert "6 sessions" in demo.stdout
    assert PASSWORD not in demo.stdout + demo.stderr
    replay = run(
        ["processor.replay", "--out", f"topic:{topic_prefix}again", "--json"], tmp_path, variables
    )
    assert replay.returncode == 0, replay.stderr
    assert '"completed":6' in replay.stdout.replace(" ", "")


def test_the_demo_runs_with_a_client_certificate(
    secured: SecuredKafka, topic_prefix: str, tmp_path: Path
) -> None:
    demo = run(
        ["devstack", "demo"], tmp_path, {**secured.with_certificate, "TOPIC_PREFIX": topic_prefix}
    )
    assert demo.returncode == 0, demo.stderr
    assert "6 sessions" in demo.stdout


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"KAFKA_SASL_PASSWORD": "wrong"}, ["Authentication failed", "KAFKA_SASL_PASSWORD"]),
        ({"KAFKA_TLS_CA_FILE": None}, ["certificate", "correct KAFKA_TLS_CA_FILE"]),
        (
            {
                "KAFKA_SECURITY_PROTOCOL": "PLAINTEXT",
                "KAFKA_SASL_USERNAME": None,
                "KAFKA_SASL_PASSWORD": None,
                "KAFKA_TLS_CA_FILE": None,
            },
            ["correct KAFKA_SECURITY_PROTOCOL"],
        ),
    ],
)
def test_what_keeps_one_out_is_said_with_the_variable_that_is_to_be_corrected(
    secured: SecuredKafka, tmp_path: Path, changed: dict[str, str | None], said: list[str]
) -> None:
    together = {**secured.with_user, **changed}
    variables = {name: value for name, value in together.items() if value is not None}
    log = tmp_path / "log"
    with log.open("wb") as out:
        waiting = subprocess.Popen(
            [sys.executable, "-m", "schemas.topic_admin"],
            env={**os.environ, **variables},
            stdout=out,
            stderr=out,
        )
    try:
        eventually(lambda: all(part in log.read_text() for part in said), f"{said} in {log}")
    finally:
        waiting.kill()
        waiting.wait()
    assert PASSWORD not in log.read_text()


def test_commands_that_do_not_wait_say_so_too(secured: SecuredKafka) -> None:
    access = KafkaAccess(
        secured.with_user["KAFKA_BOOTSTRAP_SERVERS"],
        "SASL_SSL",
        "SCRAM-SHA-512",
        USER,
        "wrong",
        secured.with_user["KAFKA_TLS_CA_FILE"],
    )
    said = why_unreachable(access, KafkaException(KafkaError(KafkaError._TRANSPORT)))  # noqa: SLF001 - librdkafka's name
    assert "Authentication failed" in said
    assert "correct KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD" in said
