"""Frames through the reducer, with everything counted; the state of one lane's charge points."""

from collections.abc import Callable, Iterable

from processor.chunk import reduce_chunk
from processor.reducer import IndigestibleFrameError, reduce
from processor.replay.kafka_source import TopicRecord
from processor.replay.tally import Tally
from processor.state import Row, RowError, decode_row, encode_row
from processor.tariff import Tariffs
from schemas.codec import Codec
from schemas.events import BusinessEvent
from schemas.frames import OcppFrame


class Fold:
    """The state, and what was counted on the way to it.

    Args:
        tariffs: Prices.
        tally: What was counted before.
        rows: The state before.

    Attributes:
        tally: What was counted.
        touched: Keys of rows that changed since it was last emptied.
    """

    def __init__(
        self, tariffs: Tariffs, tally: Tally, rows: Iterable[tuple[str, bytes]] = ()
    ) -> None:
        self._tariffs = tariffs
        self.tally = tally
        self._rows: dict[str, Row] = {key: decode_row(value, key) for key, value in rows}
        self.touched: set[str] = set()
        self.get: Callable[[str], Row | None] = self._rows.get

    def set(self, key: str, row: Row) -> None:
        """The reducer changes a row."""
        self._rows[key] = row
        self.touched.add(key)

    def changed_rows(self) -> list[tuple[str, bytes]]:
        """The rows that changed since the last call, encoded."""
        rows = self._rows
        changed = [(key, encode_row(rows[key])) for key in self.touched]
        self.touched.clear()
        return changed

    def records(
        self,
        records: list[TopicRecord],
        codec: Codec[OcppFrame],
        reject: Callable[[int, str], None],
    ) -> list[BusinessEvent]:
        """The events of records of the frames topic: the live processor's own function.

        Args:
            records: Of one partition, in order.
            codec: The frames topic's.
            reject: Takes the offset and the reason of a record that can't be reduced.
        """
        result = reduce_chunk(records, self.get, self._tariffs, codec)
        self._rows.update(result.rows)
        self.touched.update(result.rows)
        self.tally.frames += len(records)
        for letter in result.dead_letters:
            reject(letter.offset, letter.reason)
        return result.events

    def frame(self, frame: OcppFrame, reject: Callable[[str], None]) -> list[BusinessEvent]:
        """The events of one frame.

        Args:
            frame: The next one of its charge point.
            reject: Takes the reason if it can't be reduced.
        """
        self.tally.frames += 1
        try:
            return reduce(frame, self, self._tariffs)
        except RowError:
            raise
        except IndigestibleFrameError as error:
            reject(str(error))
        # As in processor.chunk: a defect of ours must not stop the frames behind it.
        except Exception as error:  # noqa: BLE001
            reject(repr(error))
        return []
