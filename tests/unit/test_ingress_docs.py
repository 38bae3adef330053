"""The pages about the ingress against its code and tests."""

import re
from pathlib import Path
from typing import Final

from prometheus_client.metrics import MetricWrapperBase

from ingress import metrics
from ingress.protocol.versions import action_label
from ingress.settings import IngressSettings

ROOT: Final = Path(__file__).parents[2]


def page(name: str) -> str:
    return ROOT.joinpath("docs", name).read_text(encoding="utf-8")


def test_every_rule_of_the_conformance_page_names_a_test_that_exists() -> None:
    rows = [line for line in page("ocppj-conformance.md").splitlines() if line.startswith("| ")]
    tests = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("tests/*/test_*.py"))
    for row in rows[1:]:
        named = re.findall(r"`(test_\w+)`", row)
        assert named, row
        for name in named:
            assert f"def {name}(" in tests, name


def test_every_metric_is_on_the_page() -> None:
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            for described in metric.describe():
                assert f"`{described.name}" in page("ingress.md"), described.name


def test_the_page_names_no_setting_that_does_not_exist() -> None:
    named = set(re.findall(r"`(INGRESS_[A-Z_]+)", page("ingress.md")))
    assert named <= {name.upper() for name in IngressSettings.model_fields}


def test_a_made_up_action_makes_no_time_series_of_its_own() -> None:
    assert action_label("Heartbeat") == "Heartbeat"
    assert action_label("NotifyPeriodicEventStream") == "NotifyPeriodicEventStream"
    assert action_label("RemoteStartTransaction") == "RemoteStartTransaction"
    assert action_label("Heartbeat\n") == "unknown"
    assert action_label(None) == ""
