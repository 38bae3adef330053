"""What is done to the workers and the broker, and when: the same seed, the same schedule."""

import random
from typing import Final, Literal, TypeAlias, get_args

import msgspec

Deed: TypeAlias = Literal["kill", "term", "pause", "add", "remove", "broker_stop", "broker_kill"]
DEEDS: Final[tuple[Deed, ...]] = get_args(Deed)

_WARM_UP_S: Final = 4.0
_CALM_S: Final = 6.0
"""Nothing is done at the end, so that what was begun is seen through under load."""
_APART_S: Final = 6.5
_PAUSE_S: Final = (8.0, 11.0)
"""Longer than the workers' session timeout, 6 s."""


class Step(msgspec.Struct, frozen=True):
    """One deed.

    Attributes:
        at: Seconds after the start.
        deed: What is done.
        pick: From 0 to below 1: which worker, among those there are then.
        seconds: How long a pause lasts, or the broker stays away.
    """

    at: float
    deed: Deed
    pick: float
    seconds: float


def schedule(seed: int, duration: float) -> list[Step]:
    """Rounds of every deed in a random order; at least one round, however short the time."""
    dice = random.Random(seed)  # noqa: S311 - dice, not a secret
    span = max(duration - _WARM_UP_S - _CALM_S, 1.0)
    rounds = max(1, round(span / (_APART_S * len(DEEDS))))
    deeds: list[Deed] = []
    for _ in range(rounds):
        one = list(DEEDS)
        dice.shuffle(one)
        add, remove = one.index("add"), one.index("remove")
        if remove < add:  # never fewer workers than at the start
            one[add], one[remove] = one[remove], one[add]
        deeds += one
    apart = span / len(deeds)
    return [
        Step(
            at=_WARM_UP_S + apart * (number + dice.uniform(0, 0.5)),
            deed=deed,
            pick=dice.random(),
            seconds=dice.uniform(*_PAUSE_S) if deed == "pause" else dice.uniform(1.0, 3.0),
        )
        for number, deed in enumerate(deeds)
    ]
