"""Publications in, acknowledgements out: in order, over as many connections as it takes.

    submit → waiting ─► sent, unacknowledged ─► settled: acknowledged, or refused for good
                ▲                │
                └── connection lost

When a connection is lost, everything from the first unsettled publication on goes back to the
head of the queue in its old order and is sent again: at least once, never out of order.
"""

import asyncio
from collections import deque
from typing import Final, Protocol

import structlog
from paho.mqtt.reasoncodes import ReasonCode

from egress import metrics
from egress.connection import Loss, MqttConnection, MqttOptions
from egress.errors import MqttConnectionError
from egress.routing import Publication

log = structlog.get_logger(__name__)

MAX_IN_FLIGHT: Final = 1_000
"""Upper bound of the window, whatever the broker allows."""
CAPACITY: Final = 4_000
"""Publications that are held at most; beyond, the caller has to wait."""
LONE_ATTEMPTS: Final = 5
"""Connections that a publication may break, alone in flight, until it counts as refused."""

# MQTT 5 §3.4.2.1 (PUBACK) and §3.14.2.1 (DISCONNECT): not authorized, topic name invalid, payload
# format invalid, packet too large. Sending the same again can't end differently.
_PERMANENT_PUBACK: Final = frozenset({0x87, 0x90, 0x99})
_PERMANENT_DISCONNECT: Final = frozenset({0x81, 0x82, 0x90, 0x95, 0x99})


class Delivery(Protocol):
    """A publication, and who wants to hear what became of it."""

    @property
    def publication(self) -> Publication:
        """What to publish."""

    @property
    def wanted(self) -> bool:
        """False: its partition went to another instance; it is not sent (again)."""

    def acknowledged(self) -> None:
        """The broker has it."""

    def refused(self, reason: str) -> None:
        """The broker will never take it."""


class _Slot:
    """One delivery's state in the window."""

    __slots__ = ("delivery", "losses", "refused", "settled")

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.settled = False
        self.refused = False
        self.losses = 0

    def acknowledge(self) -> None:
        if not self.settled:
            self.settled = True
            self.delivery.acknowledged()

    def refuse(self, reason: str) -> None:
        if not self.settled:
            self.settled = self.refused = True
            self.delivery.refused(reason)


