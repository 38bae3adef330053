"""`make demo`: charge points charge, their frames and events come out over MQTT, the sums agree."""

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console

from devstack import latency
from devstack.display import Steps, print_message
from devstack.errors import DevstackError, StartError
from devstack.latency import Arrival, Latency
from devstack.settings import StackSettings
from devstack.simulator import CompressedClock, Record, operate, plan
from devstack.stack import Ports, Stack
from devstack.subscriber import MqttSubscriber, TopicReader
from devstack.verdict import (
    MqttMessage,
    Outcome,
    Totals,
    disagreements,
    expected_messages,
    totals,
)
from schemas.codec import event_codec, frame_codec
from schemas.errors import ChargelogError
from schemas.mqtt import escape_level

CHARGE_POINTS: Final = {"garage-1": "ocpp1.6", "garage-2": "ocpp1.6", "plaza-1": "ocpp2.0.1"}
"""Identity and subprotocol."""
SEED: Final = 2023
_SPEED: Final = 1200.0
"""Ten simulated minutes take half a second."""
_HISTORY: Final = timedelta(hours=2)
"""The simulated sessions lie in the past, so that compressed time does not run ahead of us."""
_BOTH_STREAMS: Final = {
    "mqtt_enabled": True,
    "mqtt_business_events_enabled": True,
    "mqtt_protocol_events_enabled": True,
}
_ARRIVAL_TIMEOUT_S: Final = 30.0
_QUIET_S: Final = 1.0
"""How long to look for messages that should not come."""
_CHECK_S: Final = 0.2


class Summary(NamedTuple):
    """What the last lines say."""

    totals: Totals
    frames: Latency | None
    events: Latency | None


def demo(settings: StackSettings, seed: int = SEED) -> int:
    """Run the whole story; 0 if everything agrees, 1 with the reason on stderr where not."""
    settings = settings.model_copy(update=_BOTH_STREAMS)
    out, err = Console(), Console(stderr=True)
    directory = Path(tempfile.mkdtemp(prefix="chargelog-demo-"))
    keep = True
    try:
        problems = _demo(settings, seed, directory, out, err)
        keep = bool(problems)
    except KeyboardInterrupt:
        keep = False
        raise
    finally:
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)
    for problem in problems:
        err.print(f"demo: {problem}", style="red", markup=False, highlight=False, soft_wrap=True)
    if problems:
        err.print(f"demo: logs and data are kept in {directory}", markup=False, soft_wrap=True)
    return 1 if problems else 0


def _demo(
    settings: StackSettings, seed: int, directory: Path, out: Console, err: Console
) -> list[str]:
    try:
        with Steps(err) as steps:
            stack = Stack(settings, directory, ports=Ports.free(), report=steps.report).start()
        try:
            summary, problems = asyncio.run(_story(stack, settings, seed, out))
        finally:
            with Steps(err) as steps:
                steps.report("stopping", 0, 1)
                stack.stop()
                steps.report("stopping", 1, 1)
    except (ChargelogError, DevstackError) as error:
        return [str(error)]
    _print_summary(out, summary)
    return problems


async def _story(
    stack: Stack, settings: StackSettings, seed: int, out: Console
) -> tuple[Summary, list[str]]:
    identities = _identities(settings)
    levels = {escape_level(identity) for identity in identities}
    messages: list[MqttMessage] = []
    arrivals: list[Arrival] = []

    def receive(arrival: Arrival) -> None:
        message = arrival.message
        print_message(out, message.topic, message.payload)
        if message.client_id in levels:
            messages.append(message)
            arrivals.append(arrival)

    reader = TopicReader(stack.kafka.access, [stack.topics.frames, stack.topics.events])
    await asyncio.to_thread(reader.start)
    subscriber = MqttSubscriber(stack.mqtt.host, stack.mqtt_port, settings, receive)
    await subscriber.start()
    try:
        records = await _operate_all(stack, identities, seed)
        await _arrive(stack, messages, expected_messages(records))
    finally:
        subscriber.stop()
    values = await asyncio.to_thread(reader.read)
    frames, events = frame_codec(), event_codec()
    outcome = Outcome(
        frames=[
            f for f in map(frames.decode, values[stack.topics.frames]) if f.client_id in identities
        ],
        events=[
            e for e in map(events.decode, values[stack.topics.events]) if e.client_id in identities
        ],
        messages=messages,
    )
    sent = {
        (record.client_id, request_id): at_ns
        for record in records
        for request_id, at_ns in record.sent_ns.items()
    }
    summary = Summary(
        totals(records, outcome), latency.of_frames(arrivals, sent), latency.of_events(arrivals)
    )
    return summary, disagreements(records, outcome)


def _identities(settings: StackSettings) -> dict[str, str]:
    if settings.existing_kafka is None:
        return CHARGE_POINTS
    # An existing log may know these names from an earlier demo.
    suffix = secrets.token_hex(3)
    return {f"{identity}-{suffix}": version for identity, version in CHARGE_POINTS.items()}


async def _operate_all(stack: Stack, identities: Mapping[str, str], seed: int) -> list[Record]:
    clock = CompressedClock(datetime.now(UTC) - _HISTORY, _SPEED)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(
                    operate(stack.ingress_url, identity, plan(seed, identity), clock, version)
                )
                for identity, version in identities.items()
            ]
    except ExceptionGroup as failures:
        stack.check()
        failure: Exception = failures
        while isinstance(failure, ExceptionGroup):
            failure = failure.exceptions[0]
        log = stack.services["ingress"].log_path
        raise StartError(f"a charge point failed: {failure!r}; see {log}") from failures
    return [task.result() for task in tasks]


async def _arrive(stack: Stack, messages: Sequence[MqttMessage], expected: int) -> None:
    deadline = asyncio.get_running_loop().time() + _ARRIVAL_TIMEOUT_S
    while len(messages) < expected and asyncio.get_running_loop().time() < deadline:
        stack.check()
        await asyncio.sleep(_CHECK_S)
    await asyncio.sleep(_QUIET_S)


def _print_summary(out: Console, summary: Summary) -> None:
    totals = summary.totals
    figures = (
        f"{totals.charge_points} charge points, {totals.frames} frames and "
        f"{totals.events} events on Kafka, {totals.messages} MQTT messages; "
        f"{totals.sessions} sessions, {totals.energy_kwh} kWh, "
        f"{totals.cost} {totals.currency}"
    )
    lines = [figures]
    if summary.frames is not None and summary.events is not None:
        lines.append(
            f"a frame was with the MQTT subscriber after {summary.frames.p50:.0f} ms, "
            f"99 of 100 within {summary.frames.p99:.0f} ms; the event it caused after "
            f"{summary.events.p50:.0f} ms and {summary.events.p99:.0f} ms"
        )
    for line in lines:
        out.print(line, highlight=False, style="bold", soft_wrap=True)
