"""Lanes: where a charge point belongs. A lane is to a replay what a partition is to Kafka."""

from typing import Final

from aiokafka.partitioner import murmur2

_POSITIVE: Final = 0x7FFF_FFFF


def lane_of(client_id: str, lanes: int) -> int:
    """The lane, which is the partition that every producer of Chargelog's topics chooses.

    So a replay of a file has its events where a replay of the topic it was exported from has them.
    """
    return int(murmur2(client_id.encode()) & _POSITIVE) % lanes


class LaneOf(dict[str, int]):
    """`lane_of`, remembered for each charge point."""

    def __init__(self, lanes: int) -> None:
        super().__init__()
        self._lanes = lanes

    def __missing__(self, client_id: str) -> int:
        lane = self[client_id] = lane_of(client_id, self._lanes)
        return lane


def shares(lanes: int, processes: int) -> list[tuple[int, ...]]:
    """Which lanes each process works off; no more processes than lanes."""
    count = min(lanes, processes)
    return [tuple(range(first, lanes, count)) for first in range(count)]
