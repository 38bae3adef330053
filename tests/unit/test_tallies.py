from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from runtime.tallies import Durations, Tally

BUCKETS = (0.001, 0.5, 1, 2.5)
SECONDS = st.one_of(st.sampled_from(BUCKETS), st.floats(0, 4))


@given(st.lists(st.tuples(st.sampled_from(["in", "out"]), st.sampled_from(['A"\\', "B"]))))
def test_tally_is_shown_as_a_counter_of_the_library_is(events: list[tuple[str, str]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tally = Tally("frames", "Frames", ["direction", "action"], ours)
    counter = Counter("frames", "Frames", ["direction", "action"], registry=theirs)
    for labels in events:
        tally.counts[labels] += 1
        counter.labels(*labels).inc()
    assert _lines(ours) == _lines(theirs)


@given(st.lists(st.tuples(SECONDS, st.sampled_from(["A", "B"]))))
def test_durations_are_shown_as_a_histogram_of_the_library_is(
    events: list[tuple[float, str]],
) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    durations = Durations("wait", "Waits", BUCKETS, ["action"], ours)
    histogram = Histogram("wait", "Waits", ["action"], buckets=BUCKETS, registry=theirs)
    for seconds, action in events:
        durations.observe(seconds, action)
        histogram.labels(action).observe(seconds)
    assert _lines(ours) == _lines(theirs)


def test_durations_without_labels_are_shown_before_there_are_any() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    Durations("wait", "Waits", BUCKETS, registry=ours)
    Histogram("wait", "Waits", buckets=BUCKETS, registry=theirs)
    assert "wait_count 0.0" in _lines(ours)
    assert _lines(ours) == _lines(theirs)


def _lines(registry: CollectorRegistry) -> list[str]:
    # Ours don't say since when they count.
    text = generate_latest(registry).decode()
    return [line for line in text.splitlines() if "_created" not in line]
