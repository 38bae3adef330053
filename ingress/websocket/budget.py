"""How much all connections together may hold of what is not handled yet.

One connection's own limits (size of a message, one read ahead) bound what one peer can take; ten
thousand peers take ten thousand times that. Where all together are over the budget, those are
chosen to end that hold most for longest: a charge point's message is whole within moments and
handled within moments, and mostly too small to count; one made to take memory stays.
"""

from collections.abc import Hashable
from typing import Final, Generic, TypeVar

import msgspec

H = TypeVar("H", bound=Hashable)

_AFTERWARDS: Final = 0.9
"""The part of the budget that is taken once some were ended: not each byte should choose anew."""
_MOMENT_S: Final = 0.1
"""Added to each age, so that among those that came just now size decides."""


class _Share(msgspec.Struct):
    """What one connection holds.

    Attributes:
        held: Bytes, in all.
        freeable: Of these, the bytes that its end would free.
        since_s: When it began to hold.
    """

    held: int
    freeable: int
    since_s: float


class Budget(Generic[H]):
    """The sum of what its holders hold, and who must go when that is too much.

    Args:
        limit: Bytes.
    """

    def __init__(self, limit: int) -> None:
        self.held = 0
        self._limit = limit
        self._shares: dict[H, _Share] = {}

    def weigh(self, holder: H, held: int, freeable: int, now_s: float) -> list[H]:
        """Enter what a holder holds now; returns those that have to be ended, mostly none.

        Whoever is ended is weighed again by the caller, with what is left of it.

        Args:
            holder: Of the bytes.
            held: Bytes; 0: it is forgotten.
            freeable: Of these, the bytes that its end would free.
            now_s: A monotonic clock.
        """
        share = self._shares.get(holder)
        if share is None:
            share = _Share(0, 0, now_s)
            if held:
                self._shares[holder] = share
        elif not held:
            del self._shares[holder]
        self.held += held - share.held
        share.held, share.freeable = held, freeable
        return [] if self.held <= self._limit else self._those_to_end(now_s)

    def _those_to_end(self, now_s: float) -> list[H]:
        freeable = [(holder, share) for holder, share in self._shares.items() if share.freeable]
        freeable.sort(
            key=lambda each: each[1].freeable * (now_s - each[1].since_s + _MOMENT_S), reverse=True
        )
        excess = self.held - self._limit * _AFTERWARDS
        chosen = []
        for holder, share in freeable:
            if excess <= 0:
                break
            chosen.append(holder)
            excess -= share.freeable
        return chosen
