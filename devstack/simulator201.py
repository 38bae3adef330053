"""A simulated OCPP 2.0.1 charge point."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from ocpp.v201 import ChargePoint, call
from ocpp.v201.datatypes import (
    ChargingStationType,
    EVSEType,
    IdTokenType,
    MeterValueType,
    SampledValueType,
    TransactionType,
    UnitOfMeasureType,
)
from ocpp.v201.enums import (
    BootReasonEnumType,
    ConnectorStatusEnumType,
    IdTokenEnumType,
    MeasurandEnumType,
    PhaseEnumType,
    ReadingContextEnumType,
    ReasonEnumType,
    TransactionEventEnumType,
    TriggerReasonEnumType,
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

_CONNECTOR = 1
"""Each EVSE has one."""


class SimulatedChargePoint201(SimulatedChargePoint):
    """Two EVSEs, each with one connector; a transaction starts when it is authorized."""

    def library(self, client_id: str, connection: CountingConnection) -> ChargePoint:
        """The `ocpp` library's charge point of OCPP 2.0.1."""
        return ChargePoint(client_id, connection, response_timeout=RESPONSE_TIMEOUT_S)

    async def boot(self, places: Sequence[int]) -> None:
        """Say who it is, and that its EVSEs are free."""
        await self.call(
            call.BootNotification(
                charging_station=ChargingStationType(
                    vendor_name="Chargelog",
                    model="Simulator",
                    serial_number=self.record.client_id[:25],
                    firmware_version="1.0",
                ),
                reason=BootReasonEnumType.power_up,
            )
        )
        for evse_id in places:
            await self._report(evse_id, ConnectorStatusEnumType.available)

    async def beat(self) -> None:
        """Send a heartbeat."""
        await self.call(call.Heartbeat())

    async def charge(self, session: PlannedSession) -> None:
        """From the TransactionEvent Started to the Ended."""
        transaction = _Transaction(self, session)
        await self._report(session.place, ConnectorStatusEnumType.occupied)
        await self.call(call.Authorize(id_token=transaction.id_token))
        start_time = await transaction.start()
        for sample in session.samples:
            await self.clock.sleep(SAMPLE_INTERVAL)
            await transaction.update(sample)
        stop_time = await transaction.end()
        self.record.sessions.append(
            Session(
                client_id=self.record.client_id,
                connector_id=_CONNECTOR,
                id_tag=session.id_tag,
                transaction_id=transaction.transaction_id,
                meter_start=session.meter_start,
                meter_stop=session.samples[-1].register,
                start_time=start_time,
                stop_time=stop_time,
                evse_id=session.place,
            )
        )
        await self._report(session.place, ConnectorStatusEnumType.available)

    async def _report(self, evse_id: int, status: ConnectorStatusEnumType) -> None:
        await self.call(
            call.StatusNotification(
                timestamp=text_of(self.now()),
                connector_status=status,
                evse_id=evse_id,
                connector_id=_CONNECTOR,
            )
        )
        self.count_status(evse_id, status)


class _Transaction:
    """One transaction's messages, numbered from 0."""

    def __init__(self, charge_point: SimulatedChargePoint201, session: PlannedSession) -> None:
        self.transaction_id = str(uuid.uuid4())
        self.id_token = IdTokenType(session.id_tag, IdTokenEnumType.iso14443)
        self._charge_point = charge_point
        self._session = session
        self._seq_no = 0

    async def start(self) -> datetime:
        begin = [_register(self._session.meter_start, ReadingContextEnumType.transaction_begin)]
        return await self._tell(
            TransactionEventEnumType.started,
            TriggerReasonEnumType.authorized,
            begin,
            evse=EVSEType(self._session.place, _CONNECTOR),
            id_token=self.id_token,
        )

    async def update(self, sample: Sample) -> None:
        values = [
            _register(sample.register, ReadingContextEnumType.sample_periodic),
            SampledValueType(
                value=sample.power,
                measurand=MeasurandEnumType.power_active_import,
                unit_of_measure=UnitOfMeasureType(unit="W"),
            ),
            *(
                SampledValueType(
                    value=voltage,
                    measurand=MeasurandEnumType.voltage,
                    phase=PhaseEnumType(phase),
                    unit_of_measure=UnitOfMeasureType(unit="V"),
                )
                for phase, voltage in zip(PHASES, sample.voltages, strict=True)
            ),
        ]
        await self._tell(
            TransactionEventEnumType.updated, TriggerReasonEnumType.meter_value_periodic, values
        )

    async def end(self) -> datetime:
        stop = self._session.samples[-1].register
        reason = ReasonEnumType(self._session.reason)
        return await self._tell(
            TransactionEventEnumType.ended,
            TriggerReasonEnumType.ev_departed
            if reason == ReasonEnumType.ev_disconnected
            else TriggerReasonEnumType.stop_authorized,
            [_register(stop, ReadingContextEnumType.transaction_end)],
            stopped_reason=reason,
        )

    async def _tell(  # noqa: PLR0913  # a message has that many parts
        self,
        event_type: TransactionEventEnumType,
        trigger: TriggerReasonEnumType,
        values: list[SampledValueType],
        *,
        stopped_reason: ReasonEnumType | None = None,
        evse: EVSEType | None = None,
        id_token: IdTokenType | None = None,
    ) -> datetime:
        now = self._charge_point.now()
        await self._charge_point.call(
            call.TransactionEvent(
                event_type=event_type,
                timestamp=text_of(now),
                trigger_reason=trigger,
                seq_no=self._seq_no,
                transaction_info=TransactionType(
                    transaction_id=self.transaction_id, stopped_reason=stopped_reason
                ),
                meter_value=[MeterValueType(timestamp=text_of(now), sampled_value=values)],
                evse=evse,
                id_token=id_token,
            )
        )
        self._seq_no += 1
        self._charge_point.record.meter_values += 1
        return now


def _register(wh: int, context: ReadingContextEnumType) -> SampledValueType:
    return SampledValueType(
        value=wh,
        context=context,
        measurand=MeasurandEnumType.energy_active_import_register,
        unit_of_measure=UnitOfMeasureType(unit="Wh"),
    )
