"""Quix Streams, exactly-once, as its documentation shows it: a dataframe with state.

Runs in an environment of its own (bench/contenders/quix.txt): its `avro` and the conformance tests'
`avro-python3` install the same module.
"""

import os
from typing import Any, Final

from quixstreams import Application
from quixstreams.models.serializers import Deserializer, Serializer
from quixstreams.state import State

from bench.contenders.job import EVENTS, FRAMES, GROUP, NAMES, SERVERS, TARIFFS
from processor.reducer import reduce
from processor.state import Row, decode_row, encode_row
from schemas.events import BusinessEvent
from schemas.frames import OcppFrame
from schemas.headers import Headers, event_headers

_COMMIT_EVERY: Final = 10_000
"""Frames in a transaction, over all partitions."""


class FrameDeserializer(Deserializer):  # type: ignore[misc]  # not in this environment
    """Avro → OcppFrame."""

    def __call__(self, value: bytes, ctx: object) -> OcppFrame:  # noqa: ARG002 - the interface
        """The frame."""
        return FRAMES.decode(value)


class EventSerializer(Serializer):  # type: ignore[misc]  # as above
    """BusinessEvent → Avro."""

    def __call__(self, value: BusinessEvent, ctx: object) -> bytes:  # noqa: ARG002 - the interface
        """The event's bytes."""
        return EVENTS.encode(value)


class StateRows:
    """The reducer's rows in Quix's state of one charge point."""

    def __init__(self, state: State) -> None:
        self._state = state

    def get(self, key: str) -> Row | None:
        """The row, or None if there is none yet."""
        value = self._state.get_bytes(key)
        return None if value is None else decode_row(value, key)

    def set(self, key: str, row: Row) -> None:
        """Put the row in place of the old one."""
        self._state.set_bytes(key, encode_row(row))


def frame_to_events(frame: OcppFrame, state: State) -> list[BusinessEvent]:
    """The processor's reducer."""
    return reduce(frame, StateRows(state), TARIFFS)


def with_headers(event: BusinessEvent, *_: Any) -> Headers:  # noqa: ANN401 - key, time, headers
    """The event's CloudEvents headers."""
    return event_headers(event)


def main() -> None:
    """Run until it is killed."""
    app = Application(
        broker_address=SERVERS,
        consumer_group=GROUP,
        processing_guarantee="exactly-once",
        auto_offset_reset="earliest",
        commit_every=_COMMIT_EVERY,
        state_dir=os.environ["BENCH_STATE_DIR"],
        loglevel="WARNING",
    )
    frames = app.topic(NAMES.frames, value_deserializer=FrameDeserializer())
    events = app.topic(NAMES.events, value_serializer=EventSerializer())
    dataframe = app.dataframe(frames).apply(frame_to_events, stateful=True, expand=True)
    dataframe.set_headers(with_headers).to_topic(events)
    app.run()


if __name__ == "__main__":
    main()
