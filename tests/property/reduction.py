"""Runs of the reducer over frames in order, for the properties that hold of every such run."""

import msgspec
from frames16 import START_NS
from hypothesis import strategies as st

from processor.reducer import IndigestibleFrameError, reduce
from processor.state import MemoryRows, decode_row, encode_row
from processor.tariff import Tariffs
from schemas.events import BusinessEvent
from schemas.frames import OcppFrame

TARIFFS = Tariffs.parse(
    '[[tariff]]\ncurrency="EUR"\nenergy_rate=0.3\ntime_rate=0.01\nsession_fee=0.5\nconnectors=[1]\n'
    '[[tariff]]\ncurrency="JPY"\nenergy_rate=31.5'
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
MESSAGE_IDS = st.sampled_from(["a", "b"])


def steps(count: int) -> st.SearchStrategy[list[int]]:
    """Nanoseconds between frames."""
    return st.lists(st.integers(-3, 3), min_size=count, max_size=count)


def timed(frames: list[OcppFrame], distances: list[int]) -> list[OcppFrame]:
    """The frames, so far apart."""
    at = START_NS
    moved = []
    for new, step in zip(frames, distances, strict=True):
        at += step
        moved.append(msgspec.structs.replace(new, received_at_ns=at))
    return moved


@st.composite
def at_times(draw: st.DrawFn, frames: st.SearchStrategy[list[OcppFrame]]) -> list[OcppFrame]:
    """The frames, some nanoseconds apart, back and forth."""
    some = draw(frames)
    return timed(some, draw(steps(len(some))))


def run(frames: list[OcppFrame], rows: MemoryRows) -> list[BusinessEvent]:
    """Their events; a frame that is refused leaves the rows as they were."""
    events = []
    for new in frames:
        before = dict(rows.rows)
        try:
            events += reduce(new, rows, TARIFFS)
        except IndigestibleFrameError:
            assert rows.rows == before
    return events


def restored(rows: MemoryRows) -> MemoryRows:
    """The rows as they come back from where they are stored."""
    return MemoryRows({key: decode_row(encode_row(row), key) for key, row in rows.rows.items()})
