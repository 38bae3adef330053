"""Publications in, acknowledgements out: in order, over as many connections as it takes.

    submit ─► queued behind its strand ─► ready ─► in flight ─► settled: acknowledged, or refused
                                            ▲          │                 for good
                                            ├── connection lost
                                            └── refused for now (after a pause)

A strand is what keeps an order: one stream of one charge point. With MQTT 5 a broker may refuse one
publication and take the next; so a strand has one publication in flight at most, and the window is
filled with different strands. MQTT 3.1.1 knows no refusal, and QoS 0 no answer: there, strands are
not needed. When a connection is lost, what was in flight is sent again in its old order.
"""

import asyncio
from collections import deque
from typing import Final, Protocol

import structlog
from paho.mqtt.packettypes import PacketTypes

from egress import metrics
from egress.announcement import Announcement, Said
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
_MAX_RESTS: Final = 16
_BELIEVED_S: Final = 60.0
_WINDOW_311_QOS_2: Final = 20
"""MQTT 3.1.1 has no Receive Maximum; of QoS 2 mosquitto takes 20 at once and drops the rest."""

# MQTT 5 §3.4.2.1 (PUBACK) and §3.14.2.1 (DISCONNECT): not authorized, topic name invalid, payload
# format invalid, packet too large. Sending the same again hardly ends differently.
_PERMANENT_PUBACK: Final = frozenset({0x87, 0x90, 0x99})
_TOO_LARGE: Final = 0x95
"""MQTT has it for DISCONNECT only; mosquitto's PUBACK has it beyond `message_size_limit`."""
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

    __slots__ = ("delivery", "rests", "settled", "size", "strand", "tries")

    def __init__(self, delivery: Delivery, strand: str) -> None:
        self.delivery = delivery
        self.strand = strand
        self.settled = False
        self.size = len(delivery.publication.payload)
        self.tries = 0
        self.rests = 0


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
        self._stranded = options.version == "5" and options.qos > 0
        self._ready: deque[_Slot] = deque()
        self._strands: dict[str, deque[_Slot]] = {}
        self._held = 0
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
        return 0 if self._held_bytes >= CAPACITY_BYTES else max(0, CAPACITY - self._held)

    @property
    def is_connected(self) -> bool:
        """Whether the broker is there."""
        return self._connected.is_set()

    def submit(self, delivery: Delivery) -> None:
        """Publish after everything of its strand that was submitted before."""
        slot = _Slot(delivery, delivery.publication.strand if self._stranded else "")
        self._held += 1
        self._held_bytes += slot.size
        if self.room == 0:
            self._has_room.clear()
        behind = self._strands.get(slot.strand) if slot.strand else None
        if behind is not None:
            behind.append(slot)
            return
        if slot.strand:
            self._strands[slot.strand] = deque()
        self._ready.append(slot)
        self._pump()

    async def wait_for_room(self) -> None:
        """Return when a good part of the queue is free."""
        await self._has_room.wait()

    async def wait_connected(self) -> None:
        """Return when the broker is there."""
        await self._connected.wait()

    def discard_unwanted(self) -> None:
        """Forget what waits and is not wanted any more."""
        for behind in self._strands.values():
            for slot in [each for each in behind if not each.delivery.wanted]:
                behind.remove(slot)
                self._let_go(slot)
        ready, self._ready = self._ready, deque()
        for slot in ready:
            if slot.delivery.wanted:
                self._ready.append(slot)
            else:
                self._let_go(slot)
                self._next_of(slot)
        self._pump()

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
                slot = _Slot(said.of(online=True), "")
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
            self._settle(slot)
            slot.delivery.acknowledged()
        else:
            self._on_refused(slot, code)

    def on_room(self) -> None:
        """Publish on."""
        self._pump()

    def _pump(self) -> None:
        connection = self._connection
        while self._ready:
            slot = self._ready[0]
            if slot.delivery.wanted:
                if (
                    connection is None
                    or len(self._in_flight) >= self._limit
                    or not connection.is_writable
                ):
                    break
                try:
                    packet_id = connection.publish(slot.delivery.publication)
                except ValueError as error:
                    self._refuse(slot, str(error))
                else:
                    self._in_flight[packet_id] = slot
                # `_refuse` only adds behind.
                self._ready.popleft()
            else:
                self._ready.popleft()
                self._let_go(slot)
                self._next_of(slot)
        self._note_room()

    def _on_refused(self, slot: _Slot, code: int) -> None:
        """To the dead letter, or once more after a pause; its strand waits, the others go on.

        When one was refused on all its tries, the same refusal of others is believed at once until
        none has come for a while: a missing permission must not hold back at every message.
        """
        text = reason_text(PacketTypes.PUBACK, code)
        if isinstance(slot.delivery, Said):
            slot.delivery.refused(text)
            return
        metrics.REFUSED.labels(text).inc()
        if code == _TOO_LARGE:
            self._refuse(slot, f"PUBACK {text}")
            return
        loop = asyncio.get_running_loop()
        permanent = code in _PERMANENT_PUBACK
        if permanent or code in _DOUBTFUL_PUBACK:
            slot.tries += 1
            if slot.tries >= self._tries or loop.time() < self._believed.get(code, 0):
                if permanent:
                    self._believed[code] = loop.time() + _BELIEVED_S
                self._refuse(slot, f"PUBACK {text}")
                return
        log.warning("the MQTT broker did not take a message, trying it again", reason=text)
        pause = min(self._max_backoff, self._min_backoff * 2**slot.rests)
        slot.rests = min(slot.rests + 1, _MAX_RESTS)
        loop.call_later(pause, self._retry, slot)

    def _retry(self, slot: _Slot) -> None:
        self._ready.append(slot)
        self._pump()

    def _refuse(self, slot: _Slot, reason: str) -> None:
        self._settle(slot)
        slot.delivery.refused(reason)

    def _settle(self, slot: _Slot) -> None:
        slot.settled = True
        if isinstance(slot.delivery, Said):
            return
        self._let_go(slot)
        self._next_of(slot)
        self._progress = True
        if self._suspicious and self._connection is not None:
            self._suspicious = False
            self._limit = self._window(self._connection)

    def _let_go(self, slot: _Slot) -> None:
        self._held -= 1
        self._held_bytes -= slot.size
        self._note_room()

    def _next_of(self, slot: _Slot) -> None:
        """Whatever is behind it in its strand may go."""
        if slot.strand:
            behind = self._strands[slot.strand]
            if behind:
                self._ready.append(behind.popleft())
            else:
                del self._strands[slot.strand]

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
                    self._refuse(
                        lone,
                        f"the broker closed the connection on it {lone.tries} times: {loss.reason}",
                    )
            self._suspicious = True
        again = [slot for slot in self._in_flight.values() if not isinstance(slot.delivery, Said)]
        again = [slot for slot in again if not slot.settled]
        metrics.RESENT.inc(len(again))
        self._ready.extendleft(reversed(again))
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
