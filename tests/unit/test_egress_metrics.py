"""docs/mqtt.md lists the metrics that the egress has, with their labels."""

import re
from pathlib import Path

from prometheus_client import Counter, Gauge

from egress import metrics
from runtime.tallies import Tally

PAGE = (Path(__file__).parents[2] / "docs/mqtt.md").read_text(encoding="utf-8")


def test_metrics_of_the_page_are_those_of_the_code() -> None:
    own = {}
    for metric in vars(metrics).values():
        if isinstance(metric, Counter | Gauge | Tally):
            described = next(iter(metric.collect()))
            suffix = "" if isinstance(metric, Gauge) else "_total"
            labels = metric.labels if isinstance(metric, Tally) else metric._labelnames  # noqa: SLF001 - no public way
            own[described.name + suffix] = ", ".join(labels)
    written = dict(re.findall(r"\| `(chargelog_egress_\w+)` \| ([a-z, ]*?) ?\|", PAGE))
    assert written == own
