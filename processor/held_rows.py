"""All rows of a worker as one mapping: what Faust's table, the pages and the commands read."""

from collections.abc import Iterator, Mapping

from processor.partitions import HeldPartition


class HeldRows(Mapping[bytes, bytes]):
    """The rows of the held partitions, encoded. To be read only: the chunks write them."""

    def __init__(self, held: Mapping[int, HeldPartition]) -> None:
        self._held = held

    def __getitem__(self, key: bytes) -> bytes:
        text = key.decode()
        for partition in self._held.values():
            value = partition.rows.encoded(text)
            if value is not None:
                return value
        raise KeyError(key)

    def __iter__(self) -> Iterator[bytes]:
        for partition in list(self._held.values()):
            for key in list(partition.rows):
                yield key.encode()

    def __len__(self) -> int:
        return sum(len(partition.rows) for partition in self._held.values())
