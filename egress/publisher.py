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
from paho.mqtt.packettypes import PacketTypes

from egress import metrics
from egress.announcement import Announcement
from egress.connection import Loss, MqttConnection, MqttOptions
from egress.errors import MqttConnectionError
from egress.packets import FAILURE, reason_text
from egress.routing import Publication

log = structlog.get_logger(__name__)

MAX_IN_FLIGHT: Final = 1_000
"""Upper bound of the window, whatever the broker allows."""
CAPACITY: Final = 4_000
"""Publications that are held at most; beyond, the caller has to wait."""
CAPACITY_BYTES: Final = 32 * 1024 * 1024
"""Bytes of payload that are held at most."""

_TAKEN_OVER: Final = 0x8E
"""DISCONNECT: another client has the same id (MQTT 5 §3.14.2.1)."""
_BELIEVED_S: Final = 60.0
_WINDOW_311_QOS_2: Final = 20
"""MQTT 3.1.1 has no Receive Maximum; of QoS 2 mosquitto takes 20 at once and drops the rest."""

# MQTT 5 §3.4.2.1 (PUBACK) and §3.14.2.1 (DISCONNECT): not authorized, topic name invalid, payload
# format invalid, packet too large. Sending the same again hardly ends differently.
_PERMANENT_PUBACK: Final = frozenset({0x87, 0x90, 0x99})
_PERMANENT_DISCONNECT: Final = frozenset({0x81, 0x82, 0x90, 0x95, 0x99})
# Unspecified, implementation specific: it may lie with the message or with the broker.
_DOUBTFUL_PUBACK: Final = frozenset({0x80, 0x83})


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

    __slots__ = ("delivery", "refused", "settled", "size", "tries")

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.settled = False
        self.refused = False
        self.size = len(delivery.publication.payload)
        self.tries = 0

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
        self,
        options: MqttOptions,
        *,
        tries: int = 3,
        announcement: Announcement | None = None,
        min_backoff_s: float = 0.5,
        max_backoff_s: float = 15.0,
    ) -> None:
        """Nothing is sent before `run`.

        Args:
            options: Where and how to connect.
            tries: How often a publication that the broker refuses is tried.
            announcement: What tells others that this instance is there.
            min_backoff_s: Pause after the first failed attempt; doubled each time.
            max_backoff_s: The longest pause.
        """
        self._options = options
        self._tries = tries
        self._announcement = announcement
        self._min_backoff = min_backoff_s
        self._max_backoff = max_backoff_s
        self._waiting: deque[_Slot] = deque()
        self._sent: deque[_Slot] = deque()
        self._in_flight: dict[int, _Slot] = {}
        self._connection: MqttConnection | None = None
        self._limit = MAX_IN_FLIGHT
        self._held_bytes = 0
        self._suspicious = False
        self._believed: dict[int, float] = {}
        self._progress = False
        self._connected = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        metrics.IN_FLIGHT.set_function(lambda: len(self._in_flight))

    @property
    def room(self) -> int:
        """Publications that may be submitted now."""
        if self._held_bytes >= CAPACITY_BYTES:
            return 0
        return max(0, CAPACITY - len(self._waiting) - len(self._sent))

    @property
    def is_connected(self) -> bool:
        """Whether the broker is there."""
        return self._connected.is_set()

    def submit(self, delivery: Delivery) -> None:
        """Publish after everything submitted before."""
        slot = _Slot(delivery)
        self._waiting.append(slot)
        self._held_bytes += slot.size
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
        self._held_bytes = sum(slot.size for slot in (*self._waiting, *self._sent))
        self._note_room()

    async def run(self) -> None:
        """Connect, and connect again, until cancelled."""
        backoff = self._min_backoff
        while True:
            self._progress = False
            connection = MqttConnection(self._options, self)
            delay = backoff
            try:
                await connection.open()
            except MqttConnectionError as error:
                self._log_waiting(str(error))
            else:
                loss = await self._serve(connection)
                self._take_back(loss)
                log.warning("connection to the MQTT broker lost", reason=loss.reason)
                metrics.RECONNECTS.inc()
                if self._progress:
                    # mosquitto 2.0.11 (Debian 12) closes the connection after each PUBACK with a
                    # failure: a long pause there would let whole streams wait for one topic.
                    backoff = self._min_backoff
                    delay = backoff / 10 if loss.code != _TAKEN_OVER else backoff
            await asyncio.sleep(delay)
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
        said = self._announcement
        try:
            if said is not None:
                slot = _Slot(said.of(online=True))
                self._in_flight[connection.publish(slot.delivery.publication)] = slot
            self._pump()
            return await connection.lost()
        finally:
            self._connection = None
            self._connected.clear()
            metrics.CONNECTED.set(0)
            # Cancelled: the connection is still up and gets its DISCONNECT.
            await connection.close(None if said is None else said.of(online=False).publication)

    def _window(self, connection: MqttConnection) -> int:
        if self._options.version == "3.1.1" and self._options.qos == 2:  # noqa: PLR2004 - QoS 2
            return _WINDOW_311_QOS_2
        return min(MAX_IN_FLIGHT, connection.receive_maximum)

    def on_acknowledged(self, packet_id: int, code: int) -> None:
        """The broker settled a publication, or refuses it."""
        slot = self._in_flight.pop(packet_id, None)
        if slot is None:
            return
        if code < FAILURE:
            slot.acknowledge()
        elif not self._refused_for_good(slot, code):
            return
        self._progressed()

    def on_room(self) -> None:
        """Publish on."""
        self._pump()

    def _pump(self) -> None:
        connection = self._connection
        while (
            connection is not None
            and self._waiting
            and len(self._in_flight) < self._limit
            and connection.is_writable
        ):
            slot = self._waiting.popleft()
            if slot.refused or not slot.delivery.wanted:
                self._held_bytes -= slot.size
                continue
            try:
                packet_id = connection.publish(slot.delivery.publication)
            except ValueError as error:
                slot.refuse(str(error))
                self._held_bytes -= slot.size
                continue
            self._in_flight[packet_id] = slot
            self._sent.append(slot)
        self._note_room()

    def _refused_for_good(self, slot: _Slot, code: int) -> bool:
        """Whether it goes to the dead letter; if not, the connection begins again at it.

        Later ones may have arrived before it: that is why it can't just be sent once more. When one
        was refused on all its tries, the same refusal of others is believed at once until none has
        come for a while: a missing permission must not hold the stream back at every message.
        """
        text = reason_text(PacketTypes.PUBACK, code)
        if not slot.delivery.wanted:
            slot.refuse(text)
            return True
        permanent = code in _PERMANENT_PUBACK
        if permanent or code in _DOUBTFUL_PUBACK:
            now = asyncio.get_running_loop().time()
            slot.tries += 1
            if slot.tries >= self._tries or now < self._believed.get(code, now):
                slot.refuse(f"PUBACK {text}")
                if permanent:
                    self._believed[code] = now + _BELIEVED_S
                return True
        log.warning("the MQTT broker did not take a message, trying it again", reason=text)
        if self._connection is not None:
            self._connection.abort(f"the broker did not take a message: {text}")
            self._connection = None
        self._suspicious = True
        return False

    def _progressed(self) -> None:
        while self._sent and self._sent[0].settled:
            self._held_bytes -= self._sent.popleft().size
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
        permanent = loss.code in _PERMANENT_DISCONNECT
        # With another code (shutdown, session taken over) no message is to blame.
        unsettled = [slot for slot in self._in_flight.values() if slot.delivery.wanted]
        if unsettled and (permanent or loss.unexplained) and not self._progress:
            if self._suspicious:
                lone = unsettled[0]
                lone.tries += 1
                if lone.tries >= self._tries:
                    lone.refuse(
                        f"the broker closed the connection on it {lone.tries} times: {loss.reason}"
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
