"""Faust's recovery after a rebalance, replaced: the partitions are taken over in bulk.

Of faust-streaming 0.15.3, tables/recovery.py and tables/manager.py; the test that tells when they
have changed is tests/unit/test_faust_internals.py.

Faust's own recovery streams the changelog through its consumer and its queues, a record at a time;
each of its steps has a time limit (`broker_request_timeout`) after which it takes the whole service
for stopped and ends without a word, so that the worker does nothing for ever.
"""

from functools import partial
from typing import Any, cast

from aiokafka.errors import IllegalStateError
from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped
from faust.types import TP
from mode import Service
from mode.utils.locks import Event

from processor.partitions import Assignment
from schemas.errors import ChargelogError


class TakeOver(Recovery):
    """Recovery by `Assignment.hold`."""

    def __init__(self, app: Any, tables: Any, assignment: Assignment, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(app, tables, **kwargs)
        self._assignment = assignment

    async def on_rebalance(
        self,
        assigned: set[TP],
        revoked: set[TP],
        newly_assigned: set[TP],
        generation_id: int = 0,
    ) -> None:
        """Note which partitions stay before their new generation is worked through."""
        self._assignment.confirm(self._partitions(), generation_id)
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)

    @Service.task
    async def _restart_recovery(self) -> None:
        start = cast("Event", self.signal_recovery_start)  # as mode's annotation wants it
        while not await self.wait_for_stopped(start):
            self.signal_recovery_start.clear()
            generation = self._generation_id
            self._set_recovery_started()
            try:
                await self._assignment.hold(
                    self._partitions(), generation, partial(self._is_current, generation)
                )
                if self._is_current(generation):
                    await self.on_recovery_completed(generation)
            except ChargelogError as error:
                self._assignment.fail(error)
            except (RebalanceAgain, IllegalStateError):
                continue  # the next round is signalled already
            except ServiceStopped:
                if not self.should_stop:
                    raise  # a time limit: crash, do not stand still
                return

    @Service.task
    async def _slurp_changelogs(self) -> None:
        """Nothing to slurp: the changelog partitions stay paused."""

    def _is_current(self, generation: int) -> bool:
        return (
            not self.should_stop
            and not self.signal_recovery_start.is_set()
            and self.app.consumer_generation_id == generation
        )

    def _partitions(self) -> set[int]:
        changelogs = self.tables.changelog_topics
        return {
            tp.partition for tp in self.app.assignor.assigned_actives() if tp.topic in changelogs
        }


class TakeOverTables(TableManager):
    """Faust's table manager with that recovery."""

    def __init__(self, app: Any, *, assignment: Assignment, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(app, **kwargs)
        self._assignment = assignment

    @property
    def recovery(self) -> Recovery:
        """The recovery service, made when first asked for."""
        if self._recovery is None:
            self._recovery = TakeOver(
                self.app, self, self._assignment, beacon=self.beacon, loop=self.loop
            )
        return self._recovery
