"""How often a charge point may try a password."""

from typing import Final

_WINDOW_S: Final = 60.0
_MAX_ENTRIES: Final = 10_000
_ADDRESS_FACTOR: Final = 20
"""An address may stand for a whole site behind one router, or for a load balancer."""


class Attempts:
    """Counts attempts of the last minute, by identity and address, and failures by address.

    An attempt counts from its begin, so that many at once are no way around the limit; a right
    password takes it back.

    Args:
        limit: Failures a minute for one identity from one address; 20 times as many for an address.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pairs = _Windows()
        self._addresses = _Windows()

    def begin(self, address: str, identity: str, now_s: float) -> bool:
        """Whether it may be tried; counts the attempt if so.

        Args:
            address: Where the connection comes from.
            identity: The charge point that it says it is.
            now_s: A monotonic clock.
        """
        pair = f"{address} {identity}"
        if (
            self._pairs.count(pair, now_s) >= self._limit
            or self._addresses.count(address, now_s) >= self._limit * _ADDRESS_FACTOR
        ):
            return False
        self._pairs.add(pair, now_s, 1)
        return True

    def withdrawn(self, address: str, identity: str, now_s: float) -> None:
        """The attempt does not count: it was a right password, or was not looked at."""
        self._pairs.add(f"{address} {identity}", now_s, -1)

    def failed(self, address: str, now_s: float) -> None:
        """The attempt was a wrong one."""
        self._addresses.add(address, now_s, 1)


class _Windows:
    """Counts by key, each from zero again a minute after its first."""

    def __init__(self) -> None:
        self._counts: dict[str, tuple[float, int]] = {}

    def count(self, key: str, now_s: float) -> int:
        begun, count = self._counts.get(key, (now_s, 0))
        return count if now_s - begun < _WINDOW_S else 0

    def add(self, key: str, now_s: float, number: int) -> None:
        count = self.count(key, now_s)
        begun = self._counts[key][0] if count else now_s
        if count + number > 0:
            self._counts[key] = (begun, count + number)
        else:
            self._counts.pop(key, None)
        if len(self._counts) > _MAX_ENTRIES:
            self._forget(now_s)

    def _forget(self, now_s: float) -> None:
        """Forget what is over, and the oldest tenth in any case: memory stays bounded."""
        live = [item for item in self._counts.items() if now_s - item[1][0] < _WINDOW_S]
        self._counts = dict(live[_MAX_ENTRIES // 10 :])
