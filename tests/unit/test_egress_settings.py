"""egress.settings and the command's behaviour before it touches a broker."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from egress.__main__ import main
from egress.settings import EgressSettings


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in EgressSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_defaults_are_those_of_the_mqtt_contract() -> None:
    settings = EgressSettings()
    assert settings.mqtt_port == 1883
    assert settings.mqtt_business_events_enabled
    assert settings.mqtt_protocol_events_enabled
    assert (settings.mqtt_version, settings.mqtt_qos, settings.mqtt_retain) == ("5", 1, False)
    assert settings.egress_ops_port == 9102


def test_password_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MQTT_PASSWORD", "hunter2")
    settings = EgressSettings()
    assert "hunter2" not in repr(settings)
    assert settings.mqtt_password is not None
    assert settings.mqtt_password.get_secret_value() == "hunter2"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MQTT_PORT", "70000"),
        ("MQTT_QOS", "3"),
        ("MQTT_VERSION", "4"),
        ("MQTT_CLIENT_ID", "a b"),
        ("MQTT_TOPIC_PREFIX", "a/+/b"),
        ("MQTT_TOPIC_PREFIX", "$SYS"),
        ("MQTT_STATUS_TOPIC", "#"),
        ("MQTT_TOPIC_FILTER", "csms/#,ocpp/#/x"),
        ("MQTT_TOPIC_EXCLUDE", "a+"),
        ("MQTT_MESSAGE_EXPIRY_S", "0"),
        ("MQTT_REFUSED_TRIES", "0"),
        ("MQTT_KEEPALIVE_S", "70000"),
        ("MQTT_TLS_CA_FILE", "/no/such/file"),
        ("MQTT_ENABLED", "perhaps"),
        ("EGRESS_OPS_PORT", "x"),
    ],
)
def test_wrong_value_gives_one_line_and_exit_2(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as exit_:
        main([])
    assert exit_.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert name in line
    assert value in line


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"MQTT_TLS_CA_FILE": __file__}, "MQTT_TLS=true"),
        ({"MQTT_TLS": "true", "MQTT_TLS_CERT_FILE": __file__}, "MQTT_TLS_KEY_FILE"),
        ({"MQTT_VERSION": "3.1.1", "MQTT_MESSAGE_EXPIRY_S": "60"}, "MQTT_MESSAGE_EXPIRY_S"),
        ({"MQTT_VERSION": "3.1.1", "MQTT_PASSWORD": "hunter2"}, "MQTT_USERNAME"),
    ],
)
def test_settings_that_do_not_go_together_are_named_in_one_line(
    variables: dict[str, str],
    named: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as exit_:
        main([])
    assert exit_.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert named in line
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("prefix", "levels"), [("", ""), ("site", "site/"), ("site/a/", "site/a/")]
)
def test_prefix_ends_with_one_slash(prefix: str, levels: str) -> None:
    assert EgressSettings(mqtt_topic_prefix=prefix).topic_levels == levels


def test_filters_are_a_list() -> None:
    settings = EgressSettings(mqtt_topic_filter=" csms/# , ocpp/+/CP1/# ")
    assert (settings.only, settings.without) == (["csms/#", "ocpp/+/CP1/#"], [])


def test_files_that_are_no_certificates_end_it_with_one_line(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    done = subprocess.run(
        [sys.executable, "-m", "egress"],
        env=os.environ | {"MQTT_TLS": "true", "MQTT_TLS_CA_FILE": str(file)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "MQTT_TLS_CA_FILE" in json.loads(line)["error"]


@pytest.mark.parametrize(
    "off",
    [
        ("MQTT_ENABLED",),
        ("MQTT_BUSINESS_EVENTS_ENABLED", "MQTT_PROTOCOL_EVENTS_ENABLED"),
    ],
)
def test_nothing_enabled_says_so_in_one_line_and_exits_0(
    off: tuple[str, ...], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "egress"],
        env=os.environ | dict.fromkeys(off, "false"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert all(f"{name}=false" in json.loads(line)["event"] for name in off)
