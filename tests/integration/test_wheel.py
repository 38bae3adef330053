"""The built wheel in an empty environment: what users install, started as they start it."""

import os
import subprocess
import sys
import tomllib
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from zipfile import ZipFile

import pytest

from devstack.kafka import KafkaBroker
from schemas.topics import TopicNames, specs

# Two installations with all their dependencies.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

ROOT: Final = Path(__file__).parents[2]
SCRIPTS: Final[dict[str, str]] = tomllib.loads(
    ROOT.joinpath("pyproject.toml").read_text(encoding="utf-8")
)["project"]["scripts"]
# The local stack is an extra, with brokers of its own; the page knows MQTT alone.
SERVICE_SCRIPTS: Final = sorted(SCRIPTS.keys() - {"chargelog-devstack", "chargelog-page"})


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    # No variable of this process but PATH and HOME, no source tree in the working directory.
    inherited: Mapping[str, str] = {name: os.environ[name] for name in ("PATH", "HOME")}
    return subprocess.run(  # noqa: S603 - commands of this test
        [str(part) for part in command],
        cwd=cwd,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    # By way of the source distribution, so that no leftover of an earlier build gets in.
    built = run(sys.executable, "-m", "build", "--outdir", out, ROOT, cwd=out)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the console scripts in an environment with nothing but the wheel."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=True)
    install(home / "bin", str(wheel))
    return home / "bin"


def install(scripts: Path, requirement: str) -> None:
    pinned = ("-c", ROOT / "constraints.txt")
    done = run(scripts / "python", "-m", "pip", "install", "-q", *pinned, requirement, cwd=scripts)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_holds_the_schemas_and_nothing_of_the_tests(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
    committed = {path.name for path in (ROOT / "schemas" / "avro").glob("*.avsc")}
    assert "ocpp_frame.avsc" in committed
    assert {f"schemas/avro/{name}" for name in committed} <= names
    described = {path.name for path in (ROOT / "schemas" / "json").iterdir()}
    assert {f"schemas/json/{name}" for name in described} <= names
    packages = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert packages == {
        "schemas", "runtime", "ingress", "processor", "egress", "page", "devstack",
    }  # fmt: skip
    static = {path.name for path in (ROOT / "page" / "static").iterdir()}
    assert {f"page/static/{name}" for name in static} <= names


def test_every_dependency_is_pinned_by_the_constraints(scripts: Path) -> None:
    frozen = run(scripts / "python", "-m", "pip", "freeze", cwd=scripts).stdout.splitlines()
    pins = ROOT.joinpath("constraints.txt").read_text(encoding="utf-8").splitlines()

    def normal(line: str) -> str:
        return line.lower().replace("_", "-")

    installed = {normal(line) for line in frozen if not line.startswith("chargelog")}
    assert installed <= {normal(line) for line in pins}
    assert len(installed) > 20


@pytest.mark.parametrize("script", SERVICE_SCRIPTS)
def test_help_lists_the_settings(scripts: Path, script: str, tmp_path: Path) -> None:
    shown = run(scripts / script, "--help", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert f"usage: {script}" in shown.stdout
    assert "KAFKA_BOOTSTRAP_SERVERS" in shown.stdout
    assert "[localhost:9092]" in shown.stdout


@pytest.mark.parametrize("script", SERVICE_SCRIPTS)
def test_a_wrong_setting_is_one_line_that_names_it(
    scripts: Path, script: str, tmp_path: Path
) -> None:
    refused = run(scripts / script, cwd=tmp_path, PARTITIONS="many")
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert line.startswith(f"{script}: PARTITIONS='many' is not valid; expected a valid integer")


def test_the_page_needs_its_extra_only_to_fetch_mqtt_js(scripts: Path, tmp_path: Path) -> None:
    shown = run(scripts / "chargelog-page", "--help", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "PAGE_MQTT_URL" in shown.stdout
    empty = {"XDG_CACHE_HOME": str(tmp_path)}
    refused = run(scripts / "chargelog-page", cwd=tmp_path, **empty)
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert line.endswith("install chargelog with its extra: pip install 'chargelog[page]'")


def test_topics_are_created_then_found(
    scripts: Path, kafka: KafkaBroker, topic_prefix: str, tmp_path: Path
) -> None:
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "TOPIC_PREFIX": topic_prefix,
        "PARTITIONS": "2",
    }
    expected = [(spec.name, spec.partitions) for spec in specs(TopicNames(topic_prefix), 2)]
    for state in ("created", "ok"):
        done = run(scripts / "chargelog-topics", cwd=tmp_path, **environment)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == [
            f"{state:<8} {name} ({partitions} partitions)" for name, partitions in expected
        ]


def test_the_local_stack_is_an_extra(scripts: Path, wheel: Path, tmp_path: Path) -> None:
    install(scripts, f"{wheel}[devstack]")
    shown = run(scripts / "chargelog-devstack", "--help", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "usage: chargelog-devstack" in shown.stdout
