"""Every query of the dashboard and of the alerts, asked of a real Prometheus that scrapes us."""

import asyncio
import http.client
import json
import shutil
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import pytest
import yaml
from confluent_kafka import Producer
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from devstack.process import LocalProcess, free_port
from devstack.simulator import CompressedClock, operate, plan
from devstack.stack import Stack
from monitoring.dashboard import dashboard

pytestmark = [pytest.mark.integration, pytest.mark.prometheus, pytest.mark.timeout(300)]

MONITORING: Final = Path(__file__).parents[2] / "monitoring"
RARE: Final = {
    "ingress_commands_total": "no command was given",
    "chargelog_egress_refused_total": "the MQTT broker took everything",
    "ingress_records_not_confirmed_total": "Kafka was there all the time",
}
"""Labelled counters that the traffic of this test does not touch, so that they have no series."""


class Prometheus(LocalProcess):
    """Debian's Prometheus with the repository's configuration, its targets on this machine."""

    def __init__(self, directory: Path, targets: dict[str, int]) -> None:
        super().__init__("Prometheus", directory)
        self.port = free_port()
        self._targets = targets

    def prepare(self) -> None:
        config = yaml.safe_load((MONITORING / "prometheus.yml").read_text("utf-8"))
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(MONITORING / "alerts.yml")]
        for job in config["scrape_configs"]:
            job.pop("dns_sd_configs", None)
            port = self._targets[job["job_name"]]
            job["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]
        (self.directory / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")

    def command(self) -> Sequence[str]:
        program = shutil.which("prometheus")
        assert program is not None, "on Debian: apt install prometheus"
        return (
            program,
            f"--config.file={self.directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        )

    def is_ready(self) -> bool:
        try:
            return self._get("/-/ready")[0] == http.HTTPStatus.OK
        except OSError:
            return False

    def ask(self, query: str) -> list[Any]:
        """The result of an instant query."""
        parameters = urlencode({"query": query.replace("$__rate_interval", "30s")})
        status, body = self._get(f"/api/v1/query?{parameters}")
        assert status == http.HTTPStatus.OK, (query, body)
        result: list[Any] = json.loads(body)["data"]["result"]
        return result

    def rules(self) -> list[dict[str, Any]]:
        """The alerting rules, with their health."""
        groups = json.loads(self._get("/api/v1/rules")[1])["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


async def traffic(stack: Stack) -> None:
    """A session, and what goes wrong at times: all that counts something."""
    clock = CompressedClock(datetime.now(UTC) - timedelta(hours=1), 6000)
    await operate(stack.ingress_url, "watched", plan(1, "watched"), clock)
    protocols = [Subprotocol("ocpp1.6")]
    async with connect(f"{stack.ingress_url}/watched", subprotocols=protocols) as websocket:
        await websocket.send('[2,"1","NoSuchAction",{}]')
        assert json.loads(await asyncio.wait_for(websocket.recv(), 30))[0] == 4
    with pytest.raises(InvalidStatus):
        await connect(f"{stack.ingress_url}/{'x' * 1000}", subprotocols=protocols)
    producer = Producer({"bootstrap.servers": stack.kafka.bootstrap_servers})
    producer.produce(stack.topics.frames, key=b"watched", value=b"poison")
    assert producer.flush(30) == 0


def series(query: str) -> set[str]:
    return {name for name in RARE if name in query}


async def test_every_query_has_an_answer(stack: Stack, tmp_path: Path) -> None:
    ports = stack.ports
    targets = {
        "ingress": ports.ingress_ops,
        "processor": ports.processor_web,
        "egress": ports.egress_ops,
    }
    panels = [panel for panel in dashboard()["panels"] if panel["type"] != "row"]
    pending = {target["expr"] for panel in panels for target in panel["targets"]}
    total = len(pending)
    assert total > 40
    with Prometheus(tmp_path, targets) as prometheus:
        async with asyncio.timeout(120):
            await traffic(stack)
            # A connection stays, so that there is one to be counted.
            protocols = [Subprotocol("ocpp1.6")]
            async with connect(f"{stack.ingress_url}/watched", subprotocols=protocols):
                while any(not series(query) for query in pending):
                    await asyncio.sleep(0.5)
                    pending = {query for query in pending if not prometheus.ask(query)}
            assert all(series(query) for query in pending)
            up = prometheus.ask('sum(up{job=~"ingress|processor|egress"})')
            assert up[0]["value"][1] == "3"
            while any(rule["health"] != "ok" for rule in prometheus.rules()):  # noqa: ASYNC110 - it evaluates them once a second
                await asyncio.sleep(0.5)
        firing = {rule["name"] for rule in prometheus.rules() if rule["state"] == "firing"}
        # The poison above; nothing else is wrong.
        assert firing <= {"DeadLetters"}


def test_the_files_pass_promtool(tmp_path: Path) -> None:
    for check in (("config", "prometheus.yml"), ("rules", "alerts.yml")):
        done = subprocess.run(  # noqa: S603 - Debian's program
            ["promtool", "check", check[0], MONITORING / check[1]],  # noqa: S607 - on the PATH
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stdout + done.stderr
