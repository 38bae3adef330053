"""How fast a connection is read."""


class Pace:
    """A token bucket: `frames_per_s` frames a second, and as many at once after a pause.

    A connection that sends faster is read slower, and TCP holds its sender back; nothing is
    dropped.
    """

    __slots__ = (
        "_last_s",
        "_rate",
        "_tokens",
    )

    def __init__(self, frames_per_s: float, now_s: float) -> None:
        self._rate = frames_per_s
        self._tokens = frames_per_s
        self._last_s = now_s

    def delay(self, now_s: float) -> float:
        """Seconds to wait before the frame that has just come is handled.

        Args:
            now_s: A monotonic clock.
        """
        tokens = min(self._rate, self._tokens + (now_s - self._last_s) * self._rate) - 1
        self._tokens = tokens
        self._last_s = now_s
        return 0.0 if tokens >= 0 else -tokens / self._rate
