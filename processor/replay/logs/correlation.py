"""What a log leaves out, filled in from what it tells elsewhere; never guessed.

A CALLRESULT holds neither action nor direction that every log writes: both follow from the CALL
with its messageId (OCPP-J 1.6 §4.2.2). A CALL's direction follows from its action, where only one
side may send that.
"""

from typing import Final

import msgspec

from processor.replay.errors import Rejected
from schemas.errors import MalformedFrameError
from schemas.frames import INBOUND, OUTBOUND, Direction, OcppFrame
from schemas.ocppj import KIND_OF, Call, Send, parse

MAX_OPEN: Final = 64
"""CALLs without an answer that are remembered for each charge point."""
CONNECTION: Final = "log"
"""connectionId of frames from logs that name none."""

FROM_CHARGE_POINT: Final = frozenset({
    # OCPP 1.6 §4, with the security whitepaper (3rd edition)
    "Authorize", "BootNotification", "DiagnosticsStatusNotification",
    "FirmwareStatusNotification", "Heartbeat", "LogStatusNotification", "MeterValues",
    "SecurityEventNotification", "SignCertificate", "SignedFirmwareStatusNotification",
    "StartTransaction", "StatusNotification", "StopTransaction",
    # OCPP 2.0.1 and 2.1 Part 2
    "BatterySwap", "ClearedChargingLimit", "Get15118EVCertificate", "GetCertificateChainStatus",
    "GetCertificateStatus", "NotifyChargingLimit", "NotifyCustomerInformation",
    "NotifyDERAlarm", "NotifyDERStartStop", "NotifyDisplayMessages", "NotifyEVChargingNeeds",
    "NotifyEVChargingSchedule", "NotifyEvent", "NotifyMonitoringReport",
    "NotifyPeriodicEventStream", "NotifyPriorityCharging", "NotifyReport", "NotifySettlement",
    "OpenPeriodicEventStream", "ClosePeriodicEventStream",
    "PublishFirmwareStatusNotification", "PullDynamicScheduleUpdate", "ReportChargingProfiles",
    "ReportDERControl", "ReservationStatusUpdate", "TransactionEvent", "VatNumberValidation",
})  # fmt: skip
"""Actions that charge points send."""
FROM_EITHER: Final = frozenset({"DataTransfer"})
"""Actions that both sides may send: a log has to say which did."""


class _Open(msgspec.Struct, frozen=True):
    action: str
    direction: Direction


class _ChargePoint(msgspec.Struct):
    log_ns: int = -1
    frame_ns: int = -1
    calls: dict[str, _Open] = {}


class Correlation:
    """The open CALLs of a lane's charge points."""

    def __init__(self, stored: bytes | None = None) -> None:
        self._charge_points: dict[str, _ChargePoint] = (
            {} if stored is None else msgspec.json.decode(stored, type=dict[str, _ChargePoint])
        )

    def stored(self) -> bytes:
        """Everything, for a checkpoint."""
        return msgspec.json.encode(self._charge_points)

    def frame(
        self, client_id: str, at_ns: int, direction: Direction | None, raw: bytes, protocol: str
    ) -> OcppFrame:
        """The message as a frame.

        Raises:
            Rejected: It is no OCPP-J message, or who sent it can't be told.
        """
        try:
            message = parse(raw, protocol)
        except MalformedFrameError as error:
            raise Rejected("no OCPP-J message", str(error)) from error
        charge_point = self._charge_points.get(client_id)
        if charge_point is None:
            charge_point = self._charge_points[client_id] = _ChargePoint()
        calls = charge_point.calls
        action: str | None
        if isinstance(message, Call | Send):
            action = message.action
            direction = direction or _direction_of(action)
            if isinstance(message, Call):
                calls.pop(message.message_id, None)
                calls[message.message_id] = _Open(action, direction)
                if len(calls) > MAX_OPEN:
                    del calls[next(iter(calls))]
        else:
            call = calls.get(message.message_id)
            if call is not None and direction in {None, _OTHER[call.direction]}:
                # A retried CALL has a second answer, so the first does not close it.
                action, direction = call.action, _OTHER[call.direction]
            elif direction is None:
                raise Rejected(
                    "direction unknown",
                    f"no CALL with the message id {message.message_id!r} came before this answer",
                )
            else:
                action = None
        return OcppFrame(
            client_id=client_id,
            received_at_ns=self._distinct(charge_point, at_ns),
            direction=direction,
            protocol=protocol,
            kind=KIND_OF[type(message)],
            message_id=message.message_id,
            action=action,
            raw=raw,
            connection_id=CONNECTION,
        )

    @staticmethod
    def _distinct(charge_point: _ChargePoint, at_ns: int) -> int:
        # receivedAtNs increases strictly, also where a log writes several messages of a second.
        frame_ns = charge_point.frame_ns + 1 if at_ns == charge_point.log_ns else at_ns
        charge_point.log_ns = at_ns
        charge_point.frame_ns = frame_ns
        return frame_ns


_OTHER: Final[dict[Direction, Direction]] = {INBOUND: OUTBOUND, OUTBOUND: INBOUND}


def _direction_of(action: str) -> Direction:
    if action in FROM_EITHER:
        raise Rejected("direction unknown", f"either side may send {action}")
    return INBOUND if action in FROM_CHARGE_POINT else OUTBOUND
