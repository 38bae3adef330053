"""A simulated OCPP 1.6 charge point."""

from collections.abc import Sequence

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
    RESPONSE_TIMEOUT_S,
    SAMPLE_INTERVAL,
    CountingConnection,
    PlannedSession,
    Sample,
    Session,
    SimulatedChargePoint,
    text_of,
)


class SimulatedChargePoint16(SimulatedChargePoint):
    """Two connectors and itself as connector 0."""

    def library(self, client_id: str, connection: CountingConnection) -> ChargePoint:
        """The `ocpp` library's charge point of OCPP 1.6."""
        return ChargePoint(client_id, connection, response_timeout=RESPONSE_TIMEOUT_S)

    async def boot(self, places: Sequence[int]) -> None:
        """Say who it is, and that it and its connectors are free."""
        await self.call(
            call.BootNotification(
                charge_point_vendor="Chargelog",
                charge_point_model="Simulator",
                charge_point_serial_number=self.record.client_id,
                firmware_version="1.0",
            )
        )
        for connector_id in (0, *places):
            await self._report(connector_id, ChargePointStatus.available)

    async def beat(self) -> None:
        """Send a heartbeat."""
        await self.call(call.Heartbeat())

    async def charge(self, session: PlannedSession) -> None:
        """From StartTransaction to StopTransaction."""
        connector_id, id_tag = session.place, session.id_tag
        await self._report(connector_id, ChargePointStatus.preparing)
        await self.call(call.Authorize(id_tag=id_tag))
        start_time = self.now()
        started = await self.call(
            call.StartTransaction(
                connector_id=connector_id,
                id_tag=id_tag,
                meter_start=session.meter_start,
                timestamp=text_of(start_time),
            )
        )
        transaction_id: int = started.transaction_id
        await self._report(connector_id, ChargePointStatus.charging)
        for sample in session.samples:
            await self.clock.sleep(SAMPLE_INTERVAL)
            await self._measure(connector_id, transaction_id, sample)
        await self._report(connector_id, ChargePointStatus.finishing)
        stop_time = self.now()
        meter_stop = session.samples[-1].register
        await self.call(
            call.StopTransaction(
                transaction_id=transaction_id,
                id_tag=id_tag,
                meter_stop=meter_stop,
                timestamp=text_of(stop_time),
                reason=Reason(session.reason),
            )
        )
        self.record.sessions.append(
            Session(
                client_id=self.record.client_id,
                connector_id=connector_id,
                id_tag=id_tag,
                transaction_id=transaction_id,
                meter_start=session.meter_start,
                meter_stop=meter_stop,
                start_time=start_time,
                stop_time=stop_time,
            )
        )
        await self._report(connector_id, ChargePointStatus.available)

    async def _measure(self, connector_id: int, transaction_id: int, sample: Sample) -> None:
        values = [
            _sampled(sample.register, Measurand.energy_active_import_register, UnitOfMeasure.wh),
            _sampled(sample.power, Measurand.power_active_import, UnitOfMeasure.w),
            *(
                _sampled(voltage, Measurand.voltage, UnitOfMeasure.v, Phase(phase))
                for phase, voltage in zip(PHASES, sample.voltages, strict=True)
            ),
        ]
        await self.call(
            call.MeterValues(
                connector_id=connector_id,
                transaction_id=transaction_id,
                meter_value=[MeterValue(timestamp=text_of(self.now()), sampled_value=values)],
            )
        )
        self.record.meter_values += 1

    async def _report(self, connector_id: int, status: ChargePointStatus) -> None:
        await self.call(
            call.StatusNotification(
                connector_id=connector_id,
                error_code=ChargePointErrorCode.no_error,
                status=status,
                timestamp=text_of(self.now()),
            )
        )
        self.count_status(connector_id, status)


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