class Publisher:
    """Keeps a connection to the broker and publishes what is submitted."""

    def __init__(
        self, options: MqttOptions, *, min_backoff_s: float = 0.5, max_backoff_s: float = 15.0
    ) -> None:
        """Nothing is sent before `run`.

        Args:
            options: Where and how to connect.
            min_backoff_s: Pause after the first failed attempt; doubled each time.
            max_backoff_s: The longest pause.
        """
        self._options = options
        self._min_backoff = min_backoff_s
        self._max_backoff = max_backoff_s
        self._waiting: deque[_Slot] = deque()
        self._sent: deque[_Slot] = deque()
        self._in_flight: dict[int, _Slot] = {}
        self._connection: MqttConnection | None = None
        self._limit = MAX_IN_FLIGHT
        self._suspicious = False
        self._progress = False
        self._connected = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        metrics.IN_FLIGHT.set_function(lambda: len(self._in_flight))

    @property
    def room(self) -> int:
        """Publications that may be submitted now."""
        return max(0, CAPACITY - len(self._waiting) - len(self._sent))

    @property
    def is_connected(self) -> bool:
        """Whether the broker is there."""
        return self._connected.is_set()

    def submit(self, delivery: Delivery) -> None:
        """Publish after everything submitted before."""
        self._waiting.append(_Slot(delivery))
        if self.room == 0:
            self._has_room.clear()
        self._pump()

    async def wait_for_room(self) -> None:
        """Return when a good part of the queue is free."""
        await self._has_room.wait()

    async def wait_connected(self) -> None:
        """Return when the broker is there."""
        await self._connected.wait()

    def discard_unwanted(self) -> None:
        """Forget what waits and is not wanted any more."""
        self._waiting = deque(slot for slot in self._waiting if slot.delivery.wanted)
        self._note_room()

    async def run(self) -> None:
        """Connect, and connect again, until cancelled."""
        backoff = self._min_backoff
        while True:
            self._progress = False
            connection = MqttConnection(self._options, self._on_acknowledged)
            try:
                await connection.open()
            except MqttConnectionError as error:
                self._log_waiting(str(error))
            else:
                loss = await self._serve(connection)
                self._take_back(loss)
                log.warning("connection to the MQTT broker lost", reason=str(loss.reason))
                metrics.RECONNECTS.inc()
            if self._progress:
                backoff = self._min_backoff
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, self._max_backoff)

    async def _serve(self, connection: MqttConnection) -> Loss:
        self._connection = connection
        self._limit = 1 if self._suspicious else self._window(connection)
        self._connected.set()
        metrics.CONNECTED.set(1)
        log.info(
            "connected to the MQTT broker",
            mqtt_host=self._options.host,
            mqtt_port=self._options.port,
            mqtt_client_id=self._options.client_id,
            window=self._limit,
        )
        try:
            self._pump()
            return await connection.lost()
        finally:
            self._connection = None
            self._connected.clear()
            metrics.CONNECTED.set(0)
            # Cancelled: the connection is still up and gets its DISCONNECT.
            await connection.close()

    def _window(self, connection: MqttConnection) -> int:
        return min(MAX_IN_FLIGHT, connection.receive_maximum)

    def _pump(self) -> None:
        connection = self._connection
        while connection is not None and self._waiting and len(self._in_flight) < self._limit:
            slot = self._waiting.popleft()
            if slot.refused or not slot.delivery.wanted:
                continue
            if not connection.fits(slot.delivery.publication):
                slot.refuse(f"larger than the broker takes ({connection.maximum_packet_size} B)")
                continue
            try:
                mid = connection.publish(slot.delivery.publication)
            except ValueError as error:
                slot.refuse(str(error))
                continue
            if mid is None:
                self._waiting.appendleft(slot)
                break
            self._in_flight[mid] = slot
            self._sent.append(slot)
        self._note_room()

    def _on_acknowledged(self, mid: int, reason: ReasonCode) -> None:
        slot = self._in_flight.pop(mid, None)
        if slot is None:
            return
        if not reason.is_failure:
            slot.acknowledge()
            metrics.ACKNOWLEDGED.inc()
        elif reason.value in _PERMANENT_PUBACK:
            slot.refuse(f"PUBACK 0x{reason.value:02X} {reason}")
        else:
            # Later ones may arrive before it now; the new connection begins again at this one.
            log.warning("the MQTT broker could not take a message", reason=str(reason))
            if self._connection is not None:
                self._connection.abort()
                self._connection = None
            return
        self._progressed()
        self._pump()

    def _progressed(self) -> None:
        while self._sent and self._sent[0].settled:
            self._sent.popleft()
        self._note_room()
        self._progress = True
        if self._suspicious and self._connection is not None:
            self._suspicious = False
            self._limit = self._window(self._connection)

    def _note_room(self) -> None:
        if self.room >= CAPACITY // 2:
            self._has_room.set()

    def _take_back(self, loss: Loss) -> None:
        """Queue what was sent and not settled again, and find out what breaks connections.

        A broker that can't take a message may just close the connection (MQTT 3.1.1 knows no
        other way). After a connection without any progress the next one carries one message at a
        time, so that a message which always ends it is found out.
        """
        permanent = loss.announced and loss.reason.value in _PERMANENT_DISCONNECT
        # Announced for another reason (shutdown, session taken over): no message is to blame.
        unexplained = not loss.announced and not loss.silent
        unsettled = [slot for slot in self._in_flight.values() if slot.delivery.wanted]
        if unsettled and (permanent or unexplained) and not self._progress:
            if self._suspicious:
                lone = unsettled[0]
                lone.losses += 1
                if permanent or lone.losses >= LONE_ATTEMPTS:
                    lone.refuse(
                        f"the broker closed the connection on it {lone.losses} times: {loss.reason}"
                    )
            self._suspicious = True
        metrics.RESENT.inc(len(self._sent))
        self._waiting.extendleft(reversed(self._sent))
        self._sent.clear()
        self._in_flight.clear()
        self._note_room()

    def _log_waiting(self, error: str) -> None:
        log.warning(
            "waiting for the MQTT broker",
            mqtt_host=self._options.host,
            mqtt_port=self._options.port,
            error=error,
            hint="start the broker or correct MQTT_HOST, MQTT_PORT, MQTT_USERNAME, MQTT_PASSWORD",
        )
