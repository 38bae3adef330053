"""The commands of `chargelog-devstack`."""

import argparse
import time
from pathlib import Path
from typing import Final, get_args

from rich.console import Console

from devstack.demo import demo
from devstack.display import Steps
from devstack.errors import DevstackError, StartError
from devstack.kafka import KafkaBroker
from devstack.kafka_jars import class_path
from devstack.mqtt import MqttBroker
from devstack.process import LocalProcess
from devstack.settings import StackSettings
from devstack.stack import Ports, Stack
from page.mqtt_js import MQTT_JS
from page.npm_package import FetchError, fetch
from runtime.settings import from_environment
from schemas.errors import ChargelogError
from schemas.frames import Protocol

_PROG: Final = "chargelog-devstack"
_CHECK_S: Final = 0.5


def run(arguments: argparse.Namespace) -> int:
    """Run the command that the command line names; 0 all well, 1 failed with the reason shown.

    Raises:
        KeyboardInterrupt: A signal ended it; everything it started is gone.
    """
    console = Console(stderr=True)
    try:
        match arguments.command:
            case "demo":
                return demo(from_environment(StackSettings, prog=_PROG))
            case "run":
                _run_stack(arguments.directory, console)
            case "kafka":
                broker = KafkaBroker(arguments.directory / "kafka", port=arguments.port)
                _stay_up(broker, f"Kafka: {broker.bootstrap_servers}", console)
            case "mqtt":
                mqtt = MqttBroker(
                    arguments.directory / "mqtt",
                    port=arguments.port,
                    v311_port=arguments.v311_port,
                    websocket_port=arguments.websocket_port,
                )
                addresses = (
                    f"MQTT 5: {mqtt.host}:{mqtt.port}, MQTT 3.1.1: {mqtt.host}:{mqtt.v311_port}, "
                    f"websockets: {mqtt.host}:{mqtt.websocket_port}"
                )
                _stay_up(mqtt, addresses, console)
            case "fetch":
                with Steps(console) as steps:
                    class_path(lambda done, total: steps.report("fetching Kafka", done, total))
                    steps.report("fetching mqtt.js", 0, 1)
                    fetch(MQTT_JS)
                    steps.report("fetching mqtt.js", 1, 1)
    except (ChargelogError, DevstackError, FetchError) as error:
        console.print(f"{_PROG}: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    return 0


def _run_stack(directory: Path, console: Console) -> None:
    settings = from_environment(StackSettings, prog=_PROG)
    with Steps(console) as steps:
        ports = Ports.of(settings)
        stack = Stack(settings, directory, ports=ports, report=steps.report, page=True).start()
    try:
        _print_addresses(stack, directory)
        while True:
            time.sleep(_CHECK_S)
            stack.check()
    finally:
        console.print("stopping …")
        stack.stop()


def _print_addresses(stack: Stack, directory: Path) -> None:
    ports = stack.ports
    rows = {
        "charge points": f"{stack.ingress_url}/<identity>  ({', '.join(get_args(Protocol))})",
        "Kafka": stack.kafka.bootstrap_servers,
        "ingress": f"http://127.0.0.1:{ports.ingress_ops}/readyz and /metrics",
        "processor": f"http://127.0.0.1:{ports.processor_web}/readyz and /metrics",
    }
    if "egress" in stack.services:
        rows["egress"] = f"http://127.0.0.1:{ports.egress_ops}/readyz and /metrics"
        rows["MQTT"] = f"{stack.mqtt.host}:{stack.mqtt_port}  (topics ocpp/#, csms/#)"
    if "page" in stack.services:
        rows["live page"] = f"http://localhost:{ports.page}"
    elif "egress" in stack.services:
        rows["live page"] = "needs PAGE_MQTT_URL, the websocket listener of your MQTT broker"
    rows["logs and data"] = f"{directory}/"
    for name, address in rows.items():
        print(f"{name:<14} {address}")
    print("Ctrl-C stops everything.", flush=True)


def _stay_up(broker: LocalProcess, addresses: str, console: Console) -> None:
    with broker:
        print(addresses, flush=True)
        console.print("Ctrl-C stops it.")
        while broker.running:
            time.sleep(_CHECK_S)
        raise StartError(
            f"{broker.name} ended; its log {broker.log_path} says:\n{broker.log_tail()}"
        )
