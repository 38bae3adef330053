"""Which publications leave: MQTT topic filters on the contract's topics. Pure."""

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from egress.errors import TopicFilterError

Selects: TypeAlias = Callable[[str], bool]


def selection(only: Sequence[str], without: Sequence[str]) -> Selects:
    """Whether a topic, without the prefix, is published.

    Args:
        only: Topic filters (MQTT 5 §4.7); none: everything.
        without: Topic filters of what is left out, even where `only` has it.

    Raises:
        TopicFilterError: One is no topic filter.
    """
    wanted = _any_of(only) if only else None
    unwanted = _any_of(without) if without else None

    def selects(topic: str) -> bool:
        if wanted is not None and wanted.fullmatch(topic) is None:
            return False
        return unwanted is None or unwanted.fullmatch(topic) is None

    return selects


def _any_of(filters: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(_pattern(text) for text in filters), re.DOTALL)


def _pattern(text: str) -> str:
    levels = text.split("/")
    pattern = ""
    for number, level in enumerate(levels):
        last = number == len(levels) - 1
        slash = "/" if number else ""
        if level == "#" and last:
            # It includes the level above (MQTT 5 §4.7.1.2).
            pattern += f"(?:{slash}.*)?"
        elif level == "+":
            pattern += f"{slash}[^/]*"
        elif "#" in level or "+" in level:
            raise TopicFilterError(
                f"{text!r} is no MQTT topic filter: + must be a whole level, # the whole last one"
            )
        else:
            pattern += slash + re.escape(level)
    if not text:
        raise TopicFilterError("an empty text is no MQTT topic filter")
    return pattern
