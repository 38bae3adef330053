"""A real browser on the live page, a real broker behind it."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from playwright.async_api import Browser, Page, async_playwright

from devstack.service import Service
from page.npm_package import PackageFile, fetch

ROOT: Final = Path(__file__).parents[2]
ARTEFACTS: Final = ROOT / "test-artefacts"
"""Screenshots stay here after a run."""

AXE: Final = PackageFile(
    package="axe-core",
    version="4.14.1",
    path="axe.min.js",
    sha256="29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c",
)
"""The accessibility checker that browsers' own tools use."""

WAIT_S: Final = 60
"""How long to wait for what should be there at once; a loaded machine may take its time."""

DESKTOP: Final = (1280, 900)
PHONE: Final = (360, 740)
"""The narrowest screens in use."""


Scheme: TypeAlias = Literal["light", "dark"]
Form: TypeAlias = tuple[tuple[int, int], Scheme]
"""Width and height in CSS pixels, and the colour scheme that the system prefers."""


class Screen(NamedTuple):
    """A page in a browser window, and the complaints of its console."""

    page: Page
    complaints: list[str]

    async def wait(self, condition: str) -> None:
        """Wait for a JavaScript expression to be true."""
        # Not wait_for_function: it evaluates inside the page, which the page's policy forbids.
        async with asyncio.timeout(WAIT_S):
            while not await self.page.evaluate(condition):  # noqa: ASYNC110 - the browser changes it
                await asyncio.sleep(0.05)

    async def text(self, selector: str) -> str:
        """The element's text."""
        return await self.page.inner_text(selector)

    async def keep(self, name: str) -> None:
        """Keep a screenshot of the whole page as a test artefact."""
        ARTEFACTS.mkdir(exist_ok=True)
        await self.page.screenshot(path=ARTEFACTS / f"{name}.png", full_page=True)


def chromium() -> str:
    """Path of the installed browser."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found is not None:
            return found
    raise FileNotFoundError("chromium is not installed; on Debian: apt install chromium")


@asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    """The browser, without a window on any display."""
    # A container's /dev/shm is too small for it; and it has no sandbox for root.
    arguments = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=chromium(), args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def screens(browser: Browser, url: str, *forms: Form) -> AsyncIterator[list[Screen]]:
    """The page in one window for each form."""
    windows = [await _screen(browser, url, *form) for form in forms]
    try:
        yield windows
    finally:
        for window in windows:
            await window.page.context.close()


@asynccontextmanager
async def screen(browser: Browser, url: str) -> AsyncIterator[Screen]:
    """The page in one window of a desktop, connected to the broker."""
    async with screens(browser, url, (DESKTOP, "light")) as (only,):
        await live(only)
        yield only


async def live(screen: Screen) -> None:
    """Wait until the page is subscribed."""
    await screen.wait("document.getElementById('connection').dataset.state === 'live'")


async def violations(screen: Screen) -> list[str]:
    """What axe finds fault with, by the rules of WCAG 2.2 A and AA."""
    await screen.page.evaluate(fetch(AXE).read_text(encoding="utf-8"))
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found: dict[str, Any] = await screen.page.evaluate("tags => axe.run({runOnly: tags})", tags)
    assert len(found["passes"]) > 10
    return [
        f"{rule['id']}: {node['html'][:200]} {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


async def _screen(browser: Browser, url: str, size: tuple[int, int], scheme: Scheme) -> Screen:
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        locale="en-GB",
        timezone_id="UTC",
    )
    page: Page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: complaints.append(message.text) if message.type == "error" else None,
    )
    await page.goto(url)
    return Screen(page, complaints)


def address(service: Service) -> str:
    """Where the page is served."""
    return f"http://127.0.0.1:{service.ops_port}/"


@contextmanager
def publisher(
    port: int, username: str | None = None, password: str | None = None
) -> Iterator[Client]:
    """An MQTT 5 client that publishes what a test makes up."""
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.username_pw_set(username, password)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        yield client
    finally:
        client.disconnect()
        client.loop_stop()
