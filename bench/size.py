"""How much a benchmark does."""

import msgspec


class Size(msgspec.Struct, frozen=True):
    """Passed to every case.

    Attributes:
        name: `full`, whose figures may be quoted, or `quick`, which shows that the case runs.
        rounds: How often each contender runs; the median counts.
    """

    name: str
    rounds: int

    def of(self, full: int, quick: int) -> int:
        """The count for this size."""
        return full if self.name == "full" else quick


FULL = Size("full", 3)
QUICK = Size("quick", 1)
SIZES = {size.name: size for size in (FULL, QUICK)}
