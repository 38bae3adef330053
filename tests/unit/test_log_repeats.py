import logging

import pytest

from runtime.log_repeats import OncePer


def test_a_repeated_message_passes_once_per_period_with_a_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]
    logger = logging.getLogger("test.once-per")
    once = OncePer(10, lambda: now[0])
    logger.addFilter(once)
    try:
        for now[0] in (0.0, 1.0, 2.0, 10.0, 11.0):
            logger.warning("node %s is away", 1)
        logger.warning("something else")
    finally:
        logger.removeFilter(once)
    assert caplog.messages == [
        "node 1 is away",
        "node 1 is away (2 more like this before)",
        "something else",
    ]
