"""Faust as its documentation shows it: `async for`, a table, `await send`."""

from typing import Any

import faust

from bench.contenders.job import EVENTS, FRAMES, GROUP, NAMES, PARTITIONS, SERVERS, TARIFFS
from processor.reducer import reduce
from processor.state import Row, decode_row, encode_row
from schemas.headers import event_headers
from schemas.topics import CONNECTORS_TABLE

app = faust.App(
    GROUP,
    broker=f"aiokafka://{SERVERS}",
    store="memory://",
    consumer_auto_offset_reset="earliest",
    topic_partitions=PARTITIONS,
    # The benchmark made the topics, and it reads progress from the committed offsets.
    topic_allow_declare=False,
    topic_disable_leader=True,
    broker_commit_interval=0.5,
    web_enabled=False,
)
frames = app.topic(NAMES.frames, value_type=bytes, value_serializer="raw")
events = app.topic(
    NAMES.events, key_type=str, key_serializer="raw", value_type=bytes, value_serializer="raw"
)
connectors = app.Table(
    CONNECTORS_TABLE,
    partitions=PARTITIONS,
    key_type=bytes,
    value_type=bytes,
)


class TableRows:
    """The reducer's rows in the table."""

    def get(self, key: str) -> Row | None:
        """The row, or None if there is none yet."""
        value = connectors.get(key.encode())
        return None if value is None else decode_row(value, key)

    def set(self, key: str, row: Row) -> None:
        """Put the row in place of the old one."""
        connectors[key.encode()] = encode_row(row)


rows = TableRows()


@app.agent(frames)
async def frames_to_events(stream: Any) -> None:  # noqa: ANN401 - Faust ships no types
    """One frame after the other."""
    async for value in stream:
        for event in reduce(FRAMES.decode(value), rows, TARIFFS):
            await events.send(
                key=event.client_id, value=EVENTS.encode(event), headers=event_headers(event)
            )


if __name__ == "__main__":
    app.main()
