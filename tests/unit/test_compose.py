"""docker-compose.yml and the Dockerfile against what the code really reads and needs."""

import importlib
import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from devstack.kafka_jars import KAFKA_VERSION
from page.settings import PageSettings
from runtime.settings import KafkaSettings

ROOT: Final = Path(__file__).parents[2]
COMPOSE: Final[dict[str, Any]] = yaml.safe_load(
    ROOT.joinpath("docker-compose.yml").read_text(encoding="utf-8")
)
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]
PROJECT: Final[dict[str, Any]] = tomllib.loads(
    ROOT.joinpath("pyproject.toml").read_text(encoding="utf-8")
)
OWN: Final = ("ingress", "processor", "egress")


def settings_class(service: str) -> type[KafkaSettings]:
    module = importlib.import_module(f"{service}.settings")
    (found,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, KafkaSettings)
        and value.__module__ == module.__name__
    )
    return found


def settings_of(service: str, monkeypatch: pytest.MonkeyPatch) -> KafkaSettings:
    """The settings as the container would load them: a wrong name or value fails here."""
    for name, value in SERVICES[service]["environment"].items():
        monkeypatch.setenv(name, value)
    return settings_class(service)(_env_file=None)


def test_the_services_are_brokers_and_ours() -> None:
    assert set(SERVICES) == {"kafka", "mosquitto", "prometheus", "grafana", "page", *OWN}
    for service in (*OWN, "page"):
        assert SERVICES[service]["build"] == "."
        assert SERVICES[service]["image"] == f"chargelog:{PROJECT['project']['version']}"


@pytest.mark.parametrize("service", [*OWN, "page"])
def test_the_command_is_a_console_script(service: str) -> None:
    assert SERVICES[service]["command"] == [f"chargelog-{service}"]
    assert f"chargelog-{service}" in PROJECT["project"]["scripts"]


@pytest.mark.parametrize("service", OWN)
def test_every_variable_is_a_setting_with_a_valid_value(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(service, monkeypatch)
    variables = SERVICES[service]["environment"]
    fields = {name.upper() for name in type(settings).model_fields}
    assert variables.keys() <= fields
    assert all(isinstance(value, str) for value in variables.values())
    assert settings.kafka_bootstrap_servers == "kafka:9092"


def test_the_services_agree_on_the_partition_count(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len({settings_of(service, monkeypatch).partitions for service in OWN}) == 1


@pytest.mark.parametrize("service", OWN)
def test_health_is_asked_where_the_service_answers(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(service, monkeypatch)
    # The processor's is Faust's own web, which serves the state of the charge points, too.
    port = getattr(settings, f"{service}_{'web' if service == 'processor' else 'ops'}_port")
    assert f"http://127.0.0.1:{port}/readyz" in SERVICES[service]["healthcheck"]["test"][-1]


def test_ingress_listens_where_its_port_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of("ingress", monkeypatch)
    port = settings.model_dump()["ingress_port"]
    assert settings.model_dump()["ingress_host"] == "0.0.0.0"  # noqa: S104 - inside its container
    assert SERVICES["ingress"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f"EXPOSE {port}\n" in ROOT.joinpath("Dockerfile").read_text(encoding="utf-8")


def test_egress_meets_mosquitto_where_it_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of("egress", monkeypatch).model_dump()
    assert settings["mqtt_host"] in SERVICES
    assert f"listener {settings['mqtt_port']}\n" in COMPOSE["configs"]["mosquitto"]["content"]


def test_the_page_is_where_its_port_is_and_reads_mosquittos_websockets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    variables = SERVICES["page"]["environment"]
    assert variables.keys() <= {name.upper() for name in PageSettings.model_fields}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = PageSettings(_env_file=None)
    assert settings.page_host == "0.0.0.0"  # noqa: S104 - inside its container
    port = settings.page_port
    assert SERVICES["page"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f"http://127.0.0.1:{port}/readyz" in SERVICES["page"]["healthcheck"]["test"][-1]
    assert set(SERVICES["page"]["depends_on"]) == {"mosquitto"}
    _, host, listener = settings.page_mqtt_url.split(":")
    assert host == "//localhost"
    assert f"127.0.0.1:{listener}:{listener}" in SERVICES["mosquitto"]["ports"]
    websockets = f"listener {listener}\nprotocol websockets\n"
    assert websockets in COMPOSE["configs"]["mosquitto"]["content"]


def test_processors_can_be_scaled() -> None:
    assert not {"ports", "container_name", "hostname"} & SERVICES["processor"].keys()


def test_every_service_has_a_health_check_and_waits_for_its_brokers() -> None:
    for name, service in SERVICES.items():
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert service["restart"] == "unless-stopped", name
    for name in OWN:
        needed = {"kafka", "mosquitto"} if name == "egress" else {"kafka"}
        conditions = {
            broker: wait["condition"] for broker, wait in SERVICES[name]["depends_on"].items()
        }
        assert conditions == dict.fromkeys(needed, "service_healthy")


def test_what_is_to_be_kept_is_in_named_volumes() -> None:
    sources = [
        volume.partition(":")[0] for s in SERVICES.values() for volume in s.get("volumes", [])
    ]
    named = sorted(source for source in sources if not source.startswith("./"))
    assert named == sorted(COMPOSE["volumes"])
    assert named == ["kafka-data", "mosquitto-data", "prometheus-data"]
    assert SERVICES["kafka"]["environment"]["KAFKA_LOG_DIRS"] == "/var/lib/kafka/data"


def test_kafka_is_the_version_that_the_tests_run() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"
    listeners = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert "INTERNAL://kafka:9092" in listeners.split(",")


def test_no_port_is_open_beyond_this_machine() -> None:
    for service in SERVICES.values():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")


def test_every_package_within_a_package_is_installed() -> None:
    named = PROJECT["tool"]["setuptools"]["packages"]
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for package in named
        for path in ROOT.joinpath(package.partition(".")[0]).rglob("__init__.py")
    }
    assert found == set(named)


def test_the_image_holds_every_package_and_runs_without_root() -> None:
    dockerfile = ROOT.joinpath("Dockerfile").read_text(encoding="utf-8")
    named = PROJECT["tool"]["setuptools"]["packages"]
    packages = [package for package in named if "." not in package]  # the others lie within
    assert re.findall(r"^COPY (\w+) \1$", dockerfile, re.MULTILINE) == packages
    assert re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE) == ["python:3.11-slim"] * 2
    assert re.search(r"^USER (?!0\b|root\b)\S+$", dockerfile.rpartition("FROM")[2], re.MULTILINE)
    allowed = ROOT.joinpath(".dockerignore").read_text(encoding="utf-8").splitlines()
    sources = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
    for source in " ".join(sources).split():
        assert f"!{source}" in allowed
        assert ROOT.joinpath(source).exists()
