"""`chargelog-egress --replay`: the command line around `egress.replay`."""

import argparse
import asyncio
import re
import shlex
import signal
import sys
from collections.abc import Callable
from typing import Final

import msgspec
import structlog
import uvloop
from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from egress.publishing import publisher_of
from egress.records import routes
from egress.replay import Outcome, Replay, Span
from egress.settings import TOPIC_LEVELS, EgressSettings
from runtime import logs
from runtime.kafka import wait_for_kafka
from runtime.settings import EXIT_USAGE, from_environment, variables
from schemas import timestamps
from schemas.errors import ChargelogError, TimestampError

log = structlog.get_logger(__name__)

_PROG: Final = "chargelog-egress --replay"
_INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, as shells have it."""


def main(argv: list[str]) -> int:
    """Replay; 0 when everything was published, 1 when something was not, 130 when interrupted."""
    arguments = _parser().parse_args(argv)
    settings = from_environment(EgressSettings, prog=_PROG)
    logs.configure(settings.log_level, settings.log_format)
    settings = settings.model_copy(
        update={
            "mqtt_topic_prefix": arguments.prefix,
            # The live instance's names stay its own.
            "mqtt_status_topic": "",
            "mqtt_client_id": settings.mqtt_client_id and f"{settings.mqtt_client_id}-replay",
        }
    )
    if settings.topic_levels == _live_levels():
        sys.stderr.write(
            f"{_PROG}: --prefix {arguments.prefix} is the live egress's MQTT_TOPIC_PREFIX: "
            "subscribers would take the past for the present; choose another\n"
        )
        return EXIT_USAGE
    span = Span(
        from_us=arguments.start,
        to_us=arguments.end,
        offsets={(topic, number): offset for topic, number, offset in arguments.offset},
        charge_points=frozenset(arguments.charge_point),
        pace=arguments.pace,
    )
    try:
        outcome = uvloop.run(_replay(settings, span))
    except (ChargelogError, KafkaError, KafkaException) as error:
        log.error("the replay can't go on", error=str(error))  # noqa: TRY400 - one line says it all
        return 1
    _report(outcome, arguments)
    if not outcome.complete:
        return _INTERRUPTED
    return 1 if outcome.unreadable or outcome.refused else 0


async def _replay(settings: EgressSettings, span: Span) -> Outcome:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    publisher = publisher_of(settings)
    publishing = asyncio.create_task(publisher.run())
    try:
        await wait_for_kafka(settings.kafka)
        with _progress_bar() as progress:
            replay = Replay(
                settings.kafka,
                routes(settings),
                publisher,
                span,
                progress=progress,
            )
            return await replay.run(stop)
    finally:
        publishing.cancel()
        await asyncio.wait({publishing})


class _progress_bar:  # noqa: N801 - used as a context manager only
    """A bar on a terminal; nothing where the output goes to a file."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("replaying"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("records,"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> Callable[[int, int], None]:
        self._bar.start()
        return lambda done, total: self._bar.update(self._task, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def _report(outcome: Outcome, arguments: argparse.Namespace) -> None:
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(outcome).decode() + "\n")
        return
    sys.stdout.write(
        f"{outcome.published} messages published, {outcome.skipped} records left out, "
        f"{outcome.unreadable} unreadable, {outcome.refused} refused\n"
    )
    if not outcome.complete:
        sys.stdout.write(f"stopped before the end; to go on:\n  {_resume(outcome, arguments)}\n")


def _resume(outcome: Outcome, arguments: argparse.Namespace) -> str:
    words = ["chargelog-egress", "--replay", "--prefix", arguments.prefix]
    for name, micros in (("--from", arguments.start), ("--to", arguments.end)):
        if micros is not None:
            words += [name, timestamps.format_micros(micros)]
    if arguments.pace:
        words += ["--pace", f"{arguments.pace:g}"]
    for identity in arguments.charge_point:
        words += ["--charge-point", identity]
    for topic, number, offset in outcome.next_offsets:
        words += ["--offset", f"{topic}:{number}:{offset}"]
    return shlex.join(words)


def _live_levels() -> str:
    return from_environment(EgressSettings, prog=_PROG).topic_levels


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROG,
        description="Publish a part of the log again, under another MQTT prefix, up to the log's "
        "end at the start of the run. The live egress is not disturbed.",
        epilog=variables(EgressSettings),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--replay", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--prefix",
        required=True,
        type=_levels,
        help="topic levels before every topic, in place of MQTT_TOPIC_PREFIX",
    )
    parser.add_argument(
        "--from",
        dest="start",
        type=_time,
        metavar="TIME",
        help="records of this time and later, such as 2026-11-01T00:00:00Z; default: all",
    )
    parser.add_argument(
        "--to", dest="end", type=_time, metavar="TIME", help="records before this time"
    )
    parser.add_argument(
        "--offset",
        type=_offset,
        action="append",
        default=[],
        metavar="TOPIC:PARTITION:OFFSET",
        help="only this partition, from this offset on; may be repeated",
    )
    parser.add_argument(
        "--charge-point",
        action="append",
        default=[],
        metavar="ID",
        help="only this charge point; may be repeated",
    )
    parser.add_argument(
        "--pace",
        type=_pace,
        default=0.0,
        help="1: as fast as it happened, 60: an hour in a minute; default: as fast as it goes",
    )
    parser.add_argument("--json", action="store_true", help="the summary as JSON")
    return parser


def _levels(text: str) -> str:
    if not re.fullmatch(TOPIC_LEVELS, text) or not text.strip("/"):
        raise argparse.ArgumentTypeError(f"{text!r} is no MQTT topic name to put before others")
    return text


def _time(text: str) -> int:
    try:
        return timestamps.parse(text).micros
    except TimestampError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _offset(text: str) -> tuple[str, int, int]:
    found = re.fullmatch(r"([A-Za-z0-9._-]+):(\d+):(\d+)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not like ocpp.frames:0:1200")
    return found[1], int(found[2]), int(found[3])


def _pace(text: str) -> float:
    try:
        pace = float(text)
    except ValueError:
        pace = 0.0
    if not 0 < pace < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return float(pace)
