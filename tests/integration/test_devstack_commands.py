"""`chargelog-devstack` as its users run it: what it prints, how it ends, what it leaves behind."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from readme import blocks, masked

from devstack.existing import ExistingKafka, ExistingMqtt
from devstack.kafka import KafkaBroker
from devstack.mqtt import MqttBroker
from devstack.process import accepts_connections, free_port
from devstack.simulator import CompressedClock, operate, plan

pytestmark = pytest.mark.integration

# A shell starts background jobs with SIGINT ignored; signals must end the command all the same.
BACKGROUND = """trap '' INT; exec "$@" """


class Command:
    """A command in a process of its own; finds everything that it starts by an environment mark."""

    def __init__(self, directory: Path, *arguments: str, **variables: str) -> None:
        self.mark = f"CHARGELOG_TEST={uuid.uuid4().hex}"
        name, _, value = self.mark.partition("=")
        environment = {
            n: v for n, v in os.environ.items() if n not in {"KAFKA_BOOTSTRAP_SERVERS", "MQTT_HOST"}
        }
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            ["/bin/sh", "-c", BACKGROUND, "sh", sys.executable, "-m", "devstack", *arguments],
            env={**environment, "TMPDIR": str(directory), **variables, name: value},
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self, start: str) -> str:
        """The next line of stdout that starts so; fails where there is none."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(start):
                return line.rstrip("\n")
        pytest.fail(f"no line starts with {start!r}; stderr: {self.end()[2]}")

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self) -> tuple[int, str, str]:
        """Exit code, the rest of stdout, stderr."""
        out, err = self._process.communicate(timeout=100)
        return self._process.returncode, out, err

    def processes(self) -> dict[int, str]:
        """Every process that it started and that lives: pid and command line."""
        found = {}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                if self.mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    words = (folder / "cmdline").read_bytes().split(b"\0")
                    found[int(folder.name)] = b" ".join(words).decode()
            except OSError:
                continue  # it ended while we looked
        return found

    def assert_all_gone(self) -> None:
        deadline = time.monotonic() + 10
        while self.processes() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert self.processes() == {}

    def close(self) -> None:
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        self._process.communicate()


@pytest.fixture
def commands() -> Iterator[list[Command]]:
    """Ends what a failing test would leave behind."""
    started: list[Command] = []
    yield started
    for command in started:
        command.close()


def on_existing_brokers(
    kafka: KafkaBroker | ExistingKafka, mqtt: MqttBroker | ExistingMqtt, topic_prefix: str
) -> dict[str, str]:
    ports = ("INGRESS_PORT", "INGRESS_OPS_PORT", "PROCESSOR_WEB_PORT", "EGRESS_OPS_PORT")
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "MQTT_HOST": mqtt.host,
        "MQTT_PORT": str(mqtt.port),
        "TOPIC_PREFIX": topic_prefix,
        "PARTITIONS": "2",
        **{name: str(free_port()) for name in ports},
    }


@pytest.mark.e2e
def test_the_demo_prints_every_message_and_agrees_with_the_charge_points(
    tmp_path: Path, commands: list[Command]
) -> None:
    demo = Command(tmp_path, "demo")
    commands.append(demo)
    code, out, err = demo.end()
    assert code == 0, err
    *messages, summary, latency = out.splitlines()
    found = re.fullmatch(
        r"3 charge points, (\d+) frames and (\d+) events on Kafka, (\d+) MQTT messages; "
        r"6 sessions, (\d+\.\d+) kWh, (\d+\.\d\d) USD",
        summary,
    )
    assert found is not None, summary
    times = re.fullmatch(
        r"a frame was with the MQTT subscriber after (\d+) ms, 99 of 100 within (\d+) ms; "
        r"the event it caused after (\d+) ms and (\d+) ms",
        latency,
    )
    assert times is not None, latency
    median, most, event_median, event_most = (int(time) for time in times.groups())
    assert 0 < median <= most
    assert 0 < event_median <= event_most
    shown = blocks("text")[1].splitlines()  # the README's excerpt of this output
    printed = [*messages, summary, latency]
    assert {masked(line) for line in shown} <= {masked(line) for line in printed}
    frames, events, total = (int(figure) for figure in found.groups()[:3])
    assert frames + events == total == len(messages)
    topics = [line.partition(" ")[0] for line in messages]
    payloads = [json.loads(line.partition(" ")[2]) for line in messages]
    assert sum(topic.startswith("ocpp/") for topic in topics) == frames
    costs = [
        p["payload"] for p, t in zip(payloads, topics, strict=True) if t.endswith("/session_cost")
    ]
    assert round(sum(cost["estimatedCost"] for cost in costs), 2) == float(found[5])
    assert round(sum(cost["energyConsumed"] for cost in costs), 3) == float(found[4])
    for step in ("starting Kafka", "starting the MQTT broker", "starting the egress", "stopping"):
        assert f"{step}: " in err
    demo.assert_all_gone()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.e2e
