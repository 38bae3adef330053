"""Holds back what a library logs several times a second while its peer is away."""

import logging
import time
from collections.abc import Callable


class OncePer(logging.Filter):
    """Lets a message text (before its arguments) through once in `period_s`, with a count.

    Args:
        period_s: Seconds.
        clock_s: A monotonic clock.
    """

    def __init__(self, period_s: float, clock_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._period_s = period_s
        self._clock_s = clock_s
        self._seen: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log it; a message that passes says how many like it were held back."""
        template = str(record.msg)
        now = self._clock_s()
        last, held_back = self._seen.get(template, (-self._period_s, 0))
        if now - last < self._period_s:
            self._seen[template] = (last, held_back + 1)
            return False
        self._seen[template] = (now, 0)
        if held_back:
            record.msg = f"{template} ({held_back} more like this before)"
        return True
