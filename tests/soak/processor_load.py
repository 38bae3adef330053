"""A constant load of generated charge points, with a poisoned record now and then."""

import random
import threading
import time
from typing import Final

from confluent_kafka import Producer
from msgspec.structs import replace

from bench.charging import fleet_frames
from runtime.kafka import JAVA_PARTITIONER
from schemas.codec import frame_codec
from schemas.frames import OcppFrame
from schemas.topics import TopicNames

_TICK_S: Final = 0.05
_POISON_EVERY: Final = 997


class Load:
    """Appends frames at a rate, until `stop`. A broker that is away is waited for.

    Attributes:
        sent: Records handed over so far.
    """

    def __init__(
        self, bootstrap_servers: str, names: TopicNames, *, rate: int, charge_points: int, seed: int
    ) -> None:
        self._topic = names.frames
        self._rate = rate
        self._frames = fleet_frames(charge_points, seed)
        self._dice = random.Random(seed)  # noqa: S311 - dice, not a secret
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap_servers,
                "partitioner": JAVA_PARTITIONER,
                "enable.idempotence": True,
                "message.timeout.ms": 0,  # never gives up
                "linger.ms": 10,
                "log_level": 0,  # the broker goes away on purpose
            }
        )
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")
        self.sent = 0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; what was handed over is on the log."""
        self._stopped.set()
        self._thread.join()
        assert self._producer.flush(120) == 0, "the load could not be appended"

    def _run(self) -> None:
        codec = frame_codec()
        begin = time.monotonic()
        while not self._stopped.wait(_TICK_S):
            due = int((time.monotonic() - begin) * self._rate) - self.sent
            # What the time of a slow machine has piled up is not caught up with in one burst.
            for frame in (next(self._frames) for _ in range(min(due, self._rate))):
                key = frame.client_id.encode()
                self._append(key, codec.encode(frame))
                if self._dice.randrange(_POISON_EVERY) == 0:
                    self._append(key, b"no frame")
                    self._append(key, codec.encode(_indigestible(frame)))
            self._producer.poll(0)

    def _append(self, key: bytes, value: bytes) -> None:
        while True:
            try:
                self._producer.produce(self._topic, key=key, value=value)
            except BufferError:
                self._producer.poll(0.5)
            else:
                self.sent += 1
                return


def _indigestible(frame: OcppFrame) -> OcppFrame:
    return replace(
        frame,
        kind="CALL",
        direction="inbound",
        action="StatusNotification",
        raw=b'[2,"p","StatusNotification",{"status":"Charging"}]',
    )
