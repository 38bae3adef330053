"""A replay of log files as a Python iterator, for notebooks and scripts."""

import warnings
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

from processor.fields import micros_of
from processor.replay.errors import Rejected, UsageError
from processor.replay.fold import Fold
from processor.replay.logs.correlation import Correlation
from processor.replay.logs.entries import Entry, Other
from processor.replay.logs.merge import History, Log
from processor.replay.logs.recognise import AUTO, logs_of
from processor.replay.rejects import Reject, reject_of
from processor.replay.selection import Selection, Wanted
from processor.replay.tally import Tally
from processor.tariff import Tariffs
from schemas.events import BusinessEvent
from schemas.frames import OcppFrame

_KEPT_REJECTS: Final = 1000
_BATCH: Final = 16_384


class RejectedLinesWarning(UserWarning):
    """Lines of a replayed log could not be used; `Replay.rejects` lists them."""


class Replay(Iterator[BusinessEvent]):
    """The events of log files, in the order of the history.

    Attributes:
        tally: What was counted so far.
        rejects: The first thousand lines that could not be used.
    """

    def __init__(self, logs: list[Log], selection: Selection, tariffs: Tariffs) -> None:
        self.tally = Tally()
        self.rejects: list[Reject] = []
        self._logs = logs
        self._selection = selection
        self._wanted = Wanted(selection)
        self._fold = Fold(tariffs, self.tally)
        self._correlation = Correlation()
        self._events = self._run()

    def __next__(self) -> BusinessEvent:
        return next(self._events)

    def table(self) -> Any:  # noqa: ANN401 - pyarrow ships no types
        """The rest of the events as a `pyarrow.Table` (`.to_pandas()` makes a DataFrame of it).

        Raises:
            UsageError: pyarrow is not installed.
        """
        try:
            import pyarrow as pa  # noqa: PLC0415 - an extra

            from processor.replay.outputs.parquet import SCHEMA, table_of  # noqa: PLC0415
        except ImportError as error:
            raise UsageError("install pyarrow: pip install 'chargelog[arrow]'") from error
        parts = [SCHEMA.empty_table()]
        while batch := list(islice(self, _BATCH)):
            parts.append(table_of(batch))
        return pa.concat_tables(parts)

    def _run(self) -> Iterator[BusinessEvent]:
        for order, entry in enumerate(History(self._logs), 1):
            try:
                frame = self._frame(entry)
                events = [] if frame is None else self._fold.frame(frame)
            except Rejected as rejected:
                self.tally.reject(rejected.reason)
                if len(self.rejects) < _KEPT_REJECTS:
                    path = self._logs[entry.log].path
                    self.rejects.append(reject_of(rejected, order, path, entry))
                continue
            selected = self._selection.of(events)
            self.tally.add_events(selected)
            yield from selected
        if self.tally.rejects:
            reasons = ", ".join(f"{reason}: {n}" for reason, n in self.tally.rejected.items())
            warnings.warn(
                f"{self.tally.rejects} lines could not be used ({reasons})",
                RejectedLinesWarning,
                stacklevel=3,
            )

    def _frame(self, entry: Entry) -> OcppFrame | None:
        content = entry.content
        if content is Other.REPEATED:
            self.tally.repeated += 1
        elif content is Other.NO_FRAME:
            self.tally.other_lines += 1
        elif entry.client_id is not None and not self._wanted[entry.client_id]:
            self.tally.passed_over += 1
        else:
            return self._logs[entry.log].reader.frame(entry, self._correlation)
        return None


def replay(  # noqa: PLR0913 - all but the first by name
    *logs: str | Path,
    tariff: str | Path | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    charge_points: Iterable[str] = (),
    form: str = AUTO,
    zone: str | None = None,
) -> Replay:
    """The business events of log files, as `chargelog-replay` regenerates them.

    Args:
        logs: Exports, or logs of other systems (docs/replay.md).
        tariff: TOML file of tariffs; None: 0.12 USD per kWh.
        since: First receive time whose events are wanted, with zone.
        until: First receive time whose events are not wanted, with zone.
        charge_points: Glob patterns of identities; empty: all.
        form: The logs' format: `auto`, `jsonl`, `avro`, `steve`, `ocpp`, or a profile's path.
        zone: The zone of times that name none, e.g. `Europe/Berlin`.

    Raises:
        UsageError: A format, zone or profile can't be used, or a time has no zone.
        ReplayError: A file can't be read.
        TariffError: The tariff file is wrong.
    """
    if any(moment is not None and moment.tzinfo is None for moment in (since, until)):
        raise UsageError("since and until need a zone, e.g. datetime(2026, 1, 1, tzinfo=UTC)")
    selection = Selection(
        since=None if since is None else micros_of(since),
        until=None if until is None else micros_of(until),
        charge_points=tuple(charge_points),
    )
    return Replay(
        logs_of(map(str, logs), form, zone),
        selection,
        Tariffs() if tariff is None else Tariffs.load(tariff),
    )
