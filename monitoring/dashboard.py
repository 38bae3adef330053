"""The Grafana dashboard, written from a table of panels: `make contracts` makes the JSON anew.

By hand a dashboard is two thousand lines of layout; here a panel is its title, unit and queries.
"""

from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

FILE: Final = Path(__file__).with_name("grafana") / "dashboards" / "chargelog.json"

_SOURCE: Final = {"type": "prometheus", "uid": "prometheus"}
_COLUMNS: Final = 24
_WIDTH: Final = 8
_HEIGHT: Final = 7
_STAT_WIDTH: Final = 4
_STAT_HEIGHT: Final = 4
_RATE: Final = "$__rate_interval"


class Panel(NamedTuple):
    """One panel.

    Attributes:
        title: What it shows.
        queries: Legend → PromQL.
        unit: Grafana's unit id.
        stat: One figure instead of a curve.
        description: What it means where the title does not say.
    """

    title: str
    queries: dict[str, str]
    unit: str = "short"
    stat: bool = False
    description: str = ""


class Row(NamedTuple):
    """A headed group of panels."""

    title: str
    panels: tuple[Panel, ...]


def rate(metric: str, by: str = "") -> str:
    """A counter's rate per second, summed, by a label where one is given."""
    grouping = f" by ({by})" if by else ""
    return f"sum{grouping} (rate({metric}[{_RATE}]))"


def quantiles(histogram: str) -> dict[str, str]:
    """The median and the 99th percentile of a histogram."""
    buckets = f"sum by (le) (rate({histogram}_bucket[{_RATE}]))"
    return {
        "p50": f"histogram_quantile(0.5, {buckets})",
        "p99": f"histogram_quantile(0.99, {buckets})",
    }


