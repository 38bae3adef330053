"""A simulated OCPP 2.0.1 charge point."""

import uuid
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
    PlannedSession,
    Sample,
    SimulatedChargePoint,
    Transaction,
    text_of,
)

_CONNECTOR = 1
"""Each EVSE has one."""


class SimulatedChargePoint201(SimulatedChargePoint):
    """Two EVSEs, each with one connector; a transaction starts when it is authorized."""

    library = ChargePoint
    heartbeat = call.Heartbeat
    free = ConnectorStatusEnumType.available
    plugged_in = ConnectorStatusEnumType.occupied

    def boot_notification(self) -> call.BootNotification:
        """Who it is."""
        return call.BootNotification(
            charging_station=ChargingStationType(
                vendor_name="Chargelog",
                model="Simulator",
                serial_number=self.record.client_id[:25],
                firmware_version="1.0",
            ),
            reason=BootReasonEnumType.power_up,
        )

    def authorize(self, id_tag: str) -> call.Authorize:
        """The question whether an idToken may charge."""
        return call.Authorize(id_token=_id_token(id_tag))

    def status_notification(self, place: int, status: str) -> call.StatusNotification:
        """The status now of an EVSE's connector."""
        return call.StatusNotification(
            timestamp=text_of(self.now()),
            connector_status=ConnectorStatusEnumType(status),
            evse_id=place,
            connector_id=_CONNECTOR,
        )

    def transaction(self, session: PlannedSession) -> "_Transaction":
        """From the TransactionEvent Started to the Ended."""
        return _Transaction(self, session)

    def identify(self, place: int) -> tuple[int, int]:
        """Its connector's connectorId, and its evseId."""
        return _CONNECTOR, place


class _Transaction(Transaction):
    """One transaction's messages, numbered from 0."""

    def __init__(self, charge_point: SimulatedChargePoint201, session: PlannedSession) -> None:
        self.transaction_id = str(uuid.uuid4())
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
            id_token=_id_token(self._session.id_tag),
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
        reason = ReasonEnumType(self._session.reason)
        return await self._tell(
            TransactionEventEnumType.ended,
            TriggerReasonEnumType.ev_departed
            if reason == ReasonEnumType.ev_disconnected
            else TriggerReasonEnumType.stop_authorized,
            [_register(self._session.meter_stop, ReadingContextEnumType.transaction_end)],
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


def _id_token(id_tag: str) -> IdTokenType:
    return IdTokenType(id_tag, IdTokenEnumType.iso14443)


def _register(wh: int, context: ReadingContextEnumType) -> SampledValueType:
    return SampledValueType(
        value=wh,
        context=context,
        measurand=MeasurandEnumType.energy_active_import_register,
        unit_of_measure=UnitOfMeasureType(unit="Wh"),
    )
