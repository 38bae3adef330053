"""The live page in a real headless Chromium, reading MQTT from real brokers."""

import asyncio
import json
import os
import re
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from browser_kit import (
    DESKTOP,
    PHONE,
    Form,
    Screen,
    address,
    live,
    publisher,
    running_browser,
    screen,
    screens,
    violations,
)
from paho.mqtt.client import Client
from playwright.async_api import Browser
from test_server import page_service

from devstack.mqtt import Mosquitto, MqttBroker
from devstack.process import free_port
from devstack.service import Service
from devstack.simulator import CompressedClock, PlannedSession, operate, plan
from devstack.stack import Stack
from schemas.event_json import to_json
from schemas.events import (
    BusinessEvent,
    EventType,
    MeterReading,
    Payload,
    SessionCost,
    Started,
    StatusChanged,
)
from schemas.mqtt import event_topic

pytestmark = [pytest.mark.chromium, pytest.mark.asyncio(loop_scope="module")]

UNKNOWN: Final = "\N{EN DASH}"
"""What stands for a value that no message has given."""
EVENT_TYPES: Final[dict[type[Payload], EventType]] = {
    Started: "started",
    MeterReading: "meter_reading",
    StatusChanged: "status_changed",
    SessionCost: "session_cost",
}


@pytest.fixture(scope="module")
def broker() -> Iterator[MqttBroker]:
    with MqttBroker() as running:
        yield running


