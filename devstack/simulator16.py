"""A simulated OCPP 1.6 charge point."""

from collections.abc import Sequence
from datetime import datetime

from ocpp.v16 import ChargePoint, call
from ocpp.v16.datatypes import MeterValue, SampledValue
from ocpp.v16.enums import (
    ChargePointErrorCode,
    ChargePointStatus,
    Measurand,
    Phase,
    ReadingContext,
    Reason,
    UnitOfMeasure,
)

from devstack.simulation import (
    PHASES,
    PlannedSession,
    Sample,
    SimulatedChargePoint,
    Transaction,
    text_of,
)


class SimulatedChargePoint16(SimulatedChargePoint):
    """Two connectors and itself as connector 0."""

    library = ChargePoint
    heartbeat = call.Heartbeat
    free = ChargePointStatus.available
    plugged_in = ChargePointStatus.preparing

    def boot_notification(self) -> call.BootNotification:
        """Who it is."""
        return call.BootNotification(
            charge_point_vendor="Chargelog",
            charge_point_model="Simulator",
            charge_point_serial_number=self.record.client_id,
            firmware_version="1.0",
        )

    def authorize(self, id_tag: str) -> call.Authorize:
        """The question whether an idTag may charge."""
        return call.Authorize(id_tag=id_tag)

    def status_notification(self, place: int, status: str) -> call.StatusNotification:
        """A connector's status now."""
        return call.StatusNotification(
            connector_id=place,
            error_code=ChargePointErrorCode.no_error,
            status=ChargePointStatus(status),
            timestamp=text_of(self.now()),
        )

    def transaction(self, session: PlannedSession) -> "_Transaction":
        """From StartTransaction to StopTransaction."""
        return _Transaction(self, session)

    def identify(self, place: int) -> tuple[int, None]:
        """The connectorId; there are no EVSEs."""
        return place, None

    async def boot(self, places: Sequence[int]) -> None:
        """Say who it is, and that it and its connectors are free."""
        await super().boot((0, *places))


class _Transaction(Transaction):
    def __init__(self, charge_point: SimulatedChargePoint16, session: PlannedSession) -> None:
        self._charge_point = charge_point
        self._session = session

    async def start(self) -> datetime:
        now = self._charge_point.now()
        started = await self._charge_point.call(
            call.StartTransaction(
                connector_id=self._session.place,
                id_tag=self._session.id_tag,
                meter_start=self._session.meter_start,
                timestamp=text_of(now),
            )
        )
        self.transaction_id = started.transaction_id
        await self._charge_point.report(self._session.place, ChargePointStatus.charging)
        return now

    async def update(self, sample: Sample) -> None:
        values = [
            _sampled(sample.register, Measurand.energy_active_import_register, UnitOfMeasure.wh),
            _sampled(sample.power, Measurand.power_active_import, UnitOfMeasure.w),
            *(
                _sampled(voltage, Measurand.voltage, UnitOfMeasure.v, Phase(phase))
                for phase, voltage in zip(PHASES, sample.voltages, strict=True)
            ),
        ]
        at = text_of(self._charge_point.now())
        await self._charge_point.call(
            call.MeterValues(
                connector_id=self._session.place,
                transaction_id=self.transaction_id,
                meter_value=[MeterValue(timestamp=at, sampled_value=values)],
            )
        )
        self._charge_point.record.meter_values += 1

    async def end(self) -> datetime:
        await self._charge_point.report(self._session.place, ChargePointStatus.finishing)
        now = self._charge_point.now()
        await self._charge_point.call(
            call.StopTransaction(
                transaction_id=self.transaction_id,
                id_tag=self._session.id_tag,
                meter_stop=self._session.meter_stop,
                timestamp=text_of(now),
                reason=Reason(self._session.reason),
            )
        )
        return now


def _sampled(
    value: float, measurand: Measurand, unit: UnitOfMeasure, phase: Phase | None = None
) -> SampledValue:
    return SampledValue(
        value=str(value),
        context=ReadingContext.sample_periodic,
        measurand=measurand,
        phase=phase,
        unit=unit,
    )
