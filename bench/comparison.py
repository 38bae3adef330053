"""Contenders measured in turn, so that whatever else the machine does meets them all alike.

A benchmark on a shared machine tells little by its seconds and much by its ratios, and those only
if both sides ran under the same conditions: one contender after the other, round by round, and of
each the median.
"""

from collections.abc import Callable, Mapping
from statistics import median
from typing import Final, TypeAlias

Contender: TypeAlias = Callable[[], float]
"""Runs once; returns its figure, such as frames per second."""

_DIGITS: Final = 3


def interleaved(contenders: Mapping[str, Contender], rounds: int) -> dict[str, float]:
    """The median figure of each contender over the rounds."""
    figures: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            figures[name].append(contender())
    return {name: median(values) for name, values in figures.items()}


def bench_line(name: str, figure: float, unit: str, peer: str, peer_figure: float) -> str:
    """`BENCH <name> <figure> <unit> ratio=<figure / peer's figure> vs=<peer>`."""
    return f"BENCH {name} {_shown(figure)} {unit} ratio={figure / peer_figure:.2f} vs={peer}"


def report(case: str, unit: str, figures: Mapping[str, float], subject: str) -> None:
    """Print the subject against every other contender, then the others against the subject."""
    own = figures[subject]
    others = [name for name in figures if name != subject]
    for peer in others:
        print(bench_line(f"{case}/{subject}", own, unit, peer, figures[peer]), flush=True)
    for peer in others:
        print(bench_line(f"{case}/{peer}", figures[peer], unit, subject, own), flush=True)


def compare(
    case: str, unit: str, contenders: Mapping[str, Contender], *, subject: str, rounds: int
) -> dict[str, float]:
    """Measure and print; the medians."""
    figures = interleaved(contenders, rounds)
    report(case, unit, figures, subject)
    return figures


def _shown(figure: float) -> str:
    if abs(figure) >= 10**_DIGITS:
        return f"{figure:.0f}"
    return f"{figure:.{_DIGITS}g}"
