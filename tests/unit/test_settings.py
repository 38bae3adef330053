from pathlib import Path

import msgspec
import pytest
from pydantic import Field, SecretStr, ValidationError

from processor.replay.job import FromKafka, Job, ToTopic
from processor.replay.selection import Selection
from processor.tariff import Tariffs
from runtime.settings import KafkaSettings, load


class ExampleSettings(KafkaSettings):
    mqtt_port: int = Field(1883, ge=1, le=65535, description="port of the MQTT broker")
    mqtt_password: SecretStr | None = Field(None, min_length=4, description="password")


def load_example(argv: list[str] | None = None) -> ExampleSettings:
    return load(ExampleSettings, prog="example", description="An example.", argv=argv or [])


def test_wrong_value_gives_one_line_with_variable_value_and_expectation(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MQTT_PORT", "eighteen")
    with pytest.raises(SystemExit) as stopped:
        load_example()
    assert stopped.value.code == 2
    assert capsys.readouterr().err == (
        "example: MQTT_PORT='eighteen' is not valid; expected a valid integer, unable to parse "
        "string as an integer (port of the MQTT broker)\n"
    )


def test_every_wrong_value_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MQTT_PORT", "0")
    monkeypatch.setenv("PARTITIONS", "none")
    with pytest.raises(SystemExit):
        load_example()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("=")[0] for line in lines] == ["example: PARTITIONS", "example: MQTT_PORT"]


def test_secret_is_not_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MQTT_PASSWORD", "abc")
    with pytest.raises(SystemExit):
        load_example()
    printed = capsys.readouterr().err
    assert "MQTT_PASSWORD=(hidden) is not valid" in printed
    assert "abc" not in printed


def test_help_lists_every_variable_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        load_example(["--help"])
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    for name in ExampleSettings.model_fields:
        assert name.upper() in printed
    assert "port of the MQTT broker [1883]" in printed


def test_dotenv_file_is_read_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("MQTT_PORT=1884\nPARTITIONS=3\nUNRELATED=x\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PARTITIONS", "5")
    settings = load_example()
    assert (settings.mqtt_port, settings.partitions) == (1884, 5)


ACCESS = {
    "kafka_bootstrap_servers": "kafka:9092",
    "kafka_security_protocol": "SASL_SSL",
    "kafka_sasl_username": "chargelog",
    "kafka_sasl_password": "open sesame",
}


def test_how_one_gets_into_kafka_is_told_to_both_libraries() -> None:
    access = KafkaSettings.model_validate(ACCESS).kafka
    assert access.librdkafka() == {
        "bootstrap.servers": "kafka:9092",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "chargelog",
        "sasl.password": "open sesame",
    }
    arguments = access.aiokafka()
    assert arguments["sasl_plain_password"] == "open sesame"
    assert arguments["ssl_context"].check_hostname
    for shown in (repr(access), str(access), repr(access.public)):
        assert "sesame" not in shown


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"kafka_sasl_password": None}, "KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD for KAFKA_SE"),
        ({"kafka_security_protocol": "SSL"}, "no KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD with"),
        ({"kafka_tls_key_file": __file__}, "KAFKA_TLS_CERT_FILE and KAFKA_TLS_KEY_FILE together"),
        ({"kafka_tls_ca_file": __file__}, "PEM files in KAFKA_TLS_…_FILE"),
        (
            {"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_tls_ca_file": __file__},
            "no KAFKA_TLS_…_FILE with KAFKA_SECURITY_PROTOCOL=SASL_PLAINTEXT",
        ),
    ],
)
def test_what_does_not_go_together_at_kafka_is_named(
    changed: dict[str, str | None], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        KafkaSettings.model_validate({**ACCESS, **changed})


def test_a_replays_folder_keeps_no_password() -> None:
    access = KafkaSettings.model_validate(ACCESS).kafka
    job = Job(
        source=FromKafka(access, "ocpp.frames", {}),
        target=ToTopic(access, "again"),
        lanes=1,
        selection=Selection(),
        tariffs=Tariffs(),
        keeps=True,
    )
    written = msgspec.json.encode(job.public)
    assert b"sesame" not in written
    assert msgspec.json.decode(written, type=Job) == job.public
