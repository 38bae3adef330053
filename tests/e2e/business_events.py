"""The business events of one charge point, as they come out of a running stack."""

from collections.abc import Iterator
from contextlib import contextmanager

from mqtt_subscriber import Received, subscriber

from devstack.stack import Stack


@contextmanager
def business_events(stack: Stack, client_id: str, *more: str) -> Iterator[Received]:
    """A subscriber to them, and to more topic filters; it has what comes from now on."""
    topics = (f"csms/+/{client_id}/+", *more)
    with subscriber(stack.mqtt.host, stack.mqtt.port, *topics) as received:
        yield received
