"""The JSON Schemas and the AsyncAPI document: up to date, valid, and true of what is published."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from avro_records import EVENTS
from hypothesis import given
from hypothesis import strategies as st
from payload_schemas import DOCUMENT, ROOT, complaints, schema_of

from egress.announcement import Announcement
from egress.routing import Router, route_frame
from page.npm_package import PackageFile, fetch
from schemas.asyncapi import document
from schemas.documents import documents
from schemas.event_json import to_json
from schemas.events import BusinessEvent
from schemas.frames import Kind, OcppFrame
from schemas.json_schema import NAMES, payload_schema
from schemas.mqtt import event_topic
from schemas.topics import TopicNames, specs

ASYNCAPI_SCHEMA = PackageFile(
    package="@asyncapi/specs",
    version="6.11.1",
    path="schemas/3.0.0-without-$id.json",
    sha256="abe96881dbfaad495ccbb6bd8d3fb43ca18a13b9d7564849ccb66f39d5e5b20f",
)
NOW = 1_701_944_130_123_456
TIMES = st.integers(0, 4_000_000_000_000_000)
RAW: dict[Kind, bytes] = {
    "CALL": b'[2,"1","Heartbeat",{}]',
    "SEND": b'[6,"1","NotifyPeriodicEventStream",{"id":1}]',
    "CALLRESULT": b'[3,"1",{"currentTime":"2023-12-07T10:15:30Z","big":12345678901234567890}]',
    "CALLERROR": b'[4,"1","InternalError","",{}]',
    "CALLRESULTERROR": b'[5,"1","FormatViolation","what",{"a":1}]',
    "INVALID": b"\xff no json",
}


def test_every_document_is_what_the_code_says() -> None:
    stale = [
        str(path)
        for path, text in documents().items()
        if not (ROOT / path).exists() or (ROOT / path).read_text(encoding="utf-8") != text
    ]
    assert stale == [], "run: make contracts"
    committed = {path.name for path in (ROOT / "schemas/json").iterdir()}
    assert committed == {f"{name}.schema.json" for name in NAMES}


def official() -> jsonschema_rs.Validator:
    schema = json.loads(fetch(ASYNCAPI_SCHEMA).read_text(encoding="utf-8"))
    return jsonschema_rs.validator_for(schema)


def test_the_asyncapi_document_is_valid_by_the_official_schema() -> None:
    assert [str(error) for error in official().iter_errors(DOCUMENT)] == []


@pytest.mark.parametrize(
    "break_it",
    [
        lambda broken: broken.pop("info"),
        lambda broken: broken["channels"]["chargePoint"].update(adress="/x"),
        lambda broken: broken["operations"]["sendToChargePoint"].update(action="shout"),
        lambda broken: broken["channels"]["csms.events"]["bindings"]["kafka"].update(partitions=0),
    ],
)
def test_the_official_schema_refuses_a_broken_one(break_it: Any) -> None:  # noqa: ANN401 - lambdas
    broken = document("0")
    break_it(broken)
    assert not official().is_valid(broken)


@pytest.mark.parametrize("name", NAMES)
def test_every_json_schema_is_a_valid_one(name: str) -> None:
    assert jsonschema_rs.meta.is_valid(payload_schema(name))


def references(part: Any) -> Iterator[str]:  # noqa: ANN401 - a YAML document
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def test_every_reference_leads_somewhere() -> None:
    found = set(references(DOCUMENT))
    assert len(found) > 20
    for reference in found:
        if reference.startswith("#/"):
            place: Any = DOCUMENT
            for step in reference[2:].split("/"):
                place = place[step]
        else:
            assert (ROOT / "docs" / reference).is_file(), reference


def test_every_json_schema_is_the_payload_of_a_channel() -> None:
    named = {reference for reference in references(DOCUMENT) if "/json/" in reference}
    assert named == {f"../schemas/json/{name}.schema.json" for name in NAMES}


def test_every_topic_of_kafka_but_the_changelog_is_a_channel() -> None:
    names = TopicNames()
    topics = {spec.name for spec in specs(names, 8)} - {names.connectors_changelog}
    assert topics <= set(DOCUMENT["channels"])


def test_the_contracts_examples_are_valid() -> None:
    examples = json.loads((ROOT / "tests/golden/seed_events.json").read_text(encoding="utf-8"))
    assert len(examples) == 5
    for example in examples:
        topic = event_topic(example["eventType"], example["clientId"])
        assert complaints(topic, json.dumps(example).encode()) == []


@pytest.mark.parametrize("field", ["clientId", "eventId", "payload"])
def test_a_missing_field_is_complained_of(field: str) -> None:
    example = json.loads((ROOT / "tests/golden/seed_events.json").read_text(encoding="utf-8"))[0]
    del example[field]
    assert complaints("csms/transactions/CP1/started", json.dumps(example).encode())
    assert not jsonschema_rs.is_valid(schema_of("started"), example)


def test_a_field_that_no_schema_names_is_complained_of_here_and_allowed_to_consumers() -> None:
    example = json.loads((ROOT / "tests/golden/seed_events.json").read_text(encoding="utf-8"))[0]
    example["payload"]["novelty"] = 1
    assert complaints("csms/transactions/CP1/started", json.dumps(example).encode())
    assert jsonschema_rs.is_valid(schema_of("started"), example)


def plausible(event: BusinessEvent, times: Iterator[int]) -> BusinessEvent:
    """The event at times that a calendar has, with an id of the usual form."""
    fields = ("timestamp", "start_time", "stop_time", "end_time")
    changed = {
        name: next(times) for name in fields if getattr(event.payload, name, None) is not None
    }
    return msgspec.structs.replace(
        event,
        timestamp=next(times),
        event_id=f"{event.event_type}_{abs(event.timestamp)}",
        client_id=event.client_id or "CP1",
        payload=msgspec.structs.replace(event.payload, **changed),
    )


@given(EVENTS, st.lists(TIMES, min_size=5, max_size=5), st.booleans())
def test_whatever_event_is_published_is_valid(
    event: BusinessEvent,
    times: list[int],
    retain: bool,  # noqa: FBT001 - hypothesis passes it by position
) -> None:
    event = plausible(event, iter(times))
    publications = Router(retain_status=retain).event(event)
    assert publications[0].payload == to_json(event)
    for publication in publications:
        assert complaints(publication.topic, publication.payload) == []


@pytest.mark.parametrize("kind", RAW)
def test_whatever_frame_is_published_is_valid(kind: Kind) -> None:
    frame = OcppFrame(
        client_id="a/b",
        received_at_ns=NOW * 1000,
        direction="inbound",
        protocol="ocpp2.1",
        kind=kind,
        message_id=None if kind == "INVALID" else "1",
        action=None if kind == "INVALID" else "Heartbeat",
        raw=RAW[kind],
        violation="no JSON" if kind == "INVALID" else None,
        connection_id="c",
    )
    publication = route_frame(frame)
    assert complaints(publication.topic, publication.payload) == []
    properties = _headers_of(publication.topic)
    assert jsonschema_rs.is_valid(properties, dict(publication.properties))
    assert {name for name, _ in publication.properties} <= properties["properties"].keys()


def _headers_of(topic: str) -> dict[str, Any]:
    channel = DOCUMENT["channels"][".".join(topic.split("/")[:2])]
    headers: dict[str, Any] = next(iter(channel["messages"].values()))["headers"]
    return headers


def test_what_an_egress_says_of_itself_is_valid() -> None:
    announcement = Announcement("status", "egress-1", lambda: NOW)
    said = [announcement.of(online=online).publication.payload for online in (True, False)]
    for payload in (*said, announcement.will.payload):
        assert jsonschema_rs.is_valid(schema_of("egress_status"), json.loads(payload))
