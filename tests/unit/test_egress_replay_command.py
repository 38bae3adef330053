"""The command line of `chargelog-egress --replay`, before it touches a broker."""

import pytest

from egress.__main__ import main
from egress.settings import EgressSettings


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in EgressSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--prefix"),
        (("--prefix", "a/#"), "'a/#' is no MQTT topic name"),
        (("--prefix", "/"), "is no MQTT topic name"),
        (("--prefix", "p", "--from", "yesterday"), "no date-time: 'yesterday'"),
        (("--prefix", "p", "--offset", "frames"), "ocpp.frames:0:1200"),
        (("--prefix", "p", "--pace", "-1"), "no number above 0"),
        (("--prefix", "p", "--pace", "fast"), "no number above 0"),
    ],
)
def test_what_makes_no_sense_is_refused_in_clear_words(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--replay", *arguments])
    assert exit_.value.code == 2
    assert words in capsys.readouterr().err


def test_the_live_prefix_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MQTT_TOPIC_PREFIX", "live")
    assert main(["--replay", "--prefix", "live/"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "MQTT_TOPIC_PREFIX" in line


def test_help_lists_options_and_settings(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--replay", "--help"])
    assert exit_.value.code == 0
    shown = capsys.readouterr().out
    assert "--pace" in shown
    assert "MQTT_HOST" in shown
