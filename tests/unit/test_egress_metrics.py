"""docs/mqtt.md lists the metrics that the egress has, with their labels."""

import re
from pathlib import Path

from prometheus_client import Counter, Gauge

from egress import metrics

PAGE = (Path(__file__).parents[2] / "docs/mqtt.md").read_text(encoding="utf-8")


def test_metrics_of_the_page_are_those_of_the_code() -> None:
    own = {}
    for metric in vars(metrics).values():
        if isinstance(metric, Counter | Gauge):
            described = next(iter(metric.collect()))
            suffix = "_total" if isinstance(metric, Counter) else ""
            own[described.name + suffix] = ", ".join(metric._labelnames)  # noqa: SLF001 - no public way
    written = dict(re.findall(r"\| `(chargelog_egress_\w+)` \| ([a-z, ]*?) ?\|", PAGE))
    assert written == own


def test_publications_are_counted_by_stream_and_type() -> None:
    before = metrics.PUBLISHED.labels("business", "started")._value.get()  # noqa: SLF001 - as above
    metrics.published("business", "started")
    metrics.published("business", "started")
    assert metrics.PUBLISHED.labels("business", "started")._value.get() == before + 2  # noqa: SLF001