ROWS: Final = (
    Row(
        "Overview",
        (
            Panel("Services up", {"": 'sum(up{job=~"ingress|processor|egress"})'}, stat=True),
            Panel("Charge points connected", {"": "sum(ingress_connections)"}, stat=True),
            Panel("Frames per second", {"": rate("ingress_frames_total")}, stat=True),
            Panel(
                "Business events per second",
                {"": rate("chargelog_processor_events_total")},
                stat=True,
            ),
            Panel(
                "MQTT messages per second",
                {"": rate("chargelog_egress_published_total")},
                stat=True,
            ),
            Panel(
                "Records behind",
                {"": "sum(chargelog_processor_lag) + sum(chargelog_egress_lag)"},
                stat=True,
                description="Frames the processor has not reduced yet, and records the egress has "
                "not published yet.",
            ),
        ),
    ),
    Row(
        "Ingress: charge points to ocpp.frames",
        (
            Panel(
                "Connections by version",
                {"{{protocol}}": "sum by (protocol) (ingress_connections)"},
            ),
            Panel(
                "Frames by direction",
                {"{{direction}}": rate("ingress_frames_total", "direction")},
                "cps",
            ),
            Panel(
                "Frames by action",
                {"{{action}}": f"topk(10, {rate('ingress_frames_total', 'action')})"},
                "cps",
            ),
            Panel("Time to answer a CALL", quantiles("ingress_answer_seconds"), "s"),
            Panel(
                "Time until Kafka confirms",
                quantiles("ingress_append_seconds"),
                "s",
                description="No frame is answered before that.",
            ),
            Panel(
                "Commands by outcome",
                {"{{outcome}}": rate("ingress_commands_total", "outcome")},
                "cps",
            ),
            Panel(
                "Violations by code", {"{{code}}": rate("ingress_violations_total", "code")}, "cps"
            ),
            Panel(
                "Errors sent, by code",
                {"{{code}}": rate("ingress_call_errors_total", "code")},
                "cps",
            ),
            Panel(
                "Refused, replaced, throttled",
                {
                    "refused: {{reason}}": rate("ingress_connections_refused_total", "reason"),
                    "replaced": rate("ingress_connections_replaced_total"),
                    "throttled": rate("ingress_throttled_total"),
                },
                "cps",
            ),
            Panel(
                "Not durable",
                {
                    "not confirmed: {{topic}}": rate(
                        "ingress_records_not_confirmed_total", "topic"
                    ),
                    "answered InternalError": rate("ingress_unavailable_answers_total"),
                },
                "cps",
                description="Anything but 0: Kafka is not there or too slow.",
            ),
        ),
    ),
    Row(
        "Processor: ocpp.frames to csms.events",
        (
            Panel("Frames reduced", {"frames": rate("chargelog_processor_frames_total")}, "cps"),
            Panel(
                "Events by type",
                {"{{type}}": rate("chargelog_processor_events_total", "type")},
                "cps",
            ),
            Panel(
                "Frames behind",
                {"partition {{partition}}": "sum by (partition) (chargelog_processor_lag)"},
            ),
            Panel(
                "Chunk, from read to durable", quantiles("chargelog_processor_chunk_seconds"), "s"
            ),
            Panel(
                "Of that, the transaction",
                quantiles("chargelog_processor_transaction_seconds"),
                "s",
            ),
            Panel(
                "Dead letters", {"frames": rate("chargelog_processor_dead_letters_total")}, "cps"
            ),
            Panel(
                "Rows in memory", {"{{instance}}": "sum by (instance) (chargelog_processor_rows)"}
            ),
            Panel(
                "Partitions held",
                {"{{instance}}": "sum by (instance) (chargelog_processor_partitions)"},
            ),
            Panel(
                "Last take-over",
                {"{{instance}}": "max by (instance) (chargelog_processor_recovery_seconds)"},
                "s",
                description="How long restoring the rows of newly assigned partitions took.",
            ),
        ),
    ),
    Row(
        "Egress: Kafka to MQTT",
        (
            Panel(
                "Published by stream",
                {"{{stream}}": rate("chargelog_egress_published_total", "stream")},
                "cps",
            ),
            Panel(
                "Published by type",
                {"{{type}}": rate("chargelog_egress_published_total", "type")},
                "cps",
            ),
            Panel("Records behind", {"{{topic}}": "sum by (topic) (chargelog_egress_lag)"}),
            Panel("In flight", {"{{instance}}": "sum by (instance) (chargelog_egress_in_flight)"}),
            Panel(
                "Connected to MQTT",
                {"{{instance}}": "sum by (instance) (chargelog_egress_mqtt_connected)"},
            ),
            Panel(
                "Connections lost, messages repeated",
                {
                    "connections lost": rate("chargelog_egress_mqtt_connections_lost_total"),
                    "repeated": rate("chargelog_egress_resent_total"),
                },
                "cps",
            ),
            Panel(
                "Refused by the MQTT broker",
                {"{{reason}}": rate("chargelog_egress_refused_total", "reason")},
                "cps",
            ),
            Panel(
                "Dead letters",
                {"{{topic}}": rate("chargelog_egress_dead_letters_total", "topic")},
                "cps",
            ),
        ),
    ),
    Row(
        "Processes",
        (
            Panel(
                "Memory",
                {"{{job}} {{instance}}": "sum by (job, instance) (process_resident_memory_bytes)"},
                "bytes",
            ),
            Panel(
                "CPU",
                {"{{job}} {{instance}}": rate("process_cpu_seconds_total", "job, instance")},
                "percentunit",
            ),
            Panel(
                "Open files", {"{{job}} {{instance}}": "sum by (job, instance) (process_open_fds)"}
            ),
        ),
    ),
)


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row in ROWS:
        place = {"x": 0, "y": y, "w": _COLUMNS, "h": 1}
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": row.title,
                "gridPos": place,
                "panels": [],
            }
        )
        y += 1
        x = height = 0
        for panel in row.panels:
            width, height = (_STAT_WIDTH, _STAT_HEIGHT) if panel.stat else (_WIDTH, _HEIGHT)
            if x + width > _COLUMNS:
                x, y = 0, y + height
            place = {"x": x, "y": y, "w": width, "h": height}
            panels.append(_panel(len(panels) + 1, panel, place))
            x += width
        y += height
    return {
        "uid": "chargelog",
        "title": "Chargelog",
        "tags": ["chargelog"],
        "editable": False,
        "refresh": "10s",
        "schemaVersion": 39,
        "time": {"from": "now-30m", "to": "now"},
        "timezone": "browser",
        "templating": {"list": []},
        "panels": panels,
    }


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + i), "datasource": _SOURCE, "expr": query, "legendFormat": legend}
        for i, (legend, query) in enumerate(panel.queries.items())
    ]
    return {
        "id": number,
        "type": "stat" if panel.stat else "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {} if panel.stat else {"tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": targets,
    }


def text() -> str:
    """What the file must hold."""
    return orjson.dumps(
        dashboard(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    ).decode()


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