def test_ctrl_c_ends_the_demo_and_everything_it_started(
    tmp_path: Path, commands: list[Command]
) -> None:
    demo = Command(tmp_path, "demo")
    commands.append(demo)
    demo.line("csms/transactions/")
    assert len(demo.processes()) >= 6  # itself, its guard, two brokers, three services
    demo.signal(signal.SIGINT)
    code, _, err = demo.end()
    assert code == 130, err
    assert "Traceback" not in err
    demo.assert_all_gone()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.e2e
def test_the_demo_fails_with_the_reason_when_a_service_dies(
    kafka: KafkaBroker,
    mqtt: MqttBroker,
    topic_prefix: str,
    tmp_path: Path,
    commands: list[Command],
) -> None:
    demo = Command(tmp_path, "demo", **on_existing_brokers(kafka, mqtt, topic_prefix))
    commands.append(demo)
    demo.line("csms/transactions/")
    (pid,) = (p for p, words in demo.processes().items() if words.rstrip().endswith("-m processor"))
    os.kill(pid, signal.SIGKILL)
    code, _, err = demo.end()
    assert code == 1, err
    assert "demo: processor ended with exit code -9" in err
    (kept,) = tmp_path.iterdir()
    assert f"logs and data are kept in {kept}" in err
    assert (kept / "processor.log").exists()
    demo.assert_all_gone()


@pytest.mark.e2e
def test_run_stays_up_on_existing_brokers_until_sigterm(
    kafka: KafkaBroker,
    mqtt: MqttBroker,
    topic_prefix: str,
    tmp_path: Path,
    commands: list[Command],
) -> None:
    page = {"PAGE_MQTT_URL": "wss://mqtt.example", "PAGE_PORT": str(free_port())}
    variables = {**on_existing_brokers(kafka, mqtt, topic_prefix), **page}
    run = Command(tmp_path, "run", **variables)
    commands.append(run)
    port = variables["INGRESS_PORT"]
    address = f"ws://127.0.0.1:{port}"
    assert (
        run.line("charge points")
        == f"charge points  {address}/<identity>  (ocpp1.6, ocpp2.0.1, ocpp2.1)"
    )
    assert run.line("Kafka") == f"Kafka          {kafka.bootstrap_servers}"
    page_url = f"http://localhost:{page['PAGE_PORT']}"
    assert run.line("live page") == f"live page      {page_url}"
    with urllib.request.urlopen(f"{page_url}/config.json") as answer:  # noqa: S310 - our own
        assert json.load(answer)["mqttUrl"] == "wss://mqtt.example"
    run.line("Ctrl-C")
    assert not any(
        "kafka.Kafka" in words or "iotcore" in words for words in run.processes().values()
    )
    clock = CompressedClock(datetime(2023, 12, 7, tzinfo=UTC), 12_000)
    record = asyncio.run(operate(address, "run-1", plan(1, "run-1", places=1), clock))
    assert len(record.sessions) == 1
    run.signal(signal.SIGTERM)
    code, _, err = run.end()
    assert code == 143, err
    assert "Traceback" not in err
    run.assert_all_gone()


def test_a_taken_port_is_named_with_the_log_and_nothing_is_left(
    kafka: KafkaBroker,
    mqtt: MqttBroker,
    topic_prefix: str,
    tmp_path: Path,
    commands: list[Command],
) -> None:
    variables = on_existing_brokers(kafka, mqtt, topic_prefix)
    with socket.create_server(("127.0.0.1", int(variables["INGRESS_PORT"]))):
        run = Command(tmp_path, "run", **variables)
        commands.append(run)
        code, _, err = run.end()
    assert code == 1
    assert "chargelog-devstack: ingress ended with exit code" in err
    assert "run/ingress.log" in err
    run.assert_all_gone()


def test_a_wrong_setting_is_one_line_and_exit_2(tmp_path: Path, commands: list[Command]) -> None:
    run = Command(tmp_path, "run", INGRESS_PORT="nine thousand")
    commands.append(run)
    code, out, err = run.end()
    assert (code, out) == (2, "")
    assert err.startswith("chargelog-devstack: INGRESS_PORT='nine thousand' is not valid; expected")
    assert err.count("\n") == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_single_brokers_stay_up_until_a_signal(
    tmp_path: Path, commands: list[Command], number: int, code: int
) -> None:
    port = free_port()
    ports = ("--port", str(port), "--v311-port", str(free_port()))
    arguments = (*ports, "--websocket-port", str(free_port()))
    broker = Command(tmp_path, "mqtt", *arguments)
    commands.append(broker)
    assert broker.line("MQTT 5: ").startswith(f"MQTT 5: 127.0.0.1:{port}, MQTT 3.1.1: 127.0.0.1:")
    assert accepts_connections(port)
    broker.signal(number)
    assert broker.end()[0] == code
    assert not accepts_connections(port)
    broker.assert_all_gone()


def test_kafka_alone_keeps_its_data_in_the_directory(
    tmp_path: Path, commands: list[Command]
) -> None:
    port = free_port()
    broker = Command(tmp_path, "kafka", "--port", str(port), "--directory", "here")
    commands.append(broker)
    assert broker.line("Kafka: ") == f"Kafka: 127.0.0.1:{port}"
    broker.signal(signal.SIGHUP)
    assert broker.end()[0] == 129
    assert (tmp_path / "here" / "kafka" / "data" / "meta.properties").exists()
    broker.assert_all_gone()
