"""A client that no one here wrote: npm's ocpp-rpc in strict mode, against the real system."""

import asyncio
import json
from pathlib import Path
from typing import Final

import pytest
from mqtt_subscriber import subscriber
from reference_session import check_events

from devstack.stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.node]

CLIENT: Final = Path(__file__).parent / "ocpp_rpc"


async def run(*command: str, cwd: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode == 0, f"{command}:\n{out.decode()}\n{err.decode()}"
    return out.decode()


async def test_a_strict_client_completes_a_session(stack: Stack) -> None:
    install = ("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error")
    await run(*install, cwd=CLIENT)
    client_id = "ocpp-rpc-1"
    with subscriber(stack.mqtt.host, stack.mqtt.port, f"csms/+/{client_id}/+") as received:
        session = ("node", "session.js", stack.ingress_url, client_id)
        report = json.loads(await run(*session, cwd=CLIENT))
        await received.wait(6)
    assert report["protocol"] == "ocpp1.6"
    assert report["complaints"] == []
    answers = report["answers"]
    assert answers["BootNotification"]["status"] == "Accepted"
    accepted = {"idTagInfo": {"status": "Accepted"}}
    assert answers["Authorize"] == accepted
    assert answers["StopTransaction"] == accepted
    check_events(received, client_id, answers["StartTransaction"]["transactionId"])
