"""The dashboard, the alerts and the scrape file against the metrics that the code declares."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson
import promql_parser
import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

import egress.metrics
import ingress.metrics
import processor.metrics
from monitoring.dashboard import FILE, dashboard, text
from runtime.tallies import Durations, Tally

ROOT: Final = Path(__file__).parents[2]
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
MONITORING: Final = ROOT / "monitoring"
# What Prometheus itself and its client library export.
GIVEN: Final = {
    "up": {"job", "instance"},
    "process_resident_memory_bytes": {"job", "instance"},
    "process_cpu_seconds_total": {"job", "instance"},
    "process_open_fds": {"job", "instance"},
}


def exported() -> dict[str, set[str]]:
    """Series → labels, of every metric that a service declares."""
    found = dict(GIVEN)
    for module in (ingress.metrics, processor.metrics, egress.metrics):
        for metric in vars(module).values():
            if isinstance(metric, MetricWrapperBase):
                kind, name = str(metric._type), metric._name  # noqa: SLF001 - there is no public name
                own: tuple[str, ...] = tuple(metric._labelnames)  # noqa: SLF001
            elif isinstance(metric, Tally | Durations):
                kind = "counter" if isinstance(metric, Tally) else "histogram"
                name, own = metric.name, metric.labels
            else:
                continue
            for suffix, extra in SUFFIXES[kind]:
                found[name + suffix] = {*own, *extra, "job", "instance"}
    held = processor.metrics.HeldCollector({}, lambda _: None)
    for family in held.collect():
        labels = set() if family.name.endswith("partitions") else {"partition"}
        found[family.name] = {*labels, "job", "instance"}
    return found


SUFFIXES: Final[dict[str, list[tuple[str, set[str]]]]] = {
    "counter": [("_total", set())],
    "gauge": [("", set())],
    "histogram": [("_bucket", {"le"}), ("_sum", set()), ("_count", set())],
}


def queries() -> list[str]:
    panels = [panel for panel in dashboard()["panels"] if panel["type"] != "row"]
    shown = [target["expr"] for panel in panels for target in panel["targets"]]
    alerts = yaml.safe_load((MONITORING / "alerts.yml").read_text("utf-8"))
    rules = [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    return [*shown, *rules]


def used(query: str) -> Iterator[tuple[str, set[str]]]:
    """Each series that a query reads, with the labels that are asked of it."""
    yield from _used(promql_parser.parse(query.replace("$__rate_interval", "1m")), set())


def _used(node: Any, labels: set[str]) -> Iterator[tuple[str, set[str]]]:  # noqa: ANN401 - its AST
    if isinstance(node, promql_parser.VectorSelector):
        yield str(node.name), labels | {matcher.name for matcher in node.matchers.matchers}
        return
    if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
        labels = labels | set(node.modifier.labels)
    for name in ("expr", "lhs", "rhs", "vector_selector", "vs", "param"):
        child = getattr(node, name, None)
        if child is not None:
            yield from _used(child, labels)
    for child in getattr(node, "args", None) or []:
        yield from _used(child, labels)


def test_the_dashboard_is_what_its_table_says() -> None:
    assert FILE.read_text(encoding="utf-8") == text(), "run: make contracts"
    assert orjson.loads(text())["uid"] == "chargelog"


@pytest.mark.parametrize("query", queries())
def test_every_query_reads_series_and_labels_that_a_service_exports(query: str) -> None:
    known = exported()
    found = list(used(query))
    assert found
    for series, labels in found:
        assert series in known
        assert labels <= known[series]


def test_a_wrong_name_or_label_would_be_noticed() -> None:
    known = exported()
    ((series, labels),) = used("sum by (colour) (rate(ingress_frames_total[1m]))")
    assert series in known
    assert labels == {"colour"}
    assert not labels <= known[series]
    ((absent, _),) = used("ingress_frames")
    assert absent not in known


def test_the_page_names_every_alert() -> None:
    page = (ROOT / "docs/monitoring.md").read_text("utf-8")
    alerts = yaml.safe_load((MONITORING / "alerts.yml").read_text("utf-8"))
    written = [rule["alert"] for group in alerts["groups"] for rule in group["rules"]]
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == written


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + dx, place["y"] + dy)
            for dx in range(place["w"])
            for dy in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_prometheus_scrapes_the_services_where_they_answer() -> None:
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text("utf-8"))
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    assert set(jobs) == {"ingress", "processor", "egress"}
    for name in ("ingress", "egress"):
        variables = COMPOSE["services"][name]["environment"]
        port = variables[f"{name.upper()}_OPS_PORT"]
        assert variables[f"{name.upper()}_OPS_HOST"] == "0.0.0.0"  # noqa: S104 - in its container
        assert jobs[name]["static_configs"] == [{"targets": [f"{name}:{port}"]}]
    (lookup,) = jobs["processor"]["dns_sd_configs"]
    port = COMPOSE["services"]["processor"]["environment"]["PROCESSOR_WEB_PORT"]
    assert (lookup["names"], str(lookup["port"])) == (["processor"], port)
    assert config["rule_files"] == ["alerts.yml"]


def test_compose_mounts_what_prometheus_and_grafana_read() -> None:
    services = COMPOSE["services"]
    for name in ("prometheus", "grafana"):
        for volume in services[name]["volumes"]:
            source = volume.split(":")[0]
            assert (ROOT / source).exists() or source in COMPOSE["volumes"]
    grafana = dict(reversed(volume.split(":")[:2]) for volume in services["grafana"]["volumes"])
    provisioning = MONITORING / "grafana" / "provisioning"
    assert (ROOT / grafana["/etc/grafana/provisioning"]).resolve() == provisioning
    provider = yaml.safe_load((provisioning / "dashboards/chargelog.yml").read_text("utf-8"))
    (where,) = (each["options"]["path"] for each in provider["providers"])
    assert (ROOT / grafana[where]).resolve() == FILE.parent
    source = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text("utf-8"))
    (only,) = source["datasources"]
    assert only["url"] == "http://prometheus:9090"
    assert {
        target["datasource"]["uid"]
        for panel in dashboard()["panels"]
        for target in panel.get("targets", [])
    } == {only["uid"]}
