"""Settings of the processor, and of Faust's where they would undo its promise."""

import pytest

from processor.app import FaustSettingError, create_app
from processor.settings import ProcessorSettings


@pytest.mark.parametrize(
    ("guarantee", "frames", "limit"),
    [("exactly_once", 7000, 7000), ("at_least_once", 7000, 30), ("at_least_once", 8, 8)],
)
def test_without_transactions_a_chunk_stays_within_what_the_reducer_remembers(
    monkeypatch: pytest.MonkeyPatch, guarantee: str, frames: int, limit: int
) -> None:
    monkeypatch.setenv("PROCESSOR_GUARANTEE", guarantee)
    monkeypatch.setenv("PROCESSOR_CHUNK_FRAMES", str(frames))
    assert ProcessorSettings(_env_file=None).chunk_frames == limit


@pytest.mark.parametrize(
    ("variable", "value", "hint"),
    [
        ("TABLE_STANDBY_REPLICAS", "1", "TABLE_STANDBY_REPLICAS=1 is not possible"),
        ("PROCESSING_GUARANTEE", "exactly_once", "set PROCESSOR_GUARANTEE=exactly_once"),
    ],
)
def test_variables_that_faust_would_read_are_refused_where_they_break_the_promise(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, hint: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(FaustSettingError, match=hint):
        create_app(ProcessorSettings(_env_file=None))
