"""Frames through the reducer, with everything counted; the state of one lane's charge points."""

from collections.abc import Callable, Iterable
from typing import Final

from processor.reducer import IndigestibleFrameError, reduce
from processor.replay.errors import Rejected
from processor.replay.kafka_source import TopicRecord
from processor.replay.tally import Tally
from processor.state import Row, RowError, decode_row, encode_row
from processor.tariff import Tariffs
from schemas.codec import Codec
from schemas.errors import CodecError, RegistryError
from schemas.events import BusinessEvent
from schemas.frames import OcppFrame

INDIGESTIBLE: Final = "frame indigestible"
"""The reason of all frames that the reducer refuses."""


class Fold:
    """The state, and what was counted on the way to it.

    Args:
        tariffs: Prices.
        tally: What was counted before.
        rows: The state before.
        tracks: Whether to note which rows change, for `changed_rows`.

    Attributes:
        tally: What was counted.
        get: The row of a key, or None (`processor.state.Rows`).
        set: Puts a row in place of the old one (`processor.state.Rows`).
    """

    def __init__(
        self,
        tariffs: Tariffs,
        tally: Tally,
        rows: Iterable[tuple[str, bytes]] = (),
        *,
        tracks: bool = False,
    ) -> None:
        self._tariffs = tariffs
        self.tally = tally
        self._rows: dict[str, Row] = {key: decode_row(value, key) for key, value in rows}
        self._touched: set[str] = set()
        self.get: Callable[[str], Row | None] = self._rows.get
        self.set: Callable[[str, Row], None] = (
            self._set_and_note if tracks else self._rows.__setitem__
        )

    def _set_and_note(self, key: str, row: Row) -> None:
        self._rows[key] = row
        self._touched.add(key)

    def changed_rows(self) -> list[tuple[str, bytes]]:
        """The rows that changed since the last call, encoded."""
        rows = self._rows
        changed = [(key, encode_row(rows[key])) for key in self._touched]
        self._touched.clear()
        return changed

    def records(
        self,
        records: list[TopicRecord],
        codec: Codec[OcppFrame],
        reject: Callable[[int, str], None],
    ) -> list[BusinessEvent]:
        """The events of records of the frames topic.

        Args:
            records: Of one partition, in order.
            codec: The frames topic's.
            reject: Takes the offset and the reason of a record that can't be reduced.
        """
        self.tally.frames += len(records)
        decode, tariffs = codec.decode, self._tariffs
        events: list[BusinessEvent] = []
        for record in records:
            # As processor.chunk does it, but for the staging: nothing here is ever undone.
            try:
                events += reduce(decode(record.value), self, tariffs)
            except (RowError, RegistryError):
                raise
            except (CodecError, IndigestibleFrameError) as error:
                reject(record.offset, str(error))
            except Exception as error:  # noqa: BLE001 - see `frame`
                reject(record.offset, repr(error))
        return events

    def frame(self, frame: OcppFrame) -> list[BusinessEvent]:
        """The events of the next frame of its charge point.

        Raises:
            Rejected: It can't be reduced.
        """
        self.tally.frames += 1
        try:
            return reduce(frame, self, self._tariffs)
        except RowError:
            raise
        except IndigestibleFrameError as error:
            raise Rejected(INDIGESTIBLE, str(error)) from error
        # As in processor.chunk: a defect of ours must not stop the frames behind it.
        except Exception as error:
            raise Rejected(INDIGESTIBLE, repr(error)) from error