@pytest.fixture(scope="module")
def service(broker: MqttBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    url = f"ws://127.0.0.1:{broker.websocket_port}"
    with page_service(tmp_path_factory.mktemp("page"), url) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with running_browser() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def shown(browser: Browser, service: Service) -> AsyncIterator[Screen]:
    async with screen(browser, address(service)) as one:
        yield one


def publish(client: Client, client_id: str, payload: Payload) -> None:
    now = time.time_ns()
    event_type = EVENT_TYPES[type(payload)]
    event = BusinessEvent(
        timestamp=now // 1000,
        client_id=client_id,
        event_type=event_type,
        event_id=f"{event_type}_{now}",
        payload=payload,
    )
    client.publish(event_topic(event_type, client_id), to_json(event), qos=1)


def publish_status(client: Client, client_id: str, status: str = "Available") -> None:
    payload = StatusChanged(
        connector_id=1,
        status=status,
        previous_status="Unknown",
        transaction_id=None,
        error_code="NoError",
    )
    publish(client, client_id, payload)


@pytest.mark.e2e
@pytest.mark.timeout(300)
async def test_it_shows_a_session_from_its_start_to_its_bill(
    browser: Browser, stack: Stack, mqtt: MqttBroker, tmp_path: Path
) -> None:
    # With MQTT_HOST set the broker is someone else's, and so is the address of its listener.
    url = os.environ.get("PAGE_MQTT_URL") or f"ws://127.0.0.1:{mqtt.websocket_port}"
    clock = CompressedClock(datetime.now(UTC) - timedelta(hours=3), 2400.0)
    slower = CompressedClock(datetime.now(UTC) - timedelta(hours=3), 600.0)
    forms: dict[str, Form] = {
        "desktop-light": (DESKTOP, "light"),
        "desktop-dark": (DESKTOP, "dark"),
        "phone-light": (PHONE, "light"),
        "phone-dark": (PHONE, "dark"),
    }
    names = ("page-1", "page-2", "page-3")
    with page_service(tmp_path, url) as service:
        async with screens(browser, address(service), *forms.values()) as windows:
            desktop = windows[0]
            for window in windows:
                await live(window)
            records = await asyncio.gather(
                *(operate(stack.ingress_url, name, plan(1, name), clock) for name in names)
            )
            assert sum(len(record.sessions) for record in records) == 6
            await desktop.page.fill("#event-filter", "session_cost")
            await desktop.wait("document.querySelectorAll('#events > li').length === 6")
            assert await desktop.text("#figure-sessions") == "0"
            said = await desktop.page.locator("#events .says").all_inner_texts()
            costs = [float(re.findall(r"US\$([0-9.]+)", text)[0]) for text in said]
            billed = await desktop.text("#figure-billed")
            assert billed == f"US${sum(costs):.2f}"
            await desktop.page.fill("#event-filter", "")
            # Now that bills have named the rate: two connectors each, charging all the time.
            charging = [
                asyncio.create_task(operate(stack.ingress_url, name, endless(name), slower))
                for name in names
            ]
            for window in windows:
                estimates = "document.querySelector('#sessions').textContent.match(/≈ US/g)"
                await window.wait(f"{estimates}?.length === 6")
                drawn = "document.querySelectorAll('.curve polyline[points]')"
                await window.wait(f"{drawn}.length === 6")
            assert await desktop.text("#figure-charge-points") == "3"
            assert (await desktop.text("#charge-points")).count("Charging") == 6
            assert await desktop.text("#figure-lag") != UNKNOWN
            for window, name in zip(windows, forms, strict=True):
                await window.keep(f"page-{name}")
                if name in {"desktop-light", "phone-dark"}:
                    assert await violations(window) == []
                width = await window.page.evaluate("document.documentElement.scrollWidth")
                assert width == await window.page.evaluate("window.innerWidth")
            assert not any(task.done() for task in charging)
            for task in charging:
                task.cancel()
            await asyncio.gather(*charging, return_exceptions=True)
            assert [window.complaints for window in windows] == [[], [], [], []]


def endless(name: str) -> list[PlannedSession]:
    """Sessions that outlast the test: 1,000 samples, one a second."""
    return [
        session._replace(
            samples=tuple(
                first._replace(
                    register=session.meter_start + 600 * number,
                    power=first.power - first.power // 20 * (number % 7),
                )
                for number, first in enumerate(session.samples[:1] * 1000, start=1)
            )
        )
        for session in plan(2, name)
    ]


async def test_it_comes_back_after_the_broker_was_gone(browser: Browser, tmp_path: Path) -> None:
    with MqttBroker(tmp_path / "mqtt") as broker:
        url = f"ws://127.0.0.1:{broker.websocket_port}"
        with page_service(tmp_path, url) as service:
            async with screen(browser, address(service)) as shown:
                with publisher(broker.port) as client:
                    publish_status(client, "before")
                    await shown.wait(
                        "document.getElementById('charge-points').innerText.includes('before')"
                    )
                broker.kill()
                await shown.wait("document.getElementById('connection').dataset.state !== 'live'")
                broker.start()
                await live(shown)
                assert "messages of that time are missing here" in await shown.text("#notice")
                with publisher(broker.port) as client:
                    publish_status(client, "after")
                    await shown.wait(
                        "document.getElementById('charge-points').innerText.includes('after')"
                    )
                # What it knew before is still there.
                assert "before" in await shown.text("#charge-points")


async def test_thousands_of_messages_stay_within_a_bounded_page(
    broker: MqttBroker, shown: Screen
) -> None:
    with publisher(broker.port) as client:
        for number in range(6000):
            publish_status(client, f"many-{number % 1500}", f"Status{number}")
        await shown.wait("document.getElementById('figure-charge-points').textContent === '1,500'")
        await shown.wait("document.getElementById('events').textContent.includes('Status5999')")
    elements = await shown.page.evaluate("document.querySelectorAll('*').length")
    assert elements < 3000
    # It still answers, and finds what is not shown.
    await shown.page.fill("#charge-point-filter", "many-1499")
    await shown.wait("document.querySelectorAll('#charge-points > li').length === 1")
    await shown.page.click("#older")
    await shown.wait("document.querySelectorAll('#events > li').length === 100")
    assert shown.complaints == []


async def test_what_anyone_may_publish_is_shown_as_text_and_breaks_nothing(
    broker: MqttBroker, shown: Screen
) -> None:
    script = "<img src=x onerror=\"document.title='hacked'\">"
    with publisher(broker.port) as client:
        for raw in (b"", b"no json", b"\xff\xfe", b"[[[[", b'{"clientId":{}}', script.encode()):
            client.publish("csms/transactions/x/started", raw, qos=1)
        publish_status(client, script, script)
        strange: dict[str, Any] = {"transactionId": [], "connectorId": {}, "totalEnergy": "much"}
        message = {"clientId": "odd", "eventType": "meter_reading", "payload": strange}
        client.publish("csms/transactions/odd/meter_reading", json.dumps(message), qos=1)
        publish_status(client, "good")
        await shown.wait("document.getElementById('charge-points').innerText.includes('good')")
        await shown.wait("document.querySelectorAll('[data-kind=unreadable] .type').length === 6")
    assert script in await shown.text("#charge-points")
    assert await shown.page.locator("#charge-points img, #events img").count() == 0
    assert await shown.page.title() == "Chargelog live"
    assert shown.complaints == []


async def test_energy_and_cost_so_far_are_what_mqtt_said_and_no_more(
    broker: MqttBroker, shown: Screen
) -> None:
    now = time.time_ns() // 1000
    started = Started(
        transaction_id=1,
        connector_id=1,
        id_tag="user123",
        meter_start=1000,
        start_time=now - 60_000_000,
        status="started",
    )
    reading = MeterReading(
        transaction_id=1,
        connector_id=1,
        timestamp=now,
        measurands={},
        current_power=7.2,
        total_energy=12.5,
    )
    bill = SessionCost(
        transaction_id=0,
        connector_id=1,
        id_tag="other",
        start_time=now,
        end_time=now,
        energy_consumed=1.0,
        duration=1.0,
        estimated_cost=Decimal("0.20"),
        currency="EUR",
        pricing_model="energy_based",
        energy_rate=Decimal("0.20"),
        time_rate=Decimal(0),
    )
    facts = "#sessions > li:has-text('money') dd"
    with publisher(broker.port) as client:
        publish(client, "money", started)
        await shown.wait("document.getElementById('sessions').innerText.includes('money')")
        assert (await shown.page.locator(facts).all_inner_texts())[:2] == [UNKNOWN, UNKNOWN]
        publish(client, "money", reading)
        await shown.wait("document.getElementById('sessions').innerText.includes('11.500 kWh')")
        assert (await shown.page.locator(facts).all_inner_texts())[1] == UNKNOWN
        publish(client, "money", bill)
        await shown.wait("document.getElementById('sessions').innerText.includes('≈ €2.30')")
    assert shown.complaints == []


async def test_the_keyboard_reaches_everything(broker: MqttBroker, shown: Screen) -> None:
    with publisher(broker.port) as client:
        publish_status(client, "keys")
        await shown.wait("document.getElementById('events').innerText.includes('keys')")
    keyboard = shown.page.keyboard
    await keyboard.press("Tab")
    assert await shown.page.evaluate("document.activeElement.textContent") == "Skip to the content"
    await keyboard.press("Enter")
    assert await shown.page.evaluate("document.activeElement.id") == "main"
    await keyboard.press("/")
    assert await shown.page.evaluate("document.activeElement.id") == "event-filter"
    await keyboard.type("keys p/")  # letters in a field are no shortcuts
    assert await shown.page.input_value("#event-filter") == "keys p/"
    await shown.page.fill("#event-filter", "keys")
    await keyboard.press("Tab")
    assert await shown.page.evaluate("document.activeElement.id") == "pause"
    await keyboard.press("Space")
    assert await shown.page.get_attribute("#pause", "aria-pressed") == "true"
    await keyboard.press("p")
    assert await shown.page.get_attribute("#pause", "aria-pressed") == "false"
    for _ in range(6):  # the kinds
        await keyboard.press("Tab")
    await keyboard.press("Space")
    assert await shown.page.evaluate("document.activeElement.checked") is False
    await keyboard.press("Tab")
    assert await shown.page.evaluate("document.activeElement.tagName") == "SUMMARY"
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert await shown.page.evaluate(outline) == "solid"
    await keyboard.press("Enter")
    await shown.wait("document.querySelector('#events pre')?.textContent.includes('\"keys\"')")
    # What is open and has the focus stays so while messages come.
    with publisher(broker.port) as client:
        publish_status(client, "more-keys")
        await shown.wait("document.querySelectorAll('#events > li').length === 2")
    assert await shown.page.evaluate("document.activeElement.tagName") == "SUMMARY"
    assert await shown.page.evaluate("document.activeElement.parentElement.open") is True


async def test_a_pause_holds_the_stream_and_counts_what_waits(
    broker: MqttBroker, shown: Screen
) -> None:
    with publisher(broker.port) as client:
        publish_status(client, "seen")
        await shown.wait("document.getElementById('events').innerText.includes('seen')")
        await shown.page.click("#pause")
        publish_status(client, "unseen")
        await shown.wait("document.getElementById('events-more').innerText === 'paused, 1 newer'")
        assert "unseen" not in await shown.text("#events")
        await shown.page.click("#pause")
        await shown.wait("document.getElementById('events').innerText.includes('unseen')")


async def test_no_motion_where_none_is_wanted(shown: Screen) -> None:
    animation = "getComputedStyle(document.getElementById('connection'), '::before').animationName"
    assert await shown.page.evaluate(animation) == "breathe"
    await shown.page.emulate_media(reduced_motion="reduce")
    assert await shown.page.evaluate(animation) == "none"


class GuardedMosquitto(Mosquitto):
    """Mosquitto with a websocket listener of its own, for one user."""

    def prepare(self) -> None:
        super().prepare()
        self.websocket_port = free_port()
        passwords = self.directory / "passwords"
        subprocess.run(  # noqa: S603 - Debian's program
            ["/usr/bin/mosquitto_passwd", "-b", "-c", passwords, "display", "secret"], check=True
        )
        config = self.directory / "mosquitto.conf"
        text = config.read_text(encoding="utf-8").replace(
            "allow_anonymous true", f"allow_anonymous false\npassword_file {passwords}"
        )
        listener = f"listener {self.websocket_port} 127.0.0.1\nprotocol websockets\n"
        config.write_text(text + listener, encoding="utf-8")


@pytest.mark.mosquitto
async def test_it_asks_for_a_password_where_the_broker_does(
    browser: Browser, tmp_path: Path
) -> None:
    with GuardedMosquitto(tmp_path / "mosquitto") as mosquitto:
        url = f"ws://127.0.0.1:{mosquitto.websocket_port}"
        with page_service(tmp_path, url) as service:
            async with screens(browser, address(service), (PHONE, "light")) as (shown,):
                await shown.wait("!document.getElementById('sign-in').hidden")
                await shown.page.fill("[name=username]", "display")
                await shown.page.fill("[name=password]", "wrong")
                await shown.page.keyboard.press("Enter")
                await shown.wait("document.getElementById('sign-in').hidden")
                await shown.wait("!document.getElementById('sign-in').hidden")
                await shown.page.fill("[name=password]", "secret")
                await shown.page.keyboard.press("Enter")
                await live(shown)
                assert await violations(shown) == []
                message = json.dumps({"clientId": "CP1", "messageType": "Heartbeat"})
                with publisher(mosquitto.port, "display", "secret") as client:
                    client.publish("ocpp/messages/CP1/Heartbeat", message, qos=1)
                    await shown.wait(
                        "document.getElementById('events').innerText.includes('Heartbeat')"
                    )
